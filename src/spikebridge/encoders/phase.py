"""The value as binary digits, one per step."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..core.encoder import Encoder
from ..core.gradient import Rectangular
from ..core.ranges import ValueRange
from ..core.shapes import SpikeTrain, Value


class Phase(Encoder):
    """A spike at step t is worth half of one at step t - 1:  the binary digits of the value, largest first.

    s_t = [r_t >= w_t];   r_{t+1} = r_t - w_t s_t,  r_0 = x;   w_t = 2^-(t + 1).

    Gradient: a rectangle over the whole range [0, 2 w_t] of each residue, through the subtraction as well; decoding
    then has gradient 1 - 2^-T everywhere.

    Args:
        time_steps: T, number of steps (>= 1) and of binary digits.
        value_range: (low, high) mapped to [0, 1], or how it is measured.
        outside: "error" or "clip", for values outside a given range.

    Shapes:  values [batch, *unit] -> train [time, batch, *unit], binary.
    Raises:  ValueError: values that are NaN, infinite or outside ``value_range``.
    Source:  Kim, Kim, Huh, Lee, Choi, Neurocomputing 311, 2018, "Deep neural networks with weighted spikes".
    Deviates:  one period; repeat the train to send it again.

    >>> Phase(time_steps=3).encode(torch.tensor([0.625])).flatten().tolist()
    [1.0, 0.0, 1.0]
    """

    def __init__(
        self,
        *,
        time_steps: int = 8,
        value_range: ValueRange = (0.0, 1.0),
        outside: Literal["error", "clip"] = "error",
    ) -> None:
        super().__init__(time_steps=time_steps, value_range=value_range, outside=outside)

    def emit(self, values: Value) -> SpikeTrain:
        train, residue = [], values
        for weight in [0.5 ** (t + 1) for t in range(self.time_steps)]:
            spikes = Rectangular(width=2.0 * weight)(residue - weight)
            train.append(spikes)
            residue = residue - weight * spikes
        return torch.stack(train)

    @property
    def step_weights(self) -> Tensor:
        return 0.5 ** torch.arange(1, self.time_steps + 1, dtype=torch.float32)

    @property
    def unit_error(self) -> float:
        return float(0.5**self.time_steps)
