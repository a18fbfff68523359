"""Losses of the margin m = y z of two classes, y = -1 or 1."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .grid import cut, lowered
from .losses import Floats, Loss, finite_targets


class MarginLoss(Loss):
    """loss(z, y) = f(y z) with f falling; residuals are y t with t = -f'(m) >= 0.

    Attributes:
        largest: the largest t of the domain; infinity where there is none.
    """

    largest: ClassVar[float] = 1.0

    def encode(self, targets: NDArray[Any], classes: int | None) -> Floats:
        array = finite_targets(targets, loss=self.name)
        if array.ndim != 1 or classes not in (None, 1, 2):
            raise ValueError(
                f"The {self.name} loss expects targets [samples] of two classes; got shape {array.shape} and "
                f"classes={classes}. More classes take loss='softmax'."
            )
        wrong = array[(array != 1) & (array != -1)]
        if array.dtype == np.bool_ or len(wrong):
            found = "bool" if array.dtype == np.bool_ else f"{wrong[0]}"
            raise ValueError(
                f"The {self.name} loss expects targets -1 and 1; got {found}. Classes 0 and 1 become these as "
                f"2 * targets - 1; other classes take loss='softmax'."
            )
        return array.astype(np.float64)[:, None]

    def values(self, scores: Floats, targets: Floats) -> Floats:
        return self.of_margin(scores * targets)[:, 0]

    def residual(self, scores: Floats, targets: Floats) -> Floats:
        return targets * self.slope(scores * targets)

    def dual_values(self, residuals: Floats, targets: Floats) -> Floats:
        return self.dual_of_slope(residuals * targets)[:, 0]

    def into_domain(self, dual: Floats, targets: Floats, weights: Floats, quantum: float) -> Floats:
        largest = np.where(weights > 0.0, self.largest, 0.0) * np.maximum(weights, np.finfo(np.float64).tiny)
        return targets * cut(np.clip(targets * dual, 0.0, largest), quantum)

    def balanced(self, dual: Floats, targets: Floats, weights: Floats, quantum: float) -> Floats:
        slopes = dual * targets
        surplus = dual.sum()
        side = (targets > 0.0) if surplus > 0.0 else (targets < 0.0)
        slopes[side] = lowered(slopes[side], abs(surplus))
        return slopes * targets

    def labels(self, targets: Floats) -> NDArray[np.intp]:
        return (targets[:, 0] > 0).astype(np.intp)

    @abstractmethod
    def of_margin(self, margins: Floats) -> Floats:
        """f(m)."""

    @abstractmethod
    def slope(self, margins: Floats) -> Floats:
        """T = -f'(m)."""

    @abstractmethod
    def dual_of_slope(self, slopes: Floats) -> Floats:
        """Min over m of f(m) + t m."""


class Logistic(MarginLoss):
    """f(m) = log(1 + exp(-m));  t = 1 / (1 + exp(m));  dual: entropy of (t, 1 - t), in nats.

    >>> Logistic().values(np.zeros((1, 1)), np.ones((1, 1))).round(4).tolist()
    [0.6931]
    """

    name = "logistic"
    has_minimum_without = False
    smoothness = 0.25

    def of_margin(self, margins: Floats) -> Floats:
        return np.logaddexp(0.0, -margins)

    def slope(self, margins: Floats) -> Floats:
        decay = np.exp(-np.abs(margins))
        return np.where(margins > 0, decay, 1.0) / (1.0 + decay)

    def curvature(self, scores: Floats, targets: Floats) -> Floats:
        decay = np.exp(-np.abs(scores))
        return decay / np.square(1.0 + decay)

    def curvature_above(self, scores: Floats, targets: Floats) -> Floats:
        return parabola_above(scores)

    def dual_of_slope(self, slopes: Floats) -> Floats:
        return entropy_terms(slopes) + entropy_of_rest(slopes)


class Hinge(MarginLoss):
    """f(m) = max(0, 1 - m);  t in [0, 1];  dual: t.  It has a kink, so it is solved through :meth:`smoothed`."""

    name = "hinge"

    def of_margin(self, margins: Floats) -> Floats:
        return np.maximum(0.0, 1.0 - margins)

    def slope(self, margins: Floats) -> Floats:
        return (margins < 1.0).astype(np.float64)

    def dual_of_slope(self, slopes: Floats) -> Floats:
        return slopes

    def smoothed(self, smoothing: float) -> SmoothedHinge:
        """A smooth loss at most smoothing / 2 below; its residuals are in the domain of this one's dual."""
        return SmoothedHinge(smoothing)


