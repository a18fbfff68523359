"""Groups on a working set: rows one after the other on a quadratic model, then Newton's method on those not zero."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..losses import Floats, Joint, Smooth
from .block import Block
from .caution import Caution
from .joint import Operator, conjugate_gradients, curvature_product, descend

STALE = 0.2
"""Relative change of the curvature up to which Gram matrices serve again."""

NEAR = 0.8
"""Rows whose gradient is above this share of lambda take part in a step."""

MOST_PASSES, FULL_EVERY = 60, 5


@dataclass
class ByRow:
    """Blockwise descent finds which rows are zero; Newton's method, where the penalty is smooth, finds their values.

    The model of the first puts the loss's second derivative, diag(p) - p p' for the softmax, below a diagonal one, so
    that each output has a Gram matrix of its own. On rows v_j != 0 the norm has the second derivative
    lambda / |v_j| * (I - n_j n_j'), n_j = v_j / |v_j|; a row that would cross zero stops there.

    Source:  blockwise descent: Simon, Friedman, Hastie, arXiv 1311.6529; Newton on the manifold of fixed support: Lewis
        and Wylie, Math. Oper. Res. 2021.
    """

    block: Block
    _grams: tuple[NDArray[np.intp], Floats, Floats] | None = None
    _caution: Caution = field(init=False)

    def __post_init__(self) -> None:
        self._caution = Caution(self.block.problem.loss.least_caution)

    def improve(self, tol: float, *, most: int) -> float:
        """Step until no row's error exceeds tol, ``most`` times at most; the last worst error."""
        worst = np.inf
        for _ in range(most):
            gradient = self._gradient()
            errors = self._errors(self.block.values, gradient, self.block.strengths)
            worst = float(errors.max(initial=0.0))
            if worst <= tol:
                break
            step = self._blockwise(gradient, worst)
            self._caution.learn(step)
            if max(step, self._newton()) == 0.0 and self._caution.share == 1.0:
                break
        return worst

    def _gradient(self) -> Floats:
        block = self.block
        return block.ridges[:, None] * block.values - block.transposed(block.problem.residual(block.scores))

    def _errors(self, values: Floats, gradient: Floats, strengths: Floats) -> Floats:
        return self.block.problem.penalty.errors(values, gradient, strengths[:, None])[:, 0]

    def _blockwise(self, gradient: Floats, worst: float) -> float:
        """Passes over the rows of the quadratic model, most of them over rows in use only."""
        block = self.block
        sizes = np.linalg.norm(gradient, axis=1)
        needed = np.flatnonzero(block.values.any(axis=1) | (block.strengths == 0.0) | (sizes > NEAR * block.strengths))
        rows, grams = self._models(needed)
        values, slope, strengths = block.values[rows].copy(), gradient[rows].copy(), block.strengths[rows]
        bends = np.einsum("jjc->jc", grams).max(axis=1)
        for count in range(MOST_PASSES):
            is_full = count % FULL_EVERY == 0
            if is_full and self._errors(values, slope, strengths).max(initial=0.0) <= 0.1 * worst:
                break
            visited = np.arange(len(rows)) if is_full else np.flatnonzero(values.any(axis=1))
            for row in visited.tolist():
                end = values[row] - slope[row] / bends[row]
                size = float(np.sqrt(end @ end))
                end *= max(0.0, 1.0 - strengths[row] / (bends[row] * size)) if size > 0.0 else 0.0
                change = end - values[row]
                if change.any():
                    values[row] = end
                    slope += grams[row] * change
        return descend(block, values - block.values[rows], rows, lambda old, new: new)

    def _models(self, needed: NDArray[np.intp]) -> tuple[NDArray[np.intp], Floats]:
        """Rows, at least those needed, and a Gram matrix of them for each output: [k, k, C]."""
        block = self.block
        curvature = self._curvature()
        if self._grams is not None:
            rows, old, grams = self._grams
            is_fresh = np.abs(curvature - old).sum() <= STALE * old.sum()
            if is_fresh and np.isin(needed, rows, assume_unique=True).all():
                return rows, grams
        grams = np.empty((len(needed), len(needed), block.problem.outputs))
        for output in range(block.problem.outputs):
            grams[:, :, output] = block.gram(curvature[:, output], needed)
        self._grams = (needed, curvature, grams)
        return needed, grams

    def _curvature(self) -> Floats:
        """A diagonal above the loss's second derivative, weighted: [n, C]."""
        problem, share = self.block.problem, self._caution.share
        assert isinstance(problem.loss, Smooth) and isinstance(problem.loss, Joint)
        curvature = problem.loss.bound_curvature(self.block.scores, problem.targets)
        return np.asarray(problem.sample_weights * ((1.0 - share) * curvature + share * problem.loss.smoothness))

    def _newton(self) -> float:
        block = self.block
        rows = np.flatnonzero(block.values.any(axis=1) | (block.strengths == 0.0))
        if not len(rows):
            return 0.0
        values = block.values[rows]
        sizes = np.maximum(np.linalg.norm(values, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        unit, bend = values / sizes, block.strengths[rows, None] / sizes
        slope = self._gradient()[rows] + block.strengths[rows, None] * unit
        smooth = curvature_product(block, rows)

        def product(given: Floats) -> Floats:
            radial = (given * unit).sum(axis=1, keepdims=True)
            return np.asarray(smooth(given) + bend * (given - radial * unit))

        direction = conjugate_gradients(product, -slope, self._preconditioner(rows, bend * (1.0 - np.square(unit))))

        def stop(old: Floats, new: Floats) -> Floats:
            crosses = ((old * new).sum(axis=1) <= 0.0) & (block.strengths[rows] > 0.0)
            return np.where(crosses[:, None], 0.0, new)

        return descend(block, direction, rows, stop)

    def _preconditioner(self, rows: NDArray[np.intp], diagonals: Floats) -> Operator:
        """Divide by every output's own Hessian."""
        known, grams = self._models(rows)
        places = np.searchsorted(known, rows)
        inverses = [
            np.linalg.inv(grams[:, :, output][np.ix_(places, places)] + np.diag(diagonals[:, output]))
            for output in range(self.block.problem.outputs)
        ]
        return lambda given: np.stack([inverse @ given[:, c] for c, inverse in enumerate(inverses)], axis=1)
