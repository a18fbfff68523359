"""Inputs that try to break an error bound."""

from __future__ import annotations

import torch
from torch import Tensor

from ...core.shapes import Value
from .bound import OUTPUT, ErrorBound

FIRST, LAST = 0.25, 0.01
"""The first and the last move, as shares of the box."""


def adversarial(bound: ErrorBound, values: Value, *, site: str = OUTPUT, moves: int = 20) -> Value:
    """Inputs in the box with a larger error at a site: projected gradient ascent that keeps the best of its path.

        x <- clip(x + share * (highest - lowest) * sign(d max|error| / dx), lowest, highest),  share from 1/4 to 1/100

    The gradient is that of training, straight through the rounding; errors themselves are measured, not modelled.

    Args:
        bound: whose box and networks are meant.
        values: where to start.
        site: the neuron, or "output", whose error is to grow.
        moves: gradients to follow (>= 0).

    Shapes:  [batch, *unit] -> [batch, *unit].
    Raises:  KeyError: no such site. ValueError: values outside the box.
    """
    names = [row.name for row in bound.sites]
    index = names.index(bound[site].name)
    low, high = bound.box
    best, best_error = values, _largest(bound, values, index).detach()
    for move in range(moves):
        share = FIRST * (LAST / FIRST) ** (move / max(1, moves - 1))
        values = (values + share * (high - low) * _uphill(bound, values, index)).clamp(low, high)
        error = _largest(bound, values, index).detach()
        better = error > best_error
        best = torch.where(better.reshape(-1, *[1] * (values.ndim - 1)), values, best)
        best_error = torch.where(better, error, best_error)
    return best


def _uphill(bound: ErrorBound, values: Value, index: int) -> Tensor:
    with torch.enable_grad():
        leaf = values.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(_largest(bound, leaf, index).sum(), leaf)
    return gradient.sign()


def _largest(bound: ErrorBound, values: Value, index: int) -> Tensor:
    return bound.differences(values)[index].abs().flatten(1).amax(1)