class SmoothedHinge(MarginLoss):
    """The hinge with its kink rounded over a width s:  t = clip((1 - m) / s, 0, 1);  dual: t - s t^2 / 2.

    f(m) = 0 for m >= 1,  (1 - m)^2 / (2 s) for 1 - s <= m <= 1,  1 - m - s / 2 below.

    Args:
        smoothing: s > 0.

    Source:  Rennie and Srebro, 2005 (s = 1); Nesterov, Math. Program. 2005, for the general form.
    """

    name = "smoothed-hinge"
    least_caution = 1e-5

    def __init__(self, smoothing: float = 1.0) -> None:
        if not smoothing > 0.0:
            raise ValueError(f"SmoothedHinge expects smoothing > 0; got {smoothing}. At 0 it is the hinge.")
        self.smoothing = float(smoothing)
        self.smoothness = 1.0 / self.smoothing

    def of_margin(self, margins: Floats) -> Floats:
        missing = np.maximum(0.0, 1.0 - margins)
        slopes = np.minimum(1.0, missing / self.smoothing)
        return slopes * (missing - 0.5 * self.smoothing * slopes)

    def slope(self, margins: Floats) -> Floats:
        return np.clip((1.0 - margins) / self.smoothing, 0.0, 1.0)

    def curvature(self, scores: Floats, targets: Floats) -> Floats:
        missing = 1.0 - scores * targets
        return ((missing >= 0.0) & (missing <= self.smoothing)) / self.smoothing

    def curvature_above(self, scores: Floats, targets: Floats) -> Floats:
        missing = 1.0 - scores * targets
        return 1.0 / np.where(missing > 0.0, np.maximum(missing, self.smoothing), self.smoothing - 2.0 * missing)

    def dual_of_slope(self, slopes: Floats) -> Floats:
        return slopes - 0.5 * self.smoothing * np.square(slopes)

    def __repr__(self) -> str:
        return f"SmoothedHinge({self.smoothing:g})"


class SquaredHinge(MarginLoss):
    """f(m) = max(0, 1 - m)^2;  t = 2 max(0, 1 - m);  dual: t - t^2 / 4."""

    name = "squared-hinge"
    largest = np.inf
    least_caution = 1e-5
    smoothness = 2.0

    def of_margin(self, margins: Floats) -> Floats:
        return np.square(np.maximum(0.0, 1.0 - margins))

    def slope(self, margins: Floats) -> Floats:
        return 2.0 * np.maximum(0.0, 1.0 - margins)

    def curvature(self, scores: Floats, targets: Floats) -> Floats:
        return np.where(scores * targets <= 1.0, 2.0, 0.0)

    def curvature_above(self, scores: Floats, targets: Floats) -> Floats:
        return np.full_like(scores, 2.0)

    def dual_of_slope(self, slopes: Floats) -> Floats:
        return slopes - 0.25 * np.square(slopes)


def entropy_terms(shares: Floats) -> Floats:
    """-s log s, with 0 at s = 0 and wherever rounding leaves s a little below it."""
    safe = np.maximum(shares, np.finfo(np.float64).tiny)
    return np.where(shares > 0.0, -safe * np.log(safe), 0.0)


def entropy_of_rest(shares: Floats) -> Floats:
    """-(1 - s) log(1 - s), to relative accuracy for small s too, where 1 - s by itself would lose it."""
    rest = np.maximum(1.0 - shares, 0.0)
    return np.where(rest > 0.0, -rest * np.log1p(-np.where(rest > 0.0, shares, 0.0)), 0.0)


def parabola_above(scores: Floats) -> Floats:
    """tanh(z / 2) / (2 z): curvature of the lowest parabola that touches log(1 + exp(z)) at z and lies above it.

    Source:  Jaakkola and Jordan, Stat. Comput. 2000.
    """
    size = np.maximum(np.abs(scores), 1e-4)
    return np.asarray(np.tanh(0.5 * size) / (2.0 * size))
