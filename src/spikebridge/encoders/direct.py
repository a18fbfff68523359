"""The value itself, at every step."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.encoder import Encoder
from ..core.shapes import SpikeTrain, Value


class Direct(Encoder):
    """Repeat the value:  s_t = x;  w_t = 1 / T.

    Not a spike code: the first layer receives analog numbers and multiplies. Exact, of any range, and the steps share
    memory, so layers lifted with ``OverTime`` compute the repeated frame once.

    Args:
        time_steps: T, number of steps (>= 1).

    Shapes:  values [batch, *unit] -> train [time, batch, *unit], analog.
    Raises:  ValueError: NaN or infinite values.

    >>> Direct(time_steps=3).encode(torch.tensor([0.8])).shape
    torch.Size([3, 1])
    """

    is_binary = False

    def __init__(self, *, time_steps: int = 4) -> None:
        super().__init__(time_steps=time_steps, value_range=None)

    def emit(self, values: Value) -> SpikeTrain:
        return values.expand(self.time_steps, *values.shape)

    @property
    def step_weights(self) -> Tensor:
        return torch.full((self.time_steps,), 1.0 / self.time_steps)
