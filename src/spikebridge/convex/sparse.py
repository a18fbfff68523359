"""A dictionary of few non-zeros."""

from __future__ import annotations

from typing import Any

import numpy as np

from .columns import Dictionary, Floats, Index, require_finite, require_matrix


class SparseDictionary(Dictionary):
    """A scipy sparse matrix, kept by columns (CSC) in float64.

    Args:
        matrix: any scipy sparse matrix or array, [samples, features].

    Raises:  ValueError: no row or no column, NaN or infinity. TypeError: what is not sparse, or not real.

    >>> from scipy.sparse import eye
    >>> SparseDictionary(eye(3, format="csr")).matvec(np.array([1.0, 2.0, 3.0])).tolist()
    [1.0, 2.0, 3.0]
    """

    def __init__(self, matrix: Any) -> None:
        from scipy import sparse  # scipy is slow to import, and only this class needs it

        if not sparse.issparse(matrix):
            raise TypeError(
                f"SparseDictionary expects a scipy sparse matrix; got {type(matrix).__name__}. as_dictionary chooses "
                f"the kind for any matrix."
            )
        require_matrix(matrix, owner="SparseDictionary")
        if matrix.dtype.kind not in "biuf":
            raise TypeError(f"SparseDictionary expects real numbers; got {matrix.dtype}.")
        self._matrix = sparse.csc_array(matrix, dtype=np.float64)
        if not self._matrix.has_canonical_format:
            self._matrix = self._matrix.copy()  # it may share the caller's arrays, which stay as they are
            self._matrix.sum_duplicates()
        require_finite(self._matrix.data, owner="SparseDictionary")
        self.is_binary = bool((self._matrix.data == 1.0).all())
        self.shape = (int(matrix.shape[0]), int(matrix.shape[1]))

    @property
    def nbytes(self) -> int:
        return int(self._matrix.data.nbytes + self._matrix.indices.nbytes + self._matrix.indptr.nbytes)

    def nonzeros(self) -> Floats:
        """The numbers that are stored, column after column."""
        return np.asarray(self._matrix.data)

    def column_norms(self) -> Floats:
        return np.asarray(self._matrix.multiply(self._matrix).sum(axis=0), dtype=np.float64).ravel()

    def column_sums(self) -> Floats:
        return np.asarray(self._matrix.sum(axis=0), dtype=np.float64).ravel()

    def _matvec(self, weights: Floats, columns: Index | None) -> Floats:
        return np.asarray(self._columns(columns) @ weights)

    def _rmatvec(self, values: Floats, columns: Index | None) -> Floats:
        return np.asarray(self._columns(columns).T @ values)

    def _take(self, columns: Index) -> Floats:
        return np.asarray(self._columns(columns).toarray())

    def _take_rows(self, rows: Index) -> Dictionary:
        return SparseDictionary(self._matrix[rows])

    def _columns(self, columns: Index | None) -> Any:
        return self._matrix if columns is None else self._matrix[:, columns]
