"""A dictionary of any real numbers, kept as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import Dictionary, Floats, Index, require_finite, require_matrix

BLOCK_ENTRIES = 1 << 22
"""Entries widened to float64 at a time (32 MB) where the matrix is kept in a narrower type."""


class DenseDictionary(Dictionary):
    """A real matrix; float64 stays a view of what was given, narrower types are widened block by block.

    Args:
        matrix: [samples, features]; float32, float64, bool or whole numbers.

    Raises:  ValueError: not a matrix, no row or no column, NaN or infinity. TypeError: what is not real numbers.

    >>> DenseDictionary(np.array([[1.0, 2.0], [0.0, 4.0]])).rmatvec(np.array([1.0, 0.5])).tolist()
    [1.0, 4.0]
    """

    def __init__(self, matrix: NDArray[Any]) -> None:
        require_matrix(matrix, owner="DenseDictionary")
        array = np.asarray(matrix)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"DenseDictionary expects real numbers; got {array.dtype}. Convert with .astype(float).")
        require_finite(array, owner="DenseDictionary")
        self._matrix = array
        self.shape = (array.shape[0], array.shape[1])

    @property
    def nbytes(self) -> int:
        return self._matrix.nbytes

    def column_norms(self) -> Floats:
        return np.asarray(sum((np.einsum("ij,ij->j", block, block) for _, block in self._blocks(None))))

    def column_sums(self) -> Floats:
        return np.asarray(sum((block.sum(axis=0) for _, block in self._blocks(None))))

    def _matvec(self, weights: Floats, columns: Index | None) -> Floats:
        product = np.empty((self.shape[0], weights.shape[1]))
        for rows, block in self._blocks(columns):
            np.matmul(block, weights, out=product[rows])
        return product

    def _rmatvec(self, values: Floats, columns: Index | None) -> Floats:
        product = np.zeros((self.shape[1] if columns is None else len(columns), values.shape[1]))
        for rows, block in self._blocks(columns):
            product += block.T @ values[rows]
        return product

    def _take(self, columns: Index) -> Floats:
        return self._matrix[:, columns].astype(np.float64)

    def _take_rows(self, rows: Index) -> Dictionary:
        return DenseDictionary(self._matrix[rows])

    def _blocks(self, columns: Index | None) -> Iterator[tuple[slice, Floats]]:
        width = self.shape[1] if columns is None else len(columns)
        is_view = self._matrix.dtype == np.float64 and columns is None
        height = self.shape[0] if is_view else max(1, BLOCK_ENTRIES // max(1, width))
        for start in range(0, self.shape[0], height):
            rows = slice(start, start + height)
            block = self._matrix[rows] if columns is None else self._matrix[rows, columns]
            yield rows, block.astype(np.float64, copy=False)
