"""Weights and inputs on grids on which float32 adds without rounding: a current is the same in any batch.

A matrix product adds in an order that depends on the batch, the number of units beside a unit, and the machine. Where
rounding differs, a membrane can meet its threshold from the other side, and a spike, a whole column, changes. On a
grid there is nothing to round: every partial sum is a whole number of steps below 2^24.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .grid import quantum_for

FLOAT32_BITS = 24
"""Whole numbers up to 2^24 are float32 numbers."""


class OnGrid(nn.Module):
    """Values rounded to multiples of a step, and cut off at a limit:  step * round(clamp(x, -limit, limit) / step).

    What an analog-to-digital converter does. Part of a network of witnesses, in training and ever after.

    Args:
        step: a power of two.
        limit: the largest magnitude, a multiple of the step.

    Shapes:  [*] -> [*].
    Raises:  ValueError: a step that is no power of two, or a limit that is no multiple of it.

    >>> OnGrid(step=0.25, limit=1.0)(torch.tensor([0.3, 0.9, -7.0])).tolist()
    [0.25, 1.0, -1.0]
    """

    def __init__(self, *, step: float, limit: float) -> None:
        super().__init__()
        if not step > 0 or torch.frexp(torch.tensor(step, dtype=torch.float64))[0] != 0.5:
            raise ValueError(f"OnGrid expects a power of two as step, such as 2**-8; got {step}.")
        if not limit >= step or limit % step:
            raise ValueError(f"OnGrid expects a limit that is a multiple of its step {step}; got {limit}.")
        self.step, self.limit = step, limit

    def forward(self, values: Tensor) -> Tensor:
        return torch.round(values.clamp(-self.limit, self.limit) / self.step) * self.step

    def extra_repr(self) -> str:
        return f"step={self.step:g}, limit={self.limit:g}"


def snapped(weight: Tensor, bias: Tensor, *, step: float = 1.0, limit: float = 1.0) -> tuple[Tensor, Tensor]:
    """The nearest weights whose currents float32 computes exactly, for inputs on a grid.

    Every unit gets the finest power of two q for which all partial sums of W x + b, with |x| <= limit in multiples of
    step, are below 2^24 q step. Of a layer of 784 inputs of 8 bits, fan-in scaled, that leaves weights about 7 bits
    of their standard deviation; of one that sees spikes, about 15.

    Args:
        weight: [units, inputs].
        bias: [units].
        step: of the inputs, a power of two; 1 for spikes.
        limit: the largest magnitude of an input; 1 for spikes.

    Shapes:  ([units, inputs], [units]), float32.
    Raises:  ValueError: so many inputs, or inputs so fine, that the largest weight of a unit would keep 3 bits or less.
    """
    reach = limit / step
    wide, offset = weight.double(), bias.double() / step
    sizes = torch.cat([wide.abs() * reach, offset[:, None].abs()], dim=1)
    quanta = torch.tensor([quantum_for(row, bits=FLOAT32_BITS - 1) for row in sizes.numpy()], dtype=torch.float64)
    whole, whole_offset = torch.round(wide / quanta[:, None]), torch.round(offset / quanta)
    is_coarse = quanta > sizes.amax(1) / reach / 8
    is_large = whole.abs().sum(1) * reach + whole_offset.abs() >= 2**FLOAT32_BITS
    if bool(((is_coarse & wide.any(1)) | is_large).any()):
        raise ValueError(
            f"float32 cannot add {weight.shape[1]} inputs of {reach:g} steps each exactly, unless weights keep 3 bits "
            f"or less. Take inputs of a coarser step or a smaller limit."
        )
    return (whole * quanta[:, None]).float(), (whole_offset * quanta * step).float()
