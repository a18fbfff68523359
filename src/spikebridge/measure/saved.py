"""What autograd keeps between the forward and the backward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def saved_peak(network: nn.Module) -> Iterator[Saved]:
    """Watch what autograd saves, the network's own parameters aside."""
    saved = Saved({parameter.untyped_storage().data_ptr() for parameter in network.parameters()})
    with torch.autograd.graph.saved_tensors_hooks(saved.keep, lambda kept: kept.tensor):
        yield saved


class Saved:
    """Storages that autograd holds, each counted once and as long as it is held.

    Args:
        own: addresses that are not counted.
    """

    def __init__(self, own: set[int]) -> None:
        self.own, self.uses, self.now, self.peak = own, Counter[int](), 0, 0

    def keep(self, tensor: Tensor) -> _Kept:
        """A tensor is saved until what is returned dies."""
        return _Kept(tensor, self)

    def count(self, storage: torch.UntypedStorage, change: int) -> None:
        """A use of a storage begins or ends."""
        place = storage.data_ptr()
        if place in self.own:
            return
        before = self.uses[place]
        self.uses[place] = before + change
        if 0 in (before, before + change):
            self.now += change * storage.nbytes()
            self.peak = max(self.peak, self.now)


class _Kept:
    def __init__(self, tensor: Tensor, saved: Saved) -> None:
        self.tensor, self.saved = tensor, saved
        saved.count(tensor.untyped_storage(), 1)

    def __del__(self) -> None:
        self.saved.count(self.tensor.untyped_storage(), -1)
