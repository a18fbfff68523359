"""The best free intercept for given scores: one number for every output."""

from __future__ import annotations

import numpy as np

from .losses import Floats, Loss
from .softmax import Softmax
from .squared import Squared

STEPS = 80

ROUNDING = 1e-15
"""Share of the objective below which a promised decrease cannot be seen."""


def best_intercept(loss: Loss, scores: Floats, targets: Floats, weights: Floats, start: Floats) -> Floats:
    """Argmin over b of sum_i a_i loss(z_i + b, y_i), to rounding:  scores [n, C], weights [n, 1], start [C] -> [C]."""
    if isinstance(loss, Squared):
        return np.asarray((weights * (targets - scores)).sum(axis=0) / weights.sum())
    if isinstance(loss, Softmax):
        return _by_newton(loss, scores, targets, weights, start)
    return np.array([_by_bisection(loss, scores, targets, weights, float(start[0]))])


def _by_bisection(loss: Loss, scores: Floats, targets: Floats, weights: Floats, start: float) -> float:
    """The residuals' sum falls with b: its root, kept between a value below and one above."""

    def slope(intercept: float) -> float:
        return float((weights * loss.residual(scores + intercept, targets)).sum())

    width = 1.0
    below, above = start - width, start + width
    for _ in range(STEPS):
        if slope(below) >= 0.0 >= slope(above):
            break
        width *= 2.0
        below, above = (below - width, above) if slope(below) < 0.0 else (below, above + width)
    for _ in range(STEPS):
        middle = 0.5 * (below + above)
        below, above = (middle, above) if slope(middle) > 0.0 else (below, middle)
    return 0.5 * (below + above)


def _by_newton(loss: Softmax, scores: Floats, targets: Floats, weights: Floats, start: Floats) -> Floats:
    def value(intercept: Floats) -> float:
        return float((weights[:, 0] * loss.values(scores + intercept, targets)).sum())

    intercept: Floats = start.copy()
    best = value(start)
    longest = 1.0 + float(np.ptp(scores))
    for _ in range(STEPS):
        shares = loss.shares(scores + intercept)
        gradient = (weights * (targets - shares)).sum(axis=0)
        weighted = weights * shares
        hessian = np.diag(weighted.sum(axis=0)) - shares.T @ weighted
        step = np.linalg.lstsq(hessian, gradient, rcond=1e-14)[0]
        step *= min(1.0, longest / max(np.abs(step).max(), 1e-300))
        if gradient @ step <= ROUNDING * best:
            return np.asarray(intercept + step if np.abs(step).max() < 1e-6 else intercept)
        while (found := value(intercept + step)) > best and np.abs(step).max() > 1e-15:
            step *= 0.5
        if found > best:
            break
        intercept, best = np.asarray(intercept + step), found
    return intercept
