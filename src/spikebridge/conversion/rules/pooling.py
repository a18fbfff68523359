"""Pooling: averages are linear; a maximum has to be taken of cumulative values."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...blocks.differential import Differential
from ..rule import Rule, Site


def _image() -> Tensor:
    return torch.linspace(-1, 1, 96).reshape(2, 3, 4, 4)


class _SpatialMean(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.mean((2, 3))


def _mixes_batch(site: Site) -> str | None:
    axes = site.argument(1, "dim", site.argument(1, "axis"))
    axes = (axes,) if isinstance(axes, int) else axes
    if not axes or 0 in axes:
        return "averages over the batch, which would mix samples and steps; name the other axes"
    return None


def _returns_indices(site: Site) -> str | None:
    wants = site.module.return_indices if isinstance(site.module, _MAX_POOLS) else site.argument(6, "return_indices")
    return "returns indices, which have no meaning over time; drop return_indices" if wants else None


def _over_cumulative(site: Site) -> Differential:
    if site.module is not None:
        return Differential(site.module)
    pool = {F.max_pool1d: nn.MaxPool1d, F.max_pool2d: nn.MaxPool2d, F.max_pool3d: nn.MaxPool3d}
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    defaults = (None, None, 0, 1, False)
    values = {name: site.argument(i + 1, name, defaults[i]) for i, name in enumerate(names)}
    values["return_indices"] = False
    return Differential(pool[site.node.target](**values))  # type: ignore[index]


_MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)

AVERAGE_POOL = Rule(
    name="average pool",
    matches=(
        *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, F.avg_pool1d, F.avg_pool2d, F.avg_pool3d),
        *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
        *(F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d),
    ),
    example=lambda: (nn.AvgPool2d(2), _image()),
)

MEAN = Rule(
    name="mean",
    matches=(torch.mean, "mean"),
    refuse=_mixes_batch,
    example=lambda: (_SpatialMean(), _image()),
)

MAX_POOL = Rule(
    name="max pool",
    matches=(*_MAX_POOLS, F.max_pool1d, F.max_pool2d, F.max_pool3d),
    fidelity="differential",
    replace=_over_cumulative,
    refuse=_returns_indices,
    note=lambda site: "on cumulative values; analog when T > 1",
    example=lambda: (nn.MaxPool2d(2), _image()),
)
