"""Linear and affine layers: the mean over time passes through them, a bias being added at every step."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..rule import Rule, Site


def _image() -> Tensor:
    return torch.linspace(-1, 1, 100).reshape(2, 2, 5, 5)


LINEAR = Rule(
    name="linear",
    matches=(
        *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
        *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    ),
    has_weights=True,
    example=lambda: (nn.ConvTranspose2d(2, 3, 3, stride=2), _image()),
)


def _weights_vary(site: Site) -> str | None:
    return "has weights that depend on the input" if len(site.data) > 1 else None


class _Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 54).reshape(3, 2, 3, 3))

    def forward(self, values: Tensor) -> Tensor:
        return F.conv2d(values, self.weight, padding=1)


FUNCTIONAL_LINEAR = Rule(
    name="linear, as a function",
    matches=(
        *(F.linear, F.conv1d, F.conv2d, F.conv3d, torch.conv1d, torch.conv2d, torch.conv3d),
        *(F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d),
    ),
    refuse=_weights_vary,
    has_weights=True,
    example=lambda: (_Functional(), _image()),
)


def _uses_batch_statistics(site: Site) -> str | None:
    if getattr(site.module, "running_mean", None) is None:
        return "normalises by the statistics of the batch even in eval mode, which would mix samples and steps"
    return None


BATCH_NORM = Rule(
    name="batch norm",
    matches=(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    refuse=_uses_batch_statistics,
    example=lambda: (nn.BatchNorm1d(6).eval(), torch.linspace(-1, 1, 24).reshape(4, 6)),
)


def _trains(site: Site) -> str | None:
    statistics = (site.argument(1, "running_mean"), site.argument(5, "training", False))
    return _uses_batch_statistics(site) if statistics[0] is None or statistics[1] else None


class _FunctionalNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.linspace(-1, 1, 6))
        self.register_buffer("variance", torch.linspace(0.5, 1, 6))

    def forward(self, values: Tensor) -> Tensor:
        return F.batch_norm(values, self.mean, self.variance)  # type: ignore[arg-type]


FUNCTIONAL_BATCH_NORM = Rule(
    name="batch norm, as a function",
    matches=(F.batch_norm,),
    refuse=_trains,
    example=lambda: (_FunctionalNorm(), torch.linspace(-1, 1, 24).reshape(4, 6)),
)
