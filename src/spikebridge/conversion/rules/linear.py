"""Linear and affine layers: the mean over time passes through them, a bias being added at every step."""

from __future__ import annotations

import operator

import torch
from torch import nn

from ..nodes import host_nodes
from ..rule import Rule, Site


class _Shortcut(nn.Module):
    """x + f(x), the sum every residual network is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Linear(6, 6)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        transformed: torch.Tensor = self.f(values)
        return values + transformed


LINEAR = Rule(
    name="linear",
    matches=(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    example=lambda: (nn.Conv2d(2, 3, 3, padding=1), torch.linspace(-1, 1, 100).reshape(2, 2, 5, 5)),
)


def _uses_batch_statistics(site: Site) -> str | None:
    if getattr(site.module, "running_mean", None) is None:
        return "normalises by the statistics of the batch even in eval mode, which would mix samples and steps"
    return None


BATCH_NORM = Rule(
    name="batch norm",
    matches=(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    refuse=_uses_batch_statistics,
    example=lambda: (nn.BatchNorm1d(6).eval(), torch.linspace(-1, 1, 24).reshape(4, 6)),
)


def _adds_a_size(site: Site) -> str | None:
    if host_nodes(site.node.graph) & set(site.node.all_input_nodes):
        return "adds a size to a tensor; the size of the batch is another one once time is folded into it"
    return None


ADD = Rule(
    name="add",
    refuse=_adds_a_size,
    matches=(operator.add, operator.iadd, torch.add, "add", "add_"),
    example=lambda: (_Shortcut(), torch.linspace(-1, 1, 24).reshape(4, 6)),
)
