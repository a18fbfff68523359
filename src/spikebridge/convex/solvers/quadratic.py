"""A quadratic with a weighted l1 norm, solved exactly by an active set: the inner problem of a Newton step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..losses import Floats
from ..penalties import L1
from .homotopy import Path
from .inverse import ActiveInverse

MOST_STEPS = 5
"""Steps of many changes at a time; where they do not end, one at a time does."""


MOST_PATHS = 4
"""Paths until rounding is made good."""


class Quadratic(NamedTuple):
    """x' H x / 2 - c' x + sum_j lambda_j |x_j|."""

    hessian: Floats
    linear: Floats
    strengths: Floats

    def value(self, point: Floats, gradient: Floats) -> float:
        """At a point, given H x - c there."""
        return float(0.5 * point @ (gradient - self.linear) + self.strengths @ np.abs(point))

    def errors(self, point: Floats, gradient: Floats) -> Floats:
        """Distance of 0 from the subdifferential, coordinate by coordinate."""
        return L1().errors(point, gradient, self.strengths)


def minimise(problem: Quadratic, start: Floats, inverse: ActiveInverse, *, tol: float) -> Floats:
    """The minimiser, to errors of at most tol, starting where an earlier one was.

    Each step: the violators join the support, Newton's step is taken on it with the signs held, and what crosses zero
    stops there. Two ends of the step are tried: the minimum along the segment, and the whole step with every crossing
    set to zero; the lower one is taken. Where many coordinates are near zero that can take for ever: after some steps
    the support changes one coordinate at a time instead, along a :class:`Path`, which ends.

    Args:
        problem: with a positive definite Hessian.
        start: [m].
        inverse: of this Hessian.
        tol: absolute.

    Source:  feature-sign search, Lee et al., NIPS 2006; here many coordinates join and leave in one step.
    """
    point, gradient = start, problem.hessian @ start - problem.linear
    for _ in range(MOST_STEPS):
        errors = problem.errors(point, gradient)
        if errors.max(initial=0.0) <= tol:
            return point
        active, signs = _support(problem, point, gradient, errors)
        direction = _direction(problem, point, gradient, active, signs, inverse)
        ends = (_minimum_along(problem, point, gradient, direction), _stopped(point, point + direction))
        gradients = [problem.hessian @ end - problem.linear for end in ends]
        values = [problem.value(end, slope) for end, slope in zip(ends, gradients, strict=True)]
        best = int(np.argmin(values))
        point, gradient = ends[best], gradients[best]
    for _ in range(MOST_PATHS):
        start = _subgradient(problem, point, gradient)
        path = Path(problem.hessian, problem.strengths, point, -gradient - start, inverse=inverse)
        point = path.follow(start)
        gradient = problem.hessian @ point - problem.linear
        if problem.errors(point, gradient).max(initial=0.0) <= tol:
            break
        inverse.restart(inverse.active)
    return point


def _subgradient(problem: Quadratic, point: Floats, gradient: Floats) -> Floats:
    """Of the norm at x: -gradient where that is one, else the further inside the larger it is: no two coincide."""
    share = problem.strengths / np.maximum(np.abs(gradient), np.finfo(np.float64).tiny)
    return np.where(point == 0.0, -gradient * np.square(np.minimum(1.0, share)), problem.strengths * np.sign(point))


def _support(problem: Quadratic, point: Floats, gradient: Floats, errors: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Who takes part, with the sign each must keep: the support, and the worst violators, as many again at most."""
    used = (point != 0.0) | (problem.strengths == 0.0)
    joins = ~used & (errors > 0.0)
    most = max(10, int(np.count_nonzero(used)))
    if np.count_nonzero(joins) > most:
        joins &= errors >= np.partition(errors[joins], -most)[-most]
    signs = np.where(point != 0.0, np.sign(point), -np.sign(gradient))
    return used | joins, signs


def _direction(
    problem: Quadratic,
    point: Floats,
    gradient: Floats,
    active: NDArray[np.bool_],
    signs: Floats,
    inverse: ActiveInverse,
) -> Floats:
    """Newton's step with signs held; whoever would start on the wrong side of zero is left out, and it is redone."""
    slope = gradient + problem.strengths * signs
    newcomers = active & (point == 0.0) & (problem.strengths > 0.0)
    while True:
        direction = np.zeros_like(point)
        inverse.move_to(np.flatnonzero(active))
        direction[inverse.active] = inverse.solve(-slope[inverse.active])
        wrong = newcomers & active & (direction * signs < 0.0)
        if not wrong.any():
            return direction
        active = active & ~wrong


def _stopped(point: Floats, end: Floats) -> Floats:
    return np.where(point * end < 0.0, 0.0, end)


def _minimum_along(problem: Quadratic, point: Floats, gradient: Floats, direction: Floats) -> Floats:
    """The exact minimiser over t >= 0 of the objective at x + t d: piecewise quadratic, one piece per sign change."""
    bend = float(direction @ (problem.hessian @ direction))
    towards = np.where(point == 0.0, np.abs(direction), np.sign(point) * direction)
    slope = float(gradient @ direction + problem.strengths @ towards)
    crossing = np.flatnonzero(point * direction < 0.0)
    times = -point[crossing] / direction[crossing]
    order = np.argsort(times)
    crossing, times = crossing[order], times[order]
    jumps = np.concatenate([[0.0], np.cumsum(2.0 * problem.strengths[crossing] * np.abs(direction[crossing]))])
    slopes_before = slope + jumps[:-1] + bend * times
    piece = int(np.argmax(slopes_before >= 0.0)) if (slopes_before >= 0.0).any() else len(times)
    inside = -(slope + jumps[piece]) / bend
    at_crossing = piece > 0 and inside <= times[piece - 1]
    time = float(times[piece - 1]) if at_crossing else float(inside)
    end = point + time * direction
    if at_crossing:
        end[crossing[piece - 1]] = 0.0
    return end
