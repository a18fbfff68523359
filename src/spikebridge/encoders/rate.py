"""The value as the probability of a spike."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..core.encoder import Encoder
from ..core.gradient import straight_through
from ..core.ranges import ValueRange
from ..core.shapes import SpikeTrain, Value


class Rate(Encoder):
    """Spike with probability x, independently at every step:  s_t ~ Bernoulli(x);  w_t = 1 / T.

    The decoded value is right in expectation, with standard deviation sqrt(x (1 - x) / T). Gradient: that of the
    expectation, 1 for every step.

    Args:
        time_steps: T, number of steps (>= 1).
        value_range: (low, high) mapped to [0, 1], or how it is measured.
        outside: "error" or "clip", for values outside a given range.
        generator: where the draws come from, as in ``torch.bernoulli``; None is torch's global generator. It is
            yours, and it advances: reseed it for the same draws again.

    Shapes:  values [batch, *unit] -> train [time, batch, *unit], binary.
    Raises:  ValueError: values that are NaN, infinite or outside ``value_range``.
    Source:  Adrian, 1926, in the Bernoulli form common to spiking-network libraries.

    >>> encoder = Rate(time_steps=1000, generator=torch.Generator().manual_seed(0))
    >>> round(encoder.decode(encoder.encode(torch.tensor([0.3]))).item(), 1)
    0.3
    """

    is_stochastic = True

    def __init__(
        self,
        *,
        time_steps: int = 16,
        value_range: ValueRange = (0.0, 1.0),
        outside: Literal["error", "clip"] = "error",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(time_steps=time_steps, value_range=value_range, outside=outside)
        self.generator = generator

    def emit(self, values: Value) -> SpikeTrain:
        probability = values.expand(self.time_steps, *values.shape)
        return straight_through(torch.bernoulli(probability.detach(), generator=self.generator), probability)

    @property
    def step_weights(self) -> Tensor:
        return torch.full((self.time_steps,), 1.0 / self.time_steps)
