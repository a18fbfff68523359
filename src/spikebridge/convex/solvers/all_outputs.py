"""l1 on a small working set: Newton's method in all weights of all outputs at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..losses import Floats
from ..softmax import Softmax
from .block import Block
from .inverse import ActiveInverse
from .quadratic import Quadratic, minimise

MOST_COORDINATES = 1000
"""Weights up to which the Hessian of all of them is worth its m^2 n."""

NEAR = 0.8
"""Coordinates whose gradient is above this share of lambda take part in a step."""

DAMPING = 1e-5
"""Added to the Hessian's diagonal, as a share of its mean."""

DECREASE, SMALLEST_STEP = 1e-4, 1e-10


@dataclass
class AllOutputs:
    """Proximal Newton steps on the whole block of a softmax, each an exactly solved quadratic, with backtracking.

    H[(j, c), (k, d)] = sum_i a_i A_ij A_ik (p_ic [c = d] - p_ic p_id). Without an intercept H is singular: the same
    number added to all classes of a column leaves p as it is. One output at a time would creep along such directions.

    Source:  proximal Newton: Lee, Sun, Saunders, SIAM J. Optim. 2014.
    """

    block: Block

    @staticmethod
    def suits(block: Block) -> bool:
        """Whether the block is small enough."""
        return isinstance(block.problem.loss, Softmax) and block.values.size <= MOST_COORDINATES

    def improve(self, tol: float, *, most: int) -> float:
        """Step until no coordinate's error exceeds tol, ``most`` times at most; the worst error before the last."""
        block, worst = self.block, np.inf
        strengths = np.repeat(block.strengths, block.values.shape[1])
        for _ in range(most):
            gradient = self._gradient()
            errors = Quadratic(np.zeros((0, 0)), gradient, strengths).errors(block.values.ravel(), gradient)
            worst = float(errors.max(initial=0.0))
            if worst <= tol or not self._step(gradient, strengths, tol=0.1 * worst):
                break
        return worst

    def _gradient(self) -> Floats:
        block = self.block
        residual = block.problem.residual(block.scores)
        return np.asarray(block.ridges[:, None] * block.values - block.transposed(residual)).ravel()

    def _step(self, gradient: Floats, strengths: Floats, *, tol: float) -> bool:
        """One Newton step, shortened until the objective falls as promised; whether it does."""
        block, values = self.block, self.block.values.ravel()
        needed = np.flatnonzero((values != 0.0) | (strengths == 0.0) | (np.abs(gradient) > NEAR * strengths))
        hessian = self._hessian(needed)
        inner = Quadratic(hessian, hessian @ values[needed] - gradient[needed], strengths[needed])
        direction = np.zeros_like(values)
        direction[needed] = minimise(inner, values[needed], ActiveInverse(hessian), tol=tol) - values[needed]
        start = block.problem.loss_value(block.scores) + block.penalty_of(block.values)
        promised = float(gradient @ direction + strengths @ (np.abs(values + direction) - np.abs(values)))
        change = block.product(direction.reshape(block.values.shape))
        step = 1.0
        while step > SMALLEST_STEP:
            moved = (values + step * direction).reshape(block.values.shape)
            scores = block.scores + step * change
            if block.problem.loss_value(scores) + block.penalty_of(moved) <= start + DECREASE * step * promised:
                block.values, block.scores = moved, scores
                return bool(direction.any())
            step *= 0.5
        return False

    def _hessian(self, needed: NDArray[np.intp]) -> Floats:
        """Over some coordinates, in the order of flat weights, with enough on the diagonal to be inverted."""
        block = self.block
        shares, weights = Softmax.shares(block.scores), block.problem.sample_weights[:, 0]
        columns, outputs = np.divmod(needed, block.values.shape[1])
        found = np.empty((len(needed), len(needed)))
        for one in range(block.values.shape[1]):
            for other in range(one + 1):
                bend = weights * shares[:, one] * (float(one == other) - shares[:, other])
                rows, others = np.flatnonzero(outputs == one), np.flatnonzero(outputs == other)
                left = np.asarray(block.matrix[:, columns[rows]], dtype=np.float64) * bend[:, None]
                product = left.T @ np.asarray(block.matrix[:, columns[others]], dtype=np.float64)
                found[np.ix_(rows, others)], found[np.ix_(others, rows)] = product, product.T
        diagonal: NDArray[np.float64] = np.einsum("ii->i", found)
        diagonal += block.ridges[columns] + DAMPING * diagonal.mean() + 1e-300
        return found
