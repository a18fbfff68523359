"""A dictionary that is never stored: its columns are made whenever they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .columns import Dictionary, Floats, Index
from .dictionary import as_dictionary


class StreamedDictionary(Dictionary):
    """Blocks of columns that are made when they are needed, one at a time:  D = [block(0), block(1), ...].

    A product makes every block once, and one restricted to columns only the blocks they are in; between two products
    nothing is kept but the sums and norms of the columns. So a pool of any size can be checked for columns that a
    solution has missed, in the memory of one block.

    Args:
        block: number -> [n, width], a matrix or a dictionary: the same for the same number, and of one width for all.
        blocks: how many, >= 1.

    Raises:  ValueError: no block; later, blocks of different shapes, or a block of other numbers after a first one of
        zeros and ones.

    >>> def coins(number: int) -> Floats:
    ...     return np.random.default_rng([0, number]).integers(0, 2, (4, 3)).astype(float)
    >>> pool = StreamedDictionary(coins, blocks=1000)
    >>> pool, pool.take(np.array([2999])).shape
    (StreamedDictionary(4 rows, 3000 columns, 0 MB), (4, 1))
    """

    def __init__(self, block: Callable[[int], Any], *, blocks: int) -> None:
        if blocks < 1:
            raise ValueError(f"StreamedDictionary expects at least one block; got blocks={blocks}.")
        self._block, self.blocks = block, blocks
        first = as_dictionary(block(0))
        self.width, self.is_binary = first.shape[1], first.is_binary
        self.shape = (first.shape[0], blocks * self.width)
        self._kept: dict[str, Floats] = {}

    def chunks(self) -> Iterator[tuple[slice, Dictionary]]:
        """Every block in turn, with the columns it holds."""
        for number in range(self.blocks):
            yield slice(number * self.width, (number + 1) * self.width), self._made(number)

    @property
    def nbytes(self) -> int:
        return sum(kept.nbytes for kept in self._kept.values())

    def column_norms(self) -> Floats:
        return self._once("norms", lambda block: block.column_norms())

    def column_sums(self) -> Floats:
        return self._once("sums", lambda block: block.column_sums())

    def _matvec(self, weights: Floats, columns: Index | None) -> Floats:
        product = np.zeros((self.shape[0], weights.shape[1]))
        for places, block, inside in self._parts(columns):
            product += block.matvec(weights[places], columns=inside)
        return product

    def _rmatvec(self, values: Floats, columns: Index | None) -> Floats:
        product = np.empty((self.shape[1] if columns is None else len(columns), values.shape[1]))
        for places, block, inside in self._parts(columns):
            product[places] = block.rmatvec(values, columns=inside)
        return product

    def _take(self, columns: Index) -> Floats:
        taken = np.empty((self.shape[0], len(columns)))
        for places, block, inside in self._parts(columns):
            assert inside is not None
            taken[:, places] = block.take(inside)
        return taken

    def _take_rows(self, rows: Index) -> Dictionary:
        made = self._block
        taken = StreamedDictionary(lambda number: as_dictionary(made(number)).take_rows(rows), blocks=self.blocks)
        taken.is_binary = self.is_binary  # few rows of other numbers may happen to be zeros and ones
        return taken

    def _once(self, name: str, of: Callable[[Dictionary], Floats]) -> Floats:
        if name not in self._kept:
            self._kept[name] = np.concatenate([of(block) for _, block in self.chunks()])
        kept: Floats = self._kept[name].copy()
        return kept

    def _parts(self, columns: Index | None) -> Iterator[tuple[Any, Dictionary, Index | None]]:
        """Of each block needed: where its columns stand among those asked for, the block, and which they are in it."""
        if columns is None:
            for held, block in self.chunks():
                yield held, block, None
            return
        for number in np.unique(columns // self.width):
            places = np.flatnonzero(columns // self.width == number)
            yield places, self._made(int(number)), columns[places] - number * self.width

    def _made(self, number: int) -> Dictionary:
        made = as_dictionary(self._block(number))
        if made.shape != (self.shape[0], self.width):
            raise ValueError(
                f"StreamedDictionary expects blocks of one shape; block 0 is {(self.shape[0], self.width)}, block "
                f"{number} is {made.shape}."
            )
        if self.is_binary and not made.is_binary:
            raise ValueError(
                f"StreamedDictionary expects zeros and ones in every block, as block 0 has them; block {number} holds "
                f"other numbers. Make a block that does the first."
            )
        return made
