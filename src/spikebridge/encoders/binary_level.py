"""The rank of the value in brightness as binary digits; not from the paper whose published code it mends."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..core.gradient import straight_through
from ..core.ranges import Bounds, ValueRange
from ..core.shapes import SpikeTrain, Value
from .thresholds import IntervalCode

MOST_BITS = 8


class BinaryLevel(IntervalCode):
    """Step t is digit t of the level k that a value has in order of brightness, brightest first:  a code of B digits.

    With N = 2^B and j = min(floor(N x), N - 1):   k = N - j for j > 0, and 0, which is silence, for x < 1 / N;

        s_t = floor(k / 2^t) mod 2,   decoded as [any spike] - sum_t 2^t s_t / N = j / N,   so w_t = -2^t / N.

    Not from the paper, which does not mention it: its published code has remains of such a code, whose thresholds fall
    below 0. A spike makes a value darker, but for the first one, so the decoded value is no weighted sum of spikes.

    Gradient: every digit stands for 1 - x, and whether there is any spike for nothing; decoding then has gradient
    1 - 1 / N everywhere.

    Args:
        bits: B, number of digits and of steps (1 to 8); None is ``time_steps``, or 4.
        time_steps: the same number by the name it has in every code.
        value_range: (low, high) mapped to [0, 1], or how it is measured.
        outside: "error" or "clip", for values outside a given range.

    Attributes:
        is_linear: False: weights of the steps alone do not decode it.

    Shapes:  values [batch, *unit] -> train [time, batch, *unit], binary.
    Raises:
        TypeError: bits that are not a whole number.
        ValueError: bits outside 1 to 8, or other than ``time_steps``; values that are NaN, infinite or out of range.
    Source:  none; after the "embedding" mode in the published code of arXiv 2408.12407.
    Deviates:  thresholds 1 - (i + 1) / 2^B, where the published code has 1 - (i + 1) / T for as many levels, so that
        values spike again at every later level and sums exceed 1.

    >>> BinaryLevel(bits=4).encode(torch.tensor([0.9, 0.5, 0.05])).T.tolist()
    [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
    """

    is_linear = False

    def __init__(
        self,
        *,
        bits: int | None = None,
        time_steps: int | None = None,
        value_range: ValueRange = (0.0, 1.0),
        outside: Literal["error", "clip"] = "error",
    ) -> None:
        super().__init__(time_steps=_digits(bits, time_steps), value_range=value_range, outside=outside)

    @property
    def bits(self) -> int:
        """B, the number of digits."""
        return self.time_steps

    @property
    def levels(self) -> int:
        """2^B, how many levels are told apart, silence included."""
        return int(2**self.time_steps)

    def emit(self, values: Value) -> SpikeTrain:
        level = torch.floor(values * self.levels).clamp(max=self.levels - 1)
        rank = torch.remainder(self.levels - level, self.levels)
        digits = [torch.remainder(torch.floor(rank * 0.5**t), 2.0) for t in range(self.bits)]
        return torch.stack([straight_through(digit, -values) for digit in digits])

    @property
    def step_weights(self) -> Tensor:
        return -(2.0 ** torch.arange(self.bits)) / self.levels

    def weigh(self, train: SpikeTrain) -> Value:
        return (train > 0).any(0).to(train.dtype) + super().weigh(train)

    @property
    def unit_error(self) -> float:
        return 1.0 / self.levels

    def unit_interval(self, train: SpikeTrain) -> Bounds:
        low = self.weigh(train)
        return Bounds(low, low + self.unit_error)


def _digits(bits: int | None, time_steps: int | None) -> int:
    if bits is None and time_steps is not None:
        if not isinstance(time_steps, int) or isinstance(time_steps, bool) or time_steps < 1:
            return time_steps  # refused with the other codes' words
        bits = time_steps
    bits = 4 if bits is None else bits
    if time_steps not in (None, bits):
        raise ValueError(
            f"BinaryLevel has one step per digit; got bits = {bits} and time_steps = {time_steps}. Pass one of them."
        )
    if not isinstance(bits, int) or isinstance(bits, bool):
        raise TypeError(f"BinaryLevel expects bits to be an int from 1 to {MOST_BITS}; got {bits!r}.")
    if not 1 <= bits <= MOST_BITS:
        raise ValueError(f"BinaryLevel expects bits from 1 to {MOST_BITS}; got {bits}. Pass bits={MOST_BITS}.")
    return bits
