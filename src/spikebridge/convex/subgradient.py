"""Dual points that weights suggest: their residuals, and for a loss with a kink the ones in between."""

from __future__ import annotations

import numpy as np

from .losses import Floats
from .margins import Hinge
from .problem import Problem

WIDTHS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
"""Roundings of the kink that are tried."""

KINK_WIDTHS = (1e-8, 1e-6, 1e-4)
"""How near a margin must be to 1 to count as on the kink."""

LARGEST_SYSTEM = 2000


def dual_candidates(problem: Problem, weights: Floats, scores: Floats) -> list[Floats]:
    """Dual points [n, C] to try, for scores with the best intercept."""
    if not isinstance(problem.loss, Hinge):
        return [problem.residual(scores)]
    smooth = [problem.loss.smoothed(width) for width in WIDTHS]
    found = [problem.sample_weights * loss.residual(scores, problem.targets) for loss in smooth]
    return found + [_on_kink(problem, weights, scores, width) for width in KINK_WIDTHS]


def _on_kink(problem: Problem, weights: Floats, scores: Floats, width: float) -> Floats:
    """Slopes at the kink such that D^T u = lambda sign(w) + ridge w on the support, by least squares."""
    missing = 1.0 - scores * problem.targets
    dual = problem.sample_weights * problem.targets * (missing > width)
    kink = np.flatnonzero(np.abs(missing[:, 0]) <= width)
    support = np.flatnonzero(weights[:, 0])
    if not 0 < len(kink) <= LARGEST_SYSTEM or not 0 < len(support) <= LARGEST_SYSTEM:
        return dual
    columns = problem.dictionary.take(support)
    wanted = problem.strength * np.sign(weights[support, 0]) + problem.ridge * weights[support, 0]
    system, right = columns[kink].T, wanted - columns.T @ dual[:, 0]
    if problem.intercept:
        system, right = np.vstack([system, np.ones(len(kink))]), np.append(right, -dual.sum())
    dual[kink, 0] = np.linalg.lstsq(system, right, rcond=None)[0]
    return dual
