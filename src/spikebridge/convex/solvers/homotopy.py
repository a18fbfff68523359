"""The same quadratic with an l1 norm, one change of the support at a time: slower, and never stuck."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..losses import Floats
from .inverse import ActiveInverse

PIVOTS_PER_COORDINATE = 4
"""Changes allowed, as a multiple of the dimension; a path has about as many as weights change between zero and not."""


class Path:
    """Follow the minimiser of  x' H x / 2 - c(t)' x + sum_j lambda_j |x_j|  as c moves to its end.

    At t = 0, c is such that the given point is the minimiser; at t = 1 it is the one asked for. In between the
    minimiser is piecewise linear: it turns where a coordinate reaches zero, or a correlation its lambda.

    Args:
        hessian: H, positive definite.
        strengths: lambda, [m]; coordinates of 0 are never left out.
        point: x at t = 0; moves with t.
        missing: c - H x - s with s a subgradient of the norm at x.
        inverse: of H.

    Source:  Osborne, Presnell, Turlach, IMA J. Numer. Anal. 2000; Efron et al., Ann. Stat. 2004 (LARS).
    """

    def __init__(
        self, hessian: Floats, strengths: Floats, point: Floats, missing: Floats, *, inverse: ActiveInverse
    ) -> None:
        self.hessian, self.strengths, self.missing, self.inverse = hessian, strengths, missing, inverse
        self.point: Floats = point.copy()
        self.is_free = (point != 0.0) | (strengths == 0.0)
        self.signs = np.sign(point)
        self.time = 0.0
        self._last = -1

    def follow(self, correlations: Floats) -> Floats:
        """The point at t = 1, or as far as the pivots allow; correlations are s at t = 0."""
        correlations = correlations.copy()
        for _ in range(PIVOTS_PER_COORDINATE * len(self.point)):
            self.inverse.move_to(np.flatnonzero(self.is_free))
            active = self.inverse.active
            direction = np.zeros_like(self.point)
            direction[active] = self.inverse.apply(self.missing[active])
            rates = self.missing - self.hessian @ direction
            rates[active] = 0.0
            leaving, when_leaving = self._first_zero(direction)
            joining, when_joining = self._first_bound(correlations, rates)
            step = min(when_leaving, when_joining, 1.0 - self.time)
            self.point += step * direction
            correlations += step * rates
            self.time += step
            if self.time >= 1.0:
                break
            if when_leaving <= when_joining:
                self._turn(leaving, 0.0)
            else:
                self._turn(joining, float(np.sign(rates[joining])))
        return self.point

    def _turn(self, coordinate: int, sign: float) -> None:
        """A coordinate joins with a sign, or leaves with none."""
        self.signs[coordinate], self.is_free[coordinate], self._last = sign, sign != 0.0, coordinate
        if sign == 0.0:
            self.point[coordinate] = 0.0

    def _first_zero(self, direction: Floats) -> tuple[int, float]:
        crosses: NDArray[np.bool_] = self.is_free & (self.strengths > 0.0) & (self.signs * direction < 0.0)
        if self._last >= 0:
            crosses[self._last] &= self.point[self._last] != 0.0
        times = np.full(len(direction), np.inf)
        np.divide(-self.point, direction, out=times, where=crosses)
        return _first(times)

    def _first_bound(self, correlations: Floats, rates: Floats) -> tuple[int, float]:
        moves: NDArray[np.bool_] = ~self.is_free & (rates != 0.0)
        if self._last >= 0 and self.point[self._last] == 0.0:
            moves[self._last] = False
        times = np.full(len(rates), np.inf)
        np.divide(np.sign(rates) * self.strengths - correlations, rates, out=times, where=moves)
        return _first(np.maximum(times, 0.0))


def _first(times: Floats) -> tuple[int, float]:
    first = int(np.argmin(times))
    return first, float(times[first])
