"""Whether the first and the last bit of a string differ: easy to say, and hard for a membrane that forgets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .samples import Samples
from .split import Split, three_ways

LONGEST = 20
"""Bits of the longest strings: there are about a million of them, and a split has them all."""


def first_last_xor(time_steps: int, *, seed: int = 0) -> Split:
    """All strings of T bits, each in one part only; the label is first bit XOR last bit.

    60 / 20 / 20 % of the 2^T strings, with equal shares of both classes. No string is in two parts, so what is right
    on test strings was not looked up. A bit is one-hot: [1, 0] is 0 and [0, 1] is 1.

    Args:
        time_steps: T, bits of a string, one a step (4 to 20).
        seed: of the split.

    Shapes:  (value [time, 2], label []), label 0 or 1; ``Recorded(time_steps=T)`` puts time first.
    Raises:  ValueError: T outside 4 to 20.
    Source:  arXiv 2605.08022, where strings are drawn with replacement; a split by string is ours.

    >>> train, validation, test = first_last_xor(6)
    >>> len(train), len(validation), len(test)
    (38, 13, 13)
    >>> value, label = train[0]
    >>> bool(value[0, 1] != value[-1, 1]) == bool(label)
    True
    """
    if not 4 <= time_steps <= LONGEST:
        raise ValueError(
            f"first_last_xor expects 4 to {LONGEST} bits; got {time_steps}. Shorter ones are too few for three parts."
        )
    ids = torch.arange(2**time_steps)
    return three_ways(Samples(_Strings(time_steps), (ids ^ ids >> time_steps - 1) & 1), seed=seed)


@dataclass(frozen=True)
class _Strings:
    """String i has bit t of i at step t."""

    time_steps: int

    def __call__(self, rows: Tensor) -> Tensor:
        bits = rows[:, None] >> torch.arange(self.time_steps) & 1
        return F.one_hot(bits, 2).float()
