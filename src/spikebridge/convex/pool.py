"""Any number of branches of witnesses, made a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .columns import Dictionary, Index, index_into
from .spike_features import SpikeFeatures, spike_dictionary
from .streamed import StreamedDictionary

Make = Callable[[Sequence[int]], SpikeFeatures]
"""Numbers of branches -> the features of these branches, whose columns do not depend on which others are there."""


class Chosen(NamedTuple):
    """A network of the branches that columns need, and where the columns are among its own.

    Attributes:
        features: the branches.
        places: [k], for each column asked for, its place in what ``features`` gives.
        branches: their numbers in the pool.
    """

    features: SpikeFeatures
    places: Index
    branches: tuple[int, ...]


class WitnessPool:
    """Branches 0 to ``branches`` - 1 of one family of witnesses, in blocks of ``block``.

    Columns are numbered block after block; within a block, as :class:`SpikeFeatures` numbers them.

    Args:
        make: numbers of branches -> their features; :func:`gaussian_witness` takes such numbers as ``branches``.
        branches: how many; a multiple of block.
        block: how many are computed at a time.
        units: of the last layer of one branch.

    Raises:  ValueError: branches that are no multiple of block, or of another number of units.

    >>> import torch
    >>> from spikebridge import Direct
    >>> from spikebridge.convex import gaussian_witness
    >>> def make(branches: Sequence[int]) -> SpikeFeatures:
    ...     return SpikeFeatures(gaussian_witness(3, (4, 1), branches=branches), encoder=Direct(time_steps=2))
    >>> pool = WitnessPool(make, branches=1000, block=50)
    >>> pool.dictionary(torch.ones(8, 3)).shape, pool.chosen(np.array([999, 7])).branches
    ((8, 1000), (7, 999))
    """

    def __init__(self, make: Make, *, branches: int, block: int, units: int = 1) -> None:
        if block < 1 or branches < 1 or branches % block:
            raise ValueError(f"WitnessPool expects branches in whole blocks; got {branches} in blocks of {block}.")
        self.make, self.branches, self.block, self.units = make, branches, block, units
        self.width = len(make([0]).features) * block * units

    def dictionary(self, values: Tensor) -> StreamedDictionary:
        """The columns of all branches for these values; never stored."""
        return StreamedDictionary(lambda number: self._block(number, values), blocks=self.branches // self.block)

    def chosen(self, columns: NDArray[Any]) -> Chosen:
        """The branches that some columns come from, in a network of their own that gives the same columns.

        Raises:  ValueError: no column, or one that is not there.
        """
        index = index_into(columns, self.branches // self.block * self.width, owner="WitnessPool", axis="column")
        if not len(index):
            raise ValueError("WitnessPool.chosen expects at least one column; got none.")
        number, inside = np.divmod(index, self.width)
        feature, unit = np.divmod(inside, self.block * self.units)
        branch, unit = number * self.block + unit // self.units, unit % self.units
        used, among = np.unique(branch, return_inverse=True)
        places = (feature * len(used) + among.reshape(-1)) * self.units + unit
        return Chosen(self.make(used.tolist()), places, tuple(used.tolist()))

    def _block(self, number: int, values: Tensor) -> Dictionary:
        made = spike_dictionary(self.make(self._numbers(number)), values)
        if made.shape[1] != self.width:
            raise ValueError(
                f"WitnessPool expects {self.units} units of each branch, {self.width} columns a block; got "
                f"{made.shape[1]}. Pass units= of the last layer."
            )
        return made

    def _numbers(self, number: int) -> range:
        return range(number * self.block, (number + 1) * self.block)
