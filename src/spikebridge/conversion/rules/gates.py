"""Gates, norms and attention: no neuron computes them, so they run on running means, with real numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..rule import Rule, Site, never


def _note(site: Site) -> str:
    return "on running means, with real numbers" if site.timed else ""


def _tokens() -> Tensor:
    return torch.linspace(-1, 1, 48).reshape(2, 4, 6)


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, values: Tensor) -> Tensor:
        mixed: Tensor = self.attention(values, values, values, need_weights=False)[0]
        return mixed


class _ScaledDotProduct(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(values, values, values)


def _batch_second(site: Site) -> str | None:
    if isinstance(site.module, nn.MultiheadAttention) and not site.module.batch_first:
        return "has its batch axis second, where time cannot be folded into it; pass batch_first=True"
    return None


def _over_batch(site: Site) -> str | None:
    axis = site.module.dim if isinstance(site.module, nn.Softmax | nn.LogSoftmax) else site.argument(1, "dim")
    return f"normalises over axis {axis}; name one that is not the batch" if axis in (0, None) else None


def _drops(site: Site) -> str | None:
    dropped = site.argument(4, "dropout_p", 0.0)
    return "drops attention in eval mode too; pass 0.0 unless self.training" if dropped else None


GATE = Rule(
    name="sigmoid gates",
    matches=(nn.Sigmoid, nn.Hardsigmoid, F.sigmoid, F.hardsigmoid),
    linear=never,
    note=_note,
    example=lambda: (nn.Sequential(nn.Linear(6, 5), nn.Sigmoid()), torch.linspace(-1, 1, 24).reshape(4, 6)),
)

NORM = Rule(
    name="layer norm and its like",
    matches=(
        *(nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm),
        *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
        *(F.layer_norm, F.group_norm, F.rms_norm, F.normalize, F.local_response_norm),
    ),
    linear=never,
    note=_note,
    example=lambda: (nn.LayerNorm(6), _tokens()),
)

SOFTMAX = Rule(
    name="softmax",
    matches=(nn.Softmax, nn.LogSoftmax, F.softmax, F.log_softmax, torch.softmax, torch.log_softmax, "softmax"),
    linear=never,
    refuse=_over_batch,
    note=_note,
    example=lambda: (nn.Softmax(-1), _tokens()),
)

ATTENTION = Rule(
    name="attention",
    matches=(nn.MultiheadAttention, "torchvision.models.swin_transformer.shifted_window_attention"),
    linear=never,
    refuse=_batch_second,
    note=_note,
    example=lambda: (_Attention().eval(), _tokens()),
)

SCALED_DOT_PRODUCT = Rule(
    name="scaled dot product attention",
    matches=(F.scaled_dot_product_attention,),
    linear=never,
    refuse=_drops,
    note=_note,
    example=lambda: (_ScaledDotProduct(), _tokens()),
)
