"""Activations: each becomes a neuron. What a neuron cannot compute by itself comes before it, with real numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...blocks.quantised import QCFS
from ..plan import is_identical
from ..rule import Activation, Rule, Site


def _values() -> Tensor:
    return torch.linspace(-1, 1, 24).reshape(4, 6)


def _rounding(site: Site) -> str:
    recipe = site.recipe
    if not isinstance(recipe.neuron, str):
        return "as the neuron function decides"
    return f"clipped at the threshold, {recipe.levels_per_step} level{'s'[: recipe.levels_per_step != 1]} per step"


def _encoded(site: Site) -> str:
    return f"{site.operation} itself on running means, with real numbers; then spikes of both signs"


def _agreement(site: Site) -> str:
    if is_identical(site):
        return "identical: members = levels, T = 1"
    assert site.activation is not None
    return f"trained with {site.activation.levels} levels; {_rounding(site)}"


def _own(site: Site) -> Activation:
    assert isinstance(site.module, QCFS)
    return Activation(threshold=site.module.threshold.detach().clone(), levels=site.module.levels)


def _bounds(site: Site) -> tuple[float, float]:
    """Between which values a clipping call clips."""
    module = site.module
    if isinstance(module, nn.ReLU6):
        return 0.0, 6.0
    if isinstance(module, nn.Hardtanh):
        return module.min_val, module.max_val
    if site.node.target in (F.relu6,):
        return 0.0, 6.0
    if site.node.target in (F.hardtanh, F.hardtanh_):
        return site.argument(1, "min_val", -1.0), site.argument(2, "max_val", 1.0)
    low, high = site.argument(1, "min"), site.argument(2, "max")
    return -math.inf if low is None else low, math.inf if high is None else high


def _clip(site: Site) -> Activation:
    low, high = _bounds(site)
    # A neuron clips between 0, or minus its threshold, and its threshold; any other pair is computed before it.
    if low == 0.0:
        return Activation(ceiling=high)
    if low == -high:
        return Activation(ceiling=high, negative=True)
    return Activation(ceiling=max(abs(low), abs(high)), negative=low < 0, analog=True)


def _no_clip(site: Site) -> str | None:
    bounds = _bounds(site)
    if not all(isinstance(bound, int | float) for bound in bounds):
        return "clips at tensors; clip at numbers"
    low, high = bounds
    return f"clips between {low} and {high}, which leaves nothing" if low >= high or high <= 0 else None


RELU = Rule(
    name="ReLU",
    matches=(nn.ReLU, F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_"),
    activation=lambda site: Activation(),
    is_monotone=True,
    note=_rounding,
    example=lambda: (nn.Sequential(nn.Linear(6, 5), nn.ReLU()), _values()),
)

CLIP = Rule(
    name="ReLU6, hardtanh, clamp",
    matches=(
        *(nn.ReLU6, nn.Hardtanh, F.relu6, F.hardtanh, F.hardtanh_),
        *(torch.clamp, torch.clip, torch.clamp_min, "clamp", "clip", "clamp_min", "clamp_", "clamp_min_"),
    ),
    activation=_clip,
    is_monotone=True,
    refuse=_no_clip,
    note=_rounding,
    example=lambda: (nn.Sequential(nn.Linear(6, 5), nn.ReLU6()), _values()),
)

QUANTISED_RELU = Rule(
    name="QCFS",
    matches=(QCFS,),
    activation=_own,
    is_monotone=True,
    note=_agreement,
    example=lambda: (nn.Sequential(nn.Linear(6, 5), QCFS(levels=16)), _values()),
)

SMOOTH = Rule(
    name="SiLU, GELU and their like",
    matches=(
        *(nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU, nn.SiLU, nn.GELU, nn.Mish, nn.Hardswish),
        *(nn.Tanh, nn.Softsign, nn.LogSigmoid, nn.Hardshrink, nn.Softshrink, nn.Tanhshrink),
        *(F.leaky_relu, F.prelu, F.rrelu, F.elu, F.selu, F.celu, F.silu, F.gelu, F.mish, F.hardswish, F.tanh),
        *(F.softsign, F.logsigmoid, F.hardshrink, F.softshrink, F.tanhshrink, torch.tanh, torch.prelu, "tanh"),
    ),
    activation=lambda site: Activation(negative=True, analog=True),
    note=_encoded,
    example=lambda: (nn.Sequential(nn.Linear(6, 5), nn.GELU()), _values()),
)

POSITIVE = Rule(
    name="softplus",
    matches=(nn.Softplus, F.softplus),
    activation=lambda site: Activation(analog=True),
    note=lambda site: f"{site.operation} itself on running means, with real numbers; then spikes",
    example=lambda: (nn.Sequential(nn.Linear(6, 5), nn.Softplus()), _values()),
)
