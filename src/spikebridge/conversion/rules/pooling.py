"""Pooling: averages are linear; a maximum has to be taken of running means."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..rule import Rule, Site, never
from .refusals import over_batch


def _image() -> Tensor:
    return torch.linspace(-1, 1, 96).reshape(2, 3, 4, 4)


class _SpatialMean(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.mean((2, 3))


class _SpatialMaximum(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return torch.amax(values, (2, 3))


_MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
_FUNCTIONS = {F.max_pool1d: 1, F.max_pool2d: 2, F.max_pool3d: 3}
_DEFAULTS = {"kernel_size": None, "stride": None, "padding": 0, "dilation": 1, "ceil_mode": False}


def _settings(site: Site) -> dict[str, Any]:
    """What the pool was asked for, as a module or as a function."""
    if site.module is not None:
        return {name: getattr(site.module, name) for name in _DEFAULTS}
    return {name: site.argument(i + 1, name, default) for i, (name, default) in enumerate(_DEFAULTS.items())}


def _cannot(site: Site) -> str | None:
    wants = site.module.return_indices if isinstance(site.module, _MAX_POOLS) else site.argument(6, "return_indices")
    if wants:
        return "returns indices, which have no meaning over time; drop return_indices"
    if site.recipe.max_pool == "average" and any(_numbers(_settings(site)["dilation"], 1) != 1):
        return "is dilated, and no average pool is; pass max_pool='exact'"
    if site.recipe.max_pool == "pre" and site.timed and not _precedes_activation(site):
        return "does not follow an activation that feeds nothing else, so max_pool='pre' cannot move it; pass 'exact'"
    return None


def _numbers(setting: Any, rank: int) -> Tensor:
    return torch.as_tensor(setting).expand(rank) if not isinstance(setting, tuple | list) else torch.tensor(setting)


def _precedes_activation(site: Site) -> bool:
    return bool(site.node.meta.get("moved"))


def _average(site: Site) -> nn.Module | None:
    if site.recipe.max_pool != "average":
        return None
    settings = _settings(site)
    rank = _FUNCTIONS[site.node.target] if site.module is None else _MAX_POOLS.index(_base(site.module)) + 1  # type: ignore[index]
    kinds: tuple[type[nn.Module], ...] = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
    names = ("kernel_size", "stride", "padding", "ceil_mode")
    return kinds[rank - 1](**{name: settings[name] for name in names}, count_include_pad=False)


def _base(module: nn.Module) -> type[nn.Module]:
    return next(kind for kind in _MAX_POOLS if isinstance(module, kind))


def _note(site: Site) -> str:
    notes = {
        "exact": "on running means; with real numbers when T > 1",
        "pre": "moved before the activation; step by step, exact at T = 1",
        "average": "an average pool in its place",
    }
    return notes[site.recipe.max_pool] if site.timed or site.recipe.max_pool == "average" else ""


def _differs(site: Site) -> bool:
    return site.recipe.max_pool == "average" or (site.recipe.max_pool == "pre" and site.timed)


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
    refuse=over_batch("averages"),
    example=lambda: (_SpatialMean(), _image()),
)

MAX_POOL = Rule(
    name="max pool",
    matches=(*_MAX_POOLS, *_FUNCTIONS),
    linear=lambda site: site.recipe.max_pool != "exact",
    replace=_average,
    approximate=_differs,
    refuse=_cannot,
    note=_note,
    example=lambda: (nn.MaxPool2d(2), _image()),
)

MAXIMUM = Rule(
    name="maximum over space",
    matches=(
        *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d, torch.amax, "amax"),
        *(F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d),
    ),
    linear=never,
    note=lambda site: "on running means; with real numbers when T > 1" if site.timed else "",
    example=lambda: (_SpatialMaximum(), _image()),
)
