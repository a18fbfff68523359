"""A dictionary whose rows lie on several processes, each with its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from .columns import Dictionary, Floats, Index, index_into


class ShardedDictionary(Dictionary):
    """The rows of all processes, in order of rank; every process has the whole targets and its own rows of D.

    D w is made of pieces of every process, D^T v is a sum over them: one all-reduce each. All processes must call the
    same methods in the same order, as they do if all run the same solver on the same targets.

    Args:
        local: the rows of this process.
        group: of ``torch.distributed``; None is the default one, which must have been set up.

    Raises:  RuntimeError: no process group. ValueError: processes that disagree on the number of columns.
    """

    def __init__(self, local: Dictionary, *, group: Any = None) -> None:
        if not dist.is_initialized():
            raise RuntimeError(
                "ShardedDictionary needs a process group; call torch.distributed.init_process_group first, or pass "
                "the rows as they are to a single process."
            )
        self.local, self._group = local, group
        sizes = np.zeros((dist.get_world_size(group), 2))
        sizes[dist.get_rank(group)] = local.shape
        sizes = self.total(sizes)
        if len(set(sizes[:, 1].tolist())) > 1:
            raise ValueError(
                f"ShardedDictionary expects the same columns everywhere; got {sizes[:, 1].tolist()} of them."
            )
        ends = np.cumsum(sizes[:, 0]).astype(int)
        rank = dist.get_rank(group)
        self.rows = slice(int(ends[rank]) - local.shape[0], int(ends[rank]))
        self.shape = (int(ends[-1]), local.shape[1])
        self.is_binary = local.is_binary

    def total(self, numbers: Floats) -> Floats:
        """The sum over all processes of an array that each has."""
        summed = torch.from_numpy(np.array(numbers, dtype=np.float64))
        dist.all_reduce(summed, group=self._group)
        return np.asarray(summed.numpy())

    def agreed(self, is_so: bool) -> bool:
        return bool(self.total(np.array([float(is_so)]))[0] > 0.0)

    @property
    def nbytes(self) -> int:
        return self.local.nbytes

    def column_norms(self) -> Floats:
        return self.total(self.local.column_norms())

    def column_sums(self) -> Floats:
        return self.total(self.local.column_sums())

    def _matvec(self, weights: Floats, columns: Index | None) -> Floats:
        return self._spread(self.local.matvec(weights, columns=columns))

    def _rmatvec(self, values: Floats, columns: Index | None) -> Floats:
        return self.total(self.local.rmatvec(values[self.rows], columns=columns))

    def _take(self, columns: Index) -> Floats:
        return self._spread(self.local.take(columns))

    def _take_rows(self, rows: Index) -> Dictionary:
        own = (rows >= self.rows.start) & (rows < self.rows.stop)
        if not np.array_equal(rows, np.sort(rows)):
            raise ValueError("ShardedDictionary.take_rows expects rows in ascending order, which keeps them in place.")
        return ShardedDictionary(self.local.take_rows(rows[own] - self.rows.start), group=self._group)

    def _spread(self, own: Floats) -> Floats:
        """The rows of all from the rows of each: a sum with zeros, so without rounding."""
        everything = np.zeros((self.shape[0], own.shape[1]))
        everything[self.rows] = own
        return self.total(everything)

    def _index(self, columns: NDArray[Any]) -> Index:
        return index_into(columns, self.shape[1], owner="ShardedDictionary", axis="column")
