"""The squared error of one or more real outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .grid import cut
from .losses import Floats, Loss, finite_targets


class Squared(Loss):
    """loss(z, y) = |z - y|^2 (no half);  residual r = 2 (y - z);  dual: r . y - |r|^2 / 4.

    With one output, strength lambda here is alpha = lambda / 2 of scikit-learn's Lasso.

    >>> Squared().values(np.array([[3.0]]), np.array([[1.0]])).tolist()
    [4.0]
    """

    name = "squared"
    is_classification = False
    smoothness = 2.0

    def encode(self, targets: NDArray[Any], classes: int | None) -> Floats:
        array = finite_targets(targets, loss=self.name).astype(np.float64)
        encoded = array.reshape(len(array), -1)
        if classes not in (None, encoded.shape[1]):
            raise ValueError(
                f"The squared loss takes its outputs from the targets, here {encoded.shape[1]}; got classes={classes}."
            )
        return encoded

    def values(self, scores: Floats, targets: Floats) -> Floats:
        return np.asarray(np.square(scores - targets).sum(axis=1))

    def residual(self, scores: Floats, targets: Floats) -> Floats:
        return 2.0 * (targets - scores)

    def curvature(self, scores: Floats, targets: Floats) -> Floats:
        return np.full_like(scores, 2.0)

    def curvature_above(self, scores: Floats, targets: Floats) -> Floats:
        return self.curvature(scores, targets)

    def bound_curvature(self, scores: Floats, targets: Floats) -> Floats:
        """The curvature itself."""
        return self.curvature(scores, targets)

    def curved(self, scores: Floats, targets: Floats, directions: Floats) -> Floats:
        """Second derivative times a direction: 2 d."""
        return 2.0 * directions

    def best_intercept(self, scores: Floats, targets: Floats, weights: Floats, start: Floats) -> Floats:
        return np.asarray((weights * (targets - scores)).sum(axis=0) / weights.sum())

    def dual_values(self, residuals: Floats, targets: Floats) -> Floats:
        return np.asarray((residuals * targets - 0.25 * np.square(residuals)).sum(axis=1))

    def into_domain(self, dual: Floats, targets: Floats, weights: Floats, quantum: float) -> Floats:
        return cut(np.where(weights > 0.0, dual, 0.0), quantum)

    def balanced(self, dual: Floats, targets: Floats, weights: Floats, quantum: float) -> Floats:
        centred = cut(dual - weights * dual.sum(axis=0), quantum)
        centred[weights[:, 0].argmax()] -= centred.sum(axis=0)
        return centred
