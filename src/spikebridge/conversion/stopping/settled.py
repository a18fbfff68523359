"""What can still come: bounds on all the steps that are left, and on their rounding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ConversionError
from .reach import Forecast, largest_spike
from .tail import Tail

_LARGEST_DEVIATION = 1e-3
"""How far, of the largest output of a step, an output may lie off the tail's linear map before the map is refused.
Rounding stays far below it; a call that is not linear does not."""


class Standing(NamedTuple):
    """What is settled, and how far the rest is from it."""

    leader: Tensor  # [batch], the only class that can be settled
    is_settled: Tensor  # [batch]
    share: Tensor  # [batch], its lead as a part of what could undo it; above 1 it is settled
    width: Tensor  # the mean width of what the last neurons may still send


class Bounds:
    """Bounds on the outputs of the steps that are left; see :func:`~spikebridge.conversion.decide.decide`.

    Args:
        tail: how outputs depend on spikes.
        output: the first output, [batch, classes].
        spikes: what each of the last neurons sent in that step.
        time_steps: T.

    Attributes:
        constant: what each output is in every step without a spike, [batch, classes].
    """

    def __init__(self, tail: Tail, output: Tensor, spikes: Mapping[str, Tensor], *, time_steps: int) -> None:
        self.tail, self.time_steps = tail, time_steps
        self.largest = {name: largest_spike(neuron, spikes[name][:1]) for name, neuron in tail.neurons.items()}
        self.constant = output.double() - self._sent(spikes) @ tail.rows.T
        roundings = (tail.roundings + time_steps) * torch.finfo(output.dtype).eps
        self.rounding = roundings / (1 - roundings) if roundings < 1 else float("inf")

    def check(self, output: Tensor, spikes: Mapping[str, Tensor]) -> None:
        """Refuse a tail whose output is not what its linear map gives.

        Raises:
            ConversionError: it is not.
        """
        expected = self.constant + self._sent(spikes) @ self.tail.rows.T
        off = (output - expected).abs() > _LARGEST_DEVIATION * self._size()
        if bool(off.any()):
            raise ConversionError(
                "decide proves its bound for networks that are linear after their last neurons; this one is not, "
                "though every call there is said to be. Use step or readouts."
            )

    def settle(self, outputs: Sequence[Tensor], forecasts: Mapping[str, Forecast]) -> Standing:
        """For each sample the only class that can be settled, and whether it is.

        If class i is above all others wherever the spikes to come may lie, it is so in the middle of their range.
        From there, y_i - y_j falls by  sum_u |A_iu - A_ju| (high_u - low_u) / 2  at most.

        Args:
            outputs: those so far, [batch, classes] each.
            forecasts: of the last neurons, for the steps that are left.
        """
        left = self.time_steps - len(outputs)
        low, high = self._range(forecasts, left)
        so_far = torch.stack([output.double() for output in outputs])
        middle = so_far.sum(0) + left * self.constant + (low + high) / 2 @ self.tail.rows.T
        leader = middle.argmax(1)
        fall = self._fall(leader, (high - low) / 2)
        # Outputs to come are off by their own rounding, that of the rows and of the constant, and of their mean.
        error = self.rounding * (so_far.abs().sum(0) + 4 * left * self._size())
        lead = middle.gather(1, leader[:, None]) - middle
        share = lead / (fall + error + error.gather(1, leader[:, None]))
        least = share.scatter(1, leader[:, None], float("inf")).amin(1)
        return Standing(leader, least > 1, least.nan_to_num(0), (high - low).mean())

    def _fall(self, leader: Tensor, reach: Tensor) -> Tensor:
        fall = torch.zeros(len(leader), len(self.tail.rows), dtype=torch.float64, device=leader.device)
        for each in torch.unique(leader):
            led = leader == each
            difference = (self.tail.rows[each] - self.tail.rows).abs()
            fall[led] = reach[led].expand(int(led.sum()), -1) @ difference.T
        return fall

    def _range(self, forecasts: Mapping[str, Forecast], left: int) -> tuple[Tensor, Tensor]:
        ranges = [forecasts[name].range(left) for name in self.tail.neurons]
        low, high = zip(*ranges, strict=True)
        return torch.cat([part.flatten(1) for part in low], 1), torch.cat([part.flatten(1) for part in high], 1)

    def _sent(self, spikes: Mapping[str, Tensor]) -> Tensor:
        return torch.cat([spikes[name].flatten(1) for name in self.tail.neurons], 1).double()

    def _size(self) -> Tensor:
        """The sum of the largest terms of an output, [batch, classes]."""
        largest = torch.cat([each.flatten(1) for each in self.largest.values()], 1).double()
        return self.constant.abs() + largest @ self.tail.rows.abs().T
