"""A dictionary of zeros and ones, one bit an entry."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import Dictionary, Floats, Index, require_finite, require_matrix
from .kernels import Kernels, kernels_for
from .packing import Words, blocks, pack, popcounts, unpack, word_count

COMPILED_FROM = 1 << 20
"""Entries from which on compiled kernels are worth loading; smaller dictionaries use NumPy when left to choose."""


class BitDictionary(Dictionary):
    """Zeros and ones, packed 64 rows to a word, column after column: 1/32 of float32, 1/64 of float64.

    Args:
        words: [P, ceil(rows / 64)]; bit i % 64 of ``words[j, i // 64]`` is entry (i, j), bits past the last row zero.
        rows: n.
        kernels: what multiplies: "numba", "numpy", or "auto" for numba where it is installed and the dictionary is
            not small.

    Raises:  ValueError: words of another shape, or ones past the last row.
    Source:  Chang et al., GigaScience 2015 (PLINK 1.9): bit-packed columns, counts by popcount.

    >>> bits = BitDictionary.from_columns(np.array([[1, 0], [1, 1], [0, 1]]))
    >>> bits.matvec(np.array([2.0, 0.5])).tolist(), bits.gram().tolist()
    ([2.0, 2.5, 0.5], [[2, 1], [1, 2]])
    """

    is_binary = True

    def __init__(self, words: Words, rows: int, *, kernels: str = "auto") -> None:
        words = np.ascontiguousarray(words, dtype=np.uint64)
        if words.ndim != 2 or len(words) == 0 or rows < 1 or words.shape[1] != word_count(rows):
            raise ValueError(
                f"BitDictionary of {rows} rows expects words [columns, {word_count(rows)}] with at least one row and "
                f"one column; got shape {words.shape}. from_columns packs a matrix."
            )
        if rows % 64 and bool((words[:, -1] >> np.uint64(rows % 64)).any()):
            raise ValueError(f"BitDictionary of {rows} rows expects zeros past the last row; got ones.")
        kernels_for(kernels if kernels != "auto" else "numpy")
        self.words, self.kernels = words, kernels
        self.shape = (rows, len(words))

    @classmethod
    def from_columns(cls, matrix: NDArray[Any], *, kernels: str = "auto") -> BitDictionary:
        """Pack a matrix of zeros and ones, [samples, features], of any type.

        Raises:  ValueError: not a matrix, no row or no column, or an entry other than 0 and 1.
        """
        require_matrix(matrix, owner="BitDictionary")
        array = np.asarray(matrix)
        rows, columns = array.shape
        words = np.empty((columns, word_count(rows)), dtype=np.uint64)
        for block in blocks(rows, columns):
            words[block] = pack(require_binary(array[:, block].T))
        return cls(words, rows, kernels=kernels)

    @classmethod
    def from_spikes(cls, train: Any, *, kernels: str = "auto") -> BitDictionary:
        """Pack a spike train, [time, batch, *unit]: column t * units + u is unit u at step t.

        Raises:  ValueError: fewer than two axes, or an entry other than 0 and 1.
        """
        array = np.asarray(train)
        if array.ndim < 2:
            raise ValueError(
                f"BitDictionary expects a train [time, batch, *unit]; got shape {array.shape}. Add the missing axis, "
                f"time first."
            )
        steps, batch = array.shape[:2]
        units = array.reshape(steps, batch, -1)
        return cls.from_columns(np.moveaxis(units, 0, 1).reshape(batch, -1), kernels=kernels)

    @classmethod
    def from_dictionary(cls, dictionary: Dictionary, *, kernels: str = "auto") -> BitDictionary:
        """Pack any dictionary of zeros and ones, block by block."""
        rows, columns = dictionary.shape
        words = np.empty((columns, word_count(rows)), dtype=np.uint64)
        for block in blocks(rows, columns):
            words[block] = pack(require_binary(dictionary.take(np.arange(columns)[block]).T))
        return cls(words, rows, kernels=kernels)

    @property
    def nbytes(self) -> int:
        return self.words.nbytes

    def column_norms(self) -> Floats:
        return self.column_sums()

    def column_sums(self) -> Floats:
        return popcounts(self.words).astype(np.float64)

    def gram(self, columns: NDArray[Any] | None = None, others: NDArray[Any] | None = None) -> NDArray[np.int64]:
        """D[:, columns]^T D[:, others], exact: [k], [m] -> [k, m]; None stands for all columns."""
        left = self._subset(None if columns is None else self._index(columns))
        right = self._subset(None if others is None else self._index(others))
        return self._kernels.gram(left, right)

    def take_columns(self, columns: NDArray[Any]) -> BitDictionary:
        """D[:, columns] as a dictionary of its own; indices in any order and with repeats, at least one."""
        return BitDictionary(self.words[self._index(columns)], self.shape[0], kernels=self.kernels)

    def _matvec(self, weights: Floats, columns: Index | None) -> Floats:
        return self._kernels.matvec(self._subset(columns), weights, self.shape[0])

    def _rmatvec(self, values: Floats, columns: Index | None) -> Floats:
        return self._kernels.rmatvec(self._subset(columns), values)

    def _take(self, columns: Index) -> Floats:
        taken: Floats = unpack(self.words[columns], self.shape[0]).T.astype(np.float64)
        return taken

    def _take_rows(self, rows: Index) -> Dictionary:
        words = np.empty((self.shape[1], word_count(len(rows))), dtype=np.uint64)
        for block in blocks(max(self.shape[0], len(rows)), self.shape[1]):
            words[block] = pack(unpack(self.words[block], self.shape[0])[:, rows])
        return BitDictionary(words, len(rows), kernels=self.kernels)

    def _subset(self, columns: Index | None) -> Words:
        return self.words if columns is None else self.words[columns]

    @property
    def _kernels(self) -> Kernels:
        is_small = self.shape[0] * self.shape[1] < COMPILED_FROM
        return kernels_for("numpy" if self.kernels == "auto" and is_small else self.kernels)


def require_binary(block: NDArray[Any]) -> NDArray[Any]:
    """The block itself; refused unless every entry is 0 or 1."""
    require_finite(block, owner="BitDictionary")
    is_wrong = (block != 0) & (block != 1)
    if is_wrong.any():
        raise ValueError(
            f"BitDictionary expects zeros and ones; got {block[is_wrong][0]}. DenseDictionary keeps any numbers."
        )
    return block
