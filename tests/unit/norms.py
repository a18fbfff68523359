"""Norms of trains, their trains and the neurons behind them, for the tests of both kinds of norms per step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikebridge.blocks import StepNorm
from spikebridge.neurons import AdaptiveLIF

ROUNDING = 1e-5
"""Of sums over a batch in float32, taken in another order."""

LEARNING = ("step-scale", "step-affine")
"""Modes that learn something for each step."""


def trains(*, time: int = 4, batch: int = 6, unit: tuple[int, ...] = (3, 5, 5)) -> Tensor:
    """Steps that differ in mean and spread, as those of a temporal code do."""
    steps = torch.arange(time, dtype=torch.float32).reshape(-1, *[1] * (1 + len(unit)))
    return torch.randn(time, batch, *unit) * (1 + steps) + 3 * steps


def trained(norm: nn.Module, *, batches: int = 5, unit: tuple[int, ...] = (3, 5, 5)) -> nn.Module:
    """A norm with weights of its own, that has seen a few batches; in eval mode."""
    for module in norm.modules():
        if isinstance(module, StepNorm | nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias)
        for name, setting in module.named_parameters(recurse=False):
            if name in ("scale", "shift"):
                nn.init.normal_(setting)
    for _ in range(batches):
        norm.train()(trains(unit=unit))
    return norm.eval()


def adaptive(channels: int | None, **settings: object) -> AdaptiveLIF:
    shape = (4,) if channels is None else (4, channels)
    return AdaptiveLIF(channels=channels, leak=torch.rand(shape), gain=torch.randn(shape), **settings)
