"""The part of a problem that a working set sees: its columns as one dense matrix, the intercept among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..losses import Floats
from ..problem import Problem

ROWS = 4096
"""Rows widened to float64 at a time where the block is float32."""


@dataclass
class Block:
    """Columns A = [D[:, columns], 1] with their weights V, and the scores A V; V and scores change in place.

    Attributes:
        problem: the whole problem.
        matrix: A, [n, m]; float32 where that loses nothing.
        strengths: lambda of every row of V, [m]; 0 for the intercept.
        ridges: likewise.
        values: V, [m, C].
        scores: A V, [n, C].
    """

    problem: Problem
    matrix: NDArray[np.floating]
    strengths: Floats
    ridges: Floats
    values: Floats
    scores: Floats

    @classmethod
    def of(cls, problem: Problem, columns: NDArray[np.intp], weights: Floats, intercept: Floats) -> Block:
        """Take columns out of the dictionary; all other weights must be zero."""
        taken = problem.dictionary.take(columns)
        narrow = taken.astype(np.float32)
        matrix: NDArray[np.floating] = narrow if problem.outputs > 1 and np.array_equal(narrow, taken) else taken
        values, count = weights[columns], len(columns)
        strengths, ridges = np.full(count, problem.strength), np.full(count, problem.ridge)
        if problem.intercept:
            matrix = np.hstack([matrix, np.ones((len(matrix), 1), dtype=matrix.dtype)])
            values = np.vstack([values, intercept])
            strengths, ridges = np.append(strengths, 0.0), np.append(ridges, 0.0)
        block = cls(problem, matrix, strengths, ridges, values, np.zeros_like(problem.targets))
        block.scores = block.product(values)
        return block

    def split(self) -> tuple[Floats, Floats]:
        """Weights of the columns, and the intercept."""
        if self.problem.intercept:
            return self.values[:-1], self.values[-1]
        return self.values, np.zeros(self.problem.outputs)

    def penalty_of(self, values: Floats) -> float:
        """What the problem pays for V beside the loss."""
        penalised = values[:-1] if self.problem.intercept else values
        return self.problem.penalty_value(penalised)

    def product(self, values: Floats, rows: NDArray[np.intp] | None = None) -> Floats:
        """A V, or A[:, rows] V."""
        found = np.empty((len(self.matrix), values.shape[1]))
        for part in self._parts():
            found[part] = self._wide(part, rows) @ values
        return found

    def transposed(self, residuals: Floats, rows: NDArray[np.intp] | None = None) -> Floats:
        """A' U, or A[:, rows]' U."""
        found = np.zeros((self.matrix.shape[1] if rows is None else len(rows), residuals.shape[1]))
        for part in self._parts():
            found += self._wide(part, rows).T @ residuals[part]
        return found

    def gram(self, curvature: Floats, rows: NDArray[np.intp]) -> Floats:
        """A[:, rows]' diag(h) A[:, rows] + diag(ridge), with enough on the diagonal to be inverted."""
        scaled = self.matrix[:, rows] * np.sqrt(curvature).astype(self.matrix.dtype)[:, None]
        found = np.asarray(scaled.T @ scaled, dtype=np.float64)
        diagonal = np.einsum("ii->i", found)
        relative = 1e-6 if self.matrix.dtype == np.float32 else 1e-8
        diagonal += self.ridges[rows] + relative * diagonal.mean() + 1e-300
        return found

    def _parts(self) -> list[slice]:
        if self.matrix.dtype == np.float64:
            return [slice(None)]
        return [slice(start, start + ROWS) for start in range(0, len(self.matrix), ROWS)]

    def _wide(self, part: slice, rows: NDArray[np.intp] | None) -> Floats:
        taken = self.matrix[part] if rows is None else self.matrix[part][:, rows]
        return taken.astype(np.float64, copy=False)
