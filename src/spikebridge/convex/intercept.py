"""The best free intercept for given scores: one number for every output."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .grid import Floats

if TYPE_CHECKING:
    from .losses import Loss

STEPS = 80

ROUNDING = 1e-15
"""Share of the objective below which a promised decrease cannot be seen."""


def by_bisection(loss: Loss, scores: Floats, targets: Floats, weights: Floats, start: Floats) -> Floats:
    """For one output. The residuals' sum falls with b: its root, kept between a value below and one above."""

    def slope(intercept: float) -> float:
        return float((weights * loss.residual(scores + intercept, targets)).sum())

    width = 1.0
    below, above = float(start[0]) - width, float(start[0]) + width
    for _ in range(STEPS):
        if slope(below) >= 0.0 >= slope(above):
            break
        width *= 2.0
        below, above = (below - width, above) if slope(below) < 0.0 else (below, above + width)
    for _ in range(STEPS):
        middle = 0.5 * (below + above)
        below, above = (middle, above) if slope(middle) > 0.0 else (below, middle)
    return np.array([0.5 * (below + above)])


def by_newton(
    loss: Any,
    scores: Floats,
    targets: Floats,
    weights: Floats,
    start: Floats,
    *,
    hessian: Callable[[Floats], Floats] | None = None,
) -> Floats:
    """For several outputs of a :class:`~spikebridge.convex.losses.Joint` loss: Newton's method, steps halved.

    Args:
        loss: with ``curved``.
        scores: [n, C].
        targets: [n, C].
        weights: [n, 1].
        start: [C].
        hessian: scores -> sum_i a_i times the loss's second derivative, [C, C]; None takes it from ``curved``.
    """

    def value(intercept: Floats) -> float:
        return float((weights[:, 0] * loss.values(scores + intercept, targets)).sum())

    def from_curved(at: Floats) -> Floats:
        directions = (np.broadcast_to(one, at.shape) for one in np.eye(at.shape[1]))
        return np.stack([(weights * loss.curved(at, targets, each)).sum(axis=0) for each in directions])

    intercept: Floats = start.copy()
    best = value(start)
    longest = 1.0 + float(np.ptp(scores))
    for _ in range(STEPS):
        gradient = (weights * loss.residual(scores + intercept, targets)).sum(axis=0)
        bend = (hessian or from_curved)(scores + intercept)
        step = np.linalg.lstsq(bend, gradient, rcond=1e-14)[0]
        step *= min(1.0, longest / max(np.abs(step).max(), 1e-300))
        if gradient @ step <= ROUNDING * best:
            return np.asarray(intercept + step if np.abs(step).max() < 1e-6 else intercept)
        while (found := value(intercept + step)) > best and np.abs(step).max() > 1e-15:
            step *= 0.5
        if found > best:
            break
        intercept, best = np.asarray(intercept + step), found
    return intercept
