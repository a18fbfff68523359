"""l1 on a working set: Newton's method, one output at a time, each step an exactly solved quadratic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..losses import Floats, Smooth
from ..softmax import Softmax
from .block import Block
from .caution import Caution
from .inverse import ActiveInverse
from .joint import conjugate_gradients, curvature_product, descend
from .quadratic import Quadratic, minimise

STALE = 0.1
"""Relative change of the curvature up to which a Hessian serves again."""

NEAR = 0.8
"""Coordinates whose gradient is above this share of lambda take part in a step."""

DECREASE, SMALLEST_STEP, LONGEST_STEP = 1e-4, 1e-10, 2.0**20


class _Model(NamedTuple):
    """A Hessian, over some rows, at a curvature."""

    rows: NDArray[np.intp]
    curvature: Floats
    hessian: Floats
    inverse: ActiveInverse


@dataclass
class ByOutput:
    """Gauss-Seidel over outputs; each takes a proximal Newton step with backtracking.

    With one output this is the proximal Newton method. Hessians are kept while the curvature hardly changes.

    Source:  proximal Newton: Lee, Sun, Saunders, SIAM J. Optim. 2014; one class at a time: Friedman, Hastie,
        Tibshirani, J. Stat. Softw. 2010.
    """

    block: Block
    _models: dict[int, _Model] = field(default_factory=dict)
    _caution: Caution = field(init=False)

    def __post_init__(self) -> None:
        self._caution = Caution(self.block.problem.loss.least_caution)

    def improve(self, tol: float, *, most: int) -> float:
        """Sweep until no coordinate's error exceeds tol, ``most`` times at most; the worst error in the last sweep."""
        worst = np.inf
        for _ in range(most):
            worst = max(self._step(output, tol) for output in range(self.block.problem.outputs))
            if worst <= tol:
                break
            if isinstance(self.block.problem.loss, Softmax):
                self._together()
        return worst

    def _together(self) -> None:
        """Newton's step in all weights that are not zero, signs held: outputs that must move together do."""
        block = self.block
        is_free = (block.values != 0.0) | (block.strengths == 0.0)[:, None]
        rows = np.flatnonzero(is_free.any(axis=1))
        free, values = is_free[rows], block.values[rows]
        slope = block.ridges[rows, None] * values - block.transposed(block.problem.residual(block.scores), rows)
        slope += block.strengths[rows, None] * np.sign(values)
        product = curvature_product(block, rows)
        direction = conjugate_gradients(
            lambda given: free * product(given), -slope * free, lambda given: self._preconditioned(given, rows, free)
        )
        descend(block, direction, rows, lambda old, new: np.where(old * new < 0.0, 0.0, new))

    def _preconditioned(self, given: Floats, rows: NDArray[np.intp], free: NDArray[np.bool_]) -> Floats:
        """Divide by the Hessian of every output by itself, as last known."""
        result: Floats = given.copy()
        for output, model in self._models.items():
            known = np.isin(model.rows, rows[free[:, output]], assume_unique=True)
            model.inverse.move_to(np.flatnonzero(known))
            active = model.inverse.active
            places = np.searchsorted(rows, model.rows[active])
            result[places, output] = model.inverse.apply(given[places, output])
        return result

    def _step(self, output: int, tol: float) -> float:
        block = self.block
        values = block.values[:, output]
        residual = block.problem.residual(block.scores)[:, output : output + 1]
        gradient = block.ridges * values - block.transposed(residual)[:, 0]
        errors = Quadratic(np.zeros((0, 0)), gradient, block.strengths).errors(values, gradient)
        worst = float(errors.max(initial=0.0))
        if worst <= tol:
            return worst
        needed = np.flatnonzero(
            (values != 0.0) | (block.strengths == 0.0) | (np.abs(gradient) > NEAR * block.strengths)
        )
        model = self._model(output, needed)
        inner = Quadratic(
            model.hessian, model.hessian @ values[model.rows] - gradient[model.rows], block.strengths[model.rows]
        )
        found = minimise(inner, values[model.rows], model.inverse, tol=0.1 * worst)
        self._move(output, model.rows, found - values[model.rows], gradient)
        return worst

    def _model(self, output: int, needed: NDArray[np.intp]) -> _Model:
        block = self.block
        curvature = block.problem.sample_weights[:, 0] * self._curvature()[:, output]
        model = self._models.get(output)
        if model is not None and np.isin(needed, model.rows, assume_unique=True).all():
            if np.abs(curvature - model.curvature).sum() <= STALE * model.curvature.sum():
                return model
        hessian = block.gram(curvature, needed)
        self._models[output] = _Model(needed, curvature, hessian, ActiveInverse(hessian))
        return self._models[output]

    def _curvature(self) -> Floats:
        """The loss's, or between that and a parabola above the loss, the nearer to this the worse steps turn out."""
        problem, scores = self.block.problem, self.block.scores
        assert isinstance(problem.loss, Smooth)
        curvature = problem.loss.curvature(scores, problem.targets)
        if self._caution.share == 0.0:
            return curvature
        above = problem.loss.curvature_above(scores, problem.targets)
        return curvature + self._caution.share * (above - curvature)

    def _move(self, output: int, rows: NDArray[np.intp], direction: Floats, gradient: Floats) -> None:
        """Backtrack from the whole step until the objective falls as promised.

        Where the Hessian has more curvature than the loss, steps may be far too short, as along a valley without any:
        then the step doubles for as long as the objective falls.
        """
        block, problem = self.block, self.block.problem
        change = block.product(direction[:, None], rows)[:, 0]
        old = block.values[:, output].copy()
        strengths, ridges = block.strengths[rows], block.ridges[rows]

        def objective(values: Floats, step: float) -> float:
            scores = block.scores.copy()
            scores[:, output] += step * change
            return problem.loss_value(scores) + float(strengths @ np.abs(values) + 0.5 * ridges @ np.square(values))

        start = objective(old[rows], 0.0)
        promised = float(gradient[rows] @ direction) + float(
            strengths @ (np.abs(old[rows] + direction) - np.abs(old[rows]))
        )
        step = 1.0
        while objective(old[rows] + step * direction, step) > start + DECREASE * step * promised:
            step *= 0.5
            if step < SMALLEST_STEP:
                break
        if step == 1.0 and self._caution.share > 0.0:
            step = self._lengthened(old[rows], direction, objective)
        self._caution.learn(min(step, 1.0) if direction.any() else 0.0)
        if step < SMALLEST_STEP:
            return
        block.values[rows, output] = old[rows] + step * direction
        block.scores[:, output] += step * change

    @staticmethod
    def _lengthened(old: Floats, direction: Floats, objective: Callable[[Floats, float], float]) -> float:
        step, value = 1.0, objective(old + direction, 1.0)
        while step < LONGEST_STEP and (longer := objective(old + 2.0 * step * direction, 2.0 * step)) < value:
            step, value = 2.0 * step, longer
        return step
