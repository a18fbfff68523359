"""Accelerated proximal gradients over all columns, for rows on one process or many, in float64 or in fixed point."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..bounds import Bound, lower_bound
from ..grid import quantum_for, rounded
from ..losses import Floats
from ..problem import Problem
from ..sharded import ShardedDictionary
from .found import Found

CHECK_EVERY, MOST_STEPS, POWER_STEPS = 20, 100_000, 30
SAFETY = 1.05
"""The power method comes to the largest eigenvalue from below."""


class _Point(NamedTuple):
    """Weights, and the intercept of centred columns."""

    weights: Floats
    intercept: Floats


class _Slope(NamedTuple):
    """The gradient of loss and ridge, and the loss."""

    weights: Floats
    intercept: Floats
    loss: float


def fista(problem: Problem, weights: Floats, intercept: Floats, *, tol: float, max_time: float) -> Found:
    """Solve to a relative duality gap by FISTA with restarts: one product with D, one with D^T a step.

    With a free intercept the columns are centred without being changed, as b' = b + mean' w: spike patterns share a
    mean direction, without which steps can be many times as long. On a :class:`ShardedDictionary` a step has one
    all-reduce, of P C + C + 1 numbers.

    Source:  Beck and Teboulle, SIAM J. Imaging Sci. 2009; restarts: O'Donoghue and Candes, Found. Comput. Math. 2015.
    """
    return _run(_Steps(problem, is_exact=False), weights, intercept, tol=tol, max_time=max_time)


def fista_fixed_point(problem: Problem, weights: Floats, intercept: Floats, *, tol: float, max_time: float) -> Found:
    """As :func:`fista`, with weights and residuals on grids where all sums are exact: the same bits for any sharding.

    Raises:  ValueError: a dictionary that is not known to hold zeros and ones only.
    """
    if not problem.dictionary.is_binary:
        raise ValueError(
            f"Solver 'fista-fixed-point' expects a dictionary of zeros and ones; got {problem.dictionary!r}. Solver "
            f"'fista' takes any."
        )
    return _run(_Steps(problem, is_exact=True), weights, intercept, tol=tol, max_time=max_time)


def _run(steps: _Steps, weights: Floats, intercept: Floats, *, tol: float, max_time: float) -> Found:
    problem, deadline = steps.problem, time.monotonic() + max_time
    curvature = steps.largest_curvature()
    here = ahead = steps.snapped(_Point(weights, intercept + steps.means @ weights))
    momentum, best, least = 1.0, -np.inf, np.inf
    dual_point, is_finished, count = np.zeros_like(problem.targets), False, 0
    for count in range(1, MOST_STEPS + 1):
        slope = steps.slope(ahead)
        moved = steps.step(ahead, slope, curvature)
        turn = float(((ahead.weights - moved.weights) * (moved.weights - here.weights)).sum())
        momentum_before, momentum = momentum, 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum * momentum))
        if turn > 0.0:
            momentum_before = momentum = 1.0
        ahead = steps.snapped(steps.beyond(here, moved, (momentum_before - 1.0) / momentum))
        here = moved
        if count % CHECK_EVERY:
            continue
        primal, bound = steps.judge(here)
        if bound.value > best:
            best, dual_point = bound.value, bound.point
        is_finished = primal - best <= tol * primal
        if primal > least * (1.0 + 1e-9):
            curvature, momentum, ahead = 2.0 * curvature, 1.0, here
        least = min(least, primal)
        if problem.dictionary.agreed(is_finished or time.monotonic() > deadline):
            break
    return Found(here.weights, here.intercept - steps.means @ here.weights, dual_point, count, is_finished)


@dataclass
class _Steps:
    """What a step needs, over the rows of this process and summed over all of them."""

    problem: Problem
    is_exact: bool

    def __post_init__(self) -> None:
        problem, dictionary = self.problem, self.problem.dictionary
        self.total: Callable[[Floats], Floats]
        if isinstance(dictionary, ShardedDictionary):
            self.local, self.rows, self.total = dictionary.local, dictionary.rows, dictionary.total
        else:
            self.local, self.rows, self.total = dictionary, slice(None), _alone
        self.targets, self.shares = problem.targets[self.rows], problem.sample_weights[self.rows]
        self.means = np.zeros(dictionary.shape[1])
        start = problem.residual(np.zeros_like(problem.targets))
        worst = problem.loss_value(np.zeros_like(problem.targets))
        self.residual_quantum = quantum_for(np.array(16.0 * float(np.abs(start).sum()) + 2.0))
        self.weight_quantum = quantum_for(np.array(4.0 * worst / max(problem.strength, 1e-12) + 1e3))
        if problem.intercept:
            self.means = dictionary.rmatvec(self._on_grid(problem.sample_weights, self.residual_quantum))[:, 0]

    def _on_grid(self, numbers: Floats, quantum: float) -> Floats:
        return rounded(numbers, quantum) if self.is_exact else numbers

    def snapped(self, point: _Point) -> _Point:
        """On the grid of weights, in fixed point."""
        quantum = self.weight_quantum
        return _Point(self._on_grid(point.weights, quantum), self._on_grid(point.intercept, quantum))

    def beyond(self, here: _Point, moved: _Point, momentum: float) -> _Point:
        """Past the last step, by a share of it."""
        weights = moved.weights + momentum * (moved.weights - here.weights)
        return _Point(weights, moved.intercept + momentum * (moved.intercept - here.intercept))

    def slope(self, point: _Point) -> _Slope:
        """Gradient and loss, from one product with D, one with D^T, and one all-reduce."""
        shift = self._on_grid(point.intercept - self.means @ point.weights, self.weight_quantum)
        scores = self.local.matvec(point.weights) + shift
        loss = self.problem.loss
        residual = self._on_grid(self.shares * loss.residual(scores, self.targets), self.residual_quantum)
        losses = self._on_grid(self.shares[:, 0] * loss.values(scores, self.targets), self.residual_quantum)
        sums = [residual.sum(axis=0), np.full(residual.shape[1], losses.sum())]
        parts = self.total(np.vstack([self.local.rmatvec(residual), *sums]))
        sums = parts[-2]
        gradient = self.problem.ridge * point.weights - (parts[:-2] - self.means[:, None] * sums)
        return _Slope(gradient, -sums, float(parts[-1, 0]))

    def step(self, point: _Point, slope: _Slope, curvature: float) -> _Point:
        """Down the gradient, then the penalty's proximal step."""
        problem, length = self.problem, 1.0 / curvature
        weights = problem.penalty.prox(point.weights - length * slope.weights, length * problem.strength)
        moves = point.intercept - length * slope.intercept if problem.intercept else point.intercept
        return self.snapped(_Point(weights, moves))

    def largest_curvature(self) -> float:
        """Of loss and ridge along any direction: by the power method on the centred columns and the intercept."""
        problem, count = self.problem, self.problem.dictionary.shape[1]
        vector = np.cos(np.arange(count + 1.0))[:, None] + 1.0
        size = 0.0
        for _ in range(POWER_STEPS):
            vector = self._on_grid(vector / np.linalg.norm(vector), self.weight_quantum)
            shift = self._on_grid(vector[-1] - self.means @ vector[:-1], self.weight_quantum)
            image = self.shares * (self.local.matvec(vector[:-1]) + (shift if problem.intercept else 0.0))
            image = self._on_grid(image, self.residual_quantum * 2.0**10)
            parts = self.total(np.vstack([self.local.rmatvec(image), image.sum(axis=0)]))
            vector = np.vstack([parts[:-1] - self.means[:, None] * parts[-1], parts[-1:] * problem.intercept])
            size = float(np.linalg.norm(vector))
        smoothness: float = problem.loss.smoothness  # type: ignore[attr-defined]
        return SAFETY * smoothness * size + problem.ridge + 1e-12

    def judge(self, point: _Point) -> tuple[float, Bound]:
        """The objective and a bound."""
        problem = self.problem
        scores = problem.scores(point.weights, point.intercept - self.means @ point.weights)
        bound = lower_bound(problem, problem.residual(scores))
        return problem.loss_value(scores) + problem.penalty_value(point.weights), bound


def _alone(parts: Floats) -> Floats:
    """What a process has, where it is the only one."""
    return parts
