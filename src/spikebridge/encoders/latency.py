"""The value as the time of a single spike."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..core.encoder import Encoder
from ..core.gradient import Rectangular
from ..core.ranges import ValueRange
from ..core.shapes import SpikeTrain, Value


class Latency(Encoder):
    """Spike once, the earlier the larger the value.

    s_t = 1 when the value first reaches 1 - (t + 1) / T;   w_t = 1 - (t + 1) / T.

    Every value spikes, a dark one at the last step, whose weight is 0. Gradient: a rectangle as wide as the distance
    of two thresholds, around each; the rectangles tile the range, so decoding has gradient 1 on
    [1 / 2T, 1 - 1 / 2T] and 0 beyond.

    Args:
        time_steps: T, number of steps (>= 1), and of distinct values.
        value_range: (low, high) mapped to [0, 1], or how it is measured.
        outside: "error" or "clip", for values outside a given range.

    Shapes:  values [batch, *unit] -> train [time, batch, *unit], binary, at most one spike per value.
    Raises:  ValueError: values that are NaN, infinite or outside ``value_range``.
    Source:  He, arXiv 2408.12407, "time" code.
    Deviates:  fires once; in the reference every unit fires (again) at the last step, whose threshold is 0. The
        reference passes no gradient to the values.

    >>> Latency(time_steps=4).encode(torch.tensor([0.8])).flatten().tolist()
    [1.0, 0.0, 0.0, 0.0]
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
        reached = Rectangular(width=1.0)
        # In levels of 1 / T the thresholds are whole numbers, which keeps ties such as 0.8 at T = 5 exact.
        level = values * self.time_steps
        by_now = torch.stack([reached(level - (self.time_steps - 1 - t)) for t in range(self.time_steps)])
        return torch.cat([by_now[:1], by_now[1:] - by_now[:-1]])

    @property
    def step_weights(self) -> Tensor:
        return torch.arange(self.time_steps - 1, -1, -1, dtype=torch.float32) / self.time_steps

    @property
    def unit_error(self) -> float:
        return 1.0 / self.time_steps
