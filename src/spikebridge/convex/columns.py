"""What a dictionary is: a matrix that a convex training problem touches only through a handful of products."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Index = NDArray[np.intp]


class Dictionary(ABC):
    """D, n rows (samples) by P columns (features), known through its products alone.

    How the numbers are kept (bits, bytes, non-zeros, a seed) is the subclass's affair; whoever solves or certifies
    never asks. All products are float64.

    Attributes:
        shape: (n, P), both >= 1.
        is_binary: whether every entry is known to be 0 or 1.

    Shapes:  weights [P] or [P, outputs];  values [n] or [n, outputs];  columns [k], indices into P, in any order and
        with repeats. A product restricted to columns takes, or gives, k entries in place of P.
    Raises:  ValueError: an operand of another length, or an index out of range. TypeError: an index that is no whole
        number.
    """

    shape: tuple[int, int]
    is_binary: bool = False

    def matvec(self, weights: NDArray[Any], *, columns: NDArray[Any] | None = None) -> Floats:
        """D w, or D[:, columns] w:  [P] -> [n],  [P, outputs] -> [n, outputs]."""
        index = None if columns is None else self._index(columns)
        wanted = self.shape[1] if index is None else len(index)
        return self._as_given(self._matvec(self._operand(weights, wanted, "weights"), index), weights)

    def rmatvec(self, values: NDArray[Any], *, columns: NDArray[Any] | None = None) -> Floats:
        """D^T v, or D[:, columns]^T v:  [n] -> [P],  [n, outputs] -> [P, outputs]."""
        index = None if columns is None else self._index(columns)
        return self._as_given(self._rmatvec(self._operand(values, self.shape[0], "values"), index), values)

    def take(self, columns: NDArray[Any]) -> Floats:
        """D[:, columns] as a dense matrix of its own: [k] -> [n, k]."""
        return self._take(self._index(columns))

    def take_rows(self, rows: NDArray[Any]) -> Dictionary:
        """D[rows], a dictionary of the same kind; indices in any order and with repeats."""
        return self._take_rows(index_into(rows, self.shape[0], owner=f"{type(self).__name__}.take_rows", axis="row"))

    def agreed(self, is_so: bool) -> bool:
        """Whether it is so for any process that holds rows; as clocks differ, whether time is over is asked of all."""
        return is_so

    @abstractmethod
    def column_norms(self) -> Floats:
        """The squared 2-norm of every column: [P]."""

    @abstractmethod
    def column_sums(self) -> Floats:
        """The sum of every column: [P]."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes that the stored numbers take."""

    @abstractmethod
    def _matvec(self, weights: Floats, columns: Index | None) -> Floats:
        """[k, outputs] -> [n, outputs]."""

    @abstractmethod
    def _rmatvec(self, values: Floats, columns: Index | None) -> Floats:
        """[n, outputs] -> [k, outputs]."""

    @abstractmethod
    def _take(self, columns: Index) -> Floats: ...

    @abstractmethod
    def _take_rows(self, rows: Index) -> Dictionary: ...

    def __repr__(self) -> str:
        rows, columns = self.shape
        return f"{type(self).__name__}({rows} rows, {columns} columns, {self.nbytes / 1e6:.3g} MB)"

    def _index(self, columns: NDArray[Any]) -> Index:
        return index_into(columns, self.shape[1], owner=type(self).__name__, axis="column")

    def _operand(self, operand: NDArray[Any], length: int, name: str) -> Floats:
        array = np.asarray(operand, dtype=np.float64)
        if array.ndim not in (1, 2) or len(array) != length:
            raise ValueError(
                f"{type(self).__name__} of {self.shape[0]} rows and {self.shape[1]} columns expects {name} [{length}] "
                f"or [{length}, outputs]; got shape {array.shape}."
            )
        return np.ascontiguousarray(array.reshape(length, -1) if length else array.reshape(0, *array.shape[1:] or (1,)))

    @staticmethod
    def _as_given(product: Floats, operand: NDArray[Any]) -> Floats:
        return product[:, 0] if np.ndim(operand) == 1 else product


def index_into(index: NDArray[Any], length: int, *, owner: str, axis: str) -> Index:
    """An index array, checked: whole numbers in [0, length), one axis."""
    found = np.asarray(index)
    if found.size == 0:
        return np.zeros(0, dtype=np.intp)
    if not np.issubdtype(found.dtype, np.integer):
        raise TypeError(
            f"{owner} expects {axis} indices, whole numbers; got {found.dtype}. A mask becomes indices with "
            f"numpy.flatnonzero."
        )
    if found.ndim != 1 or found.min() < 0 or found.max() >= length:
        raise ValueError(
            f"{owner} expects {axis} indices in [0, {length}), along one axis; got shape {found.shape}, from "
            f"{found.min()} to {found.max()}."
        )
    return found.astype(np.intp, copy=False)


def require_matrix(matrix: Any, *, owner: str) -> None:
    """Refuse what cannot be a dictionary: another number of axes, no row or no column."""
    shape = tuple(np.shape(matrix))
    if len(shape) != 2:
        raise ValueError(
            f"{owner} expects a matrix [samples, features]; got shape {shape}. One column is matrix[:, None]."
        )
    if 0 in shape:
        raise ValueError(f"{owner} expects at least one row and one column; got shape {shape}.")


def require_finite(numbers: NDArray[Any], *, owner: str) -> None:
    """Refuse NaN and infinity: they would spread to every product without a word."""
    if np.issubdtype(numbers.dtype, np.inexact) and not np.isfinite(numbers).all():
        wrong = int(np.size(numbers) - np.count_nonzero(np.isfinite(numbers)))
        raise ValueError(f"{owner} expects finite numbers; got {wrong} that are NaN or infinite.")
