"""Pairs of value and label that stay as stored until they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

Reader = Callable[[Tensor], Tensor]  # row numbers [n] -> values [n, *unit], float32


class Samples(Dataset[tuple[Tensor, Tensor]]):
    """Rows of a data set: (value, label) by index, read when asked for.

    A part of a set shares the memory of the whole: only row numbers are copied. A ``DataLoader`` fetches a batch in
    one read.

    Args:
        read: from row numbers [n] to values [n, *unit], float32.
        labels: of all rows that ``read`` knows, integers from 0.
        rows: which of them belong to this part, in order; all by default.

    Shapes:  a sample is (value [*unit], label []); a slice or list of indices gives (values [n, *unit], labels [n]).

    >>> stored = torch.tensor([[0, 255], [51, 0]], dtype=torch.uint8)
    >>> Samples(Stored(stored, largest=255.0), labels=torch.tensor([1, 0]))[1]
    (tensor([0.2000, 0.0000]), tensor(0))
    """

    def __init__(self, read: Reader, labels: Tensor, *, rows: Tensor | None = None) -> None:
        self.read = read
        self.rows = torch.arange(len(labels)) if rows is None else rows
        self.labels = labels.long() if rows is None else labels[rows].long()
        self._all_labels = labels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> tuple[Tensor, Tensor]:
        rows = self.rows[index]
        values = self.read(rows.reshape(-1))
        return values.reshape(rows.shape + values.shape[1:]), self.labels[index]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        values, labels = self[torch.as_tensor(indices)]
        return list(zip(values, labels, strict=True))

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """All values [rows, *unit] and labels [rows] at once, converted anew at each access."""
        return self.read(self.rows), self.labels

    def reading(self, read: Reader) -> Samples:
        """The same rows and labels, with values from another reader."""
        return Samples(read, self._all_labels, rows=self.rows)

    def part(self, positions: Tensor) -> Samples:
        """The samples at these positions, in this order."""
        return Samples(self.read, self._all_labels, rows=self.rows[positions])

    def at_most(self, size: int | None, *, seed: int) -> Samples:
        """So many samples, drawn without repetition; all, in their order, where there are no more or size is None."""
        if size is None or size >= len(self):
            return self
        return self.part(torch.randperm(len(self), generator=torch.Generator().manual_seed(seed))[:size])


@dataclass(frozen=True, eq=False)
class Stored:
    """Values kept as stored, divided by their largest possible value when read.

    Args:
        values: [rows, *unit], of any number type.
        largest: what becomes 1; leave it at 1 for values that have no largest.
    """

    values: Tensor
    largest: float = 1.0

    def __call__(self, rows: Tensor) -> Tensor:
        return self.values[rows].float().div_(self.largest)
