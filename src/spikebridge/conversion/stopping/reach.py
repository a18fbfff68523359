"""What one neuron may still send, given its state and bounds on what it will receive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...core.neuron import Neuron
from ...core.reset import by_subtraction
from ...core.shapes import along_channels
from ...neurons import IF, LIF, GroupNeuron
from ..errors import ConversionError


@dataclass(frozen=True, eq=False)
class Forecast:
    """Bounds on what a place in the network adds up to over the first k of the steps that are left, for every such k:

        k rate - below  <=  sum  <=  k rate + above

    Attributes:
        rate: what it is per step if nothing surprises.
        below, above: how far off the sum may be, >= 0 but for rounding.
        size: the most that the terms of one step's value can add up to, signs aside.
        roundings: how many roundings a computed value has passed since the last neuron, at most.
        level: of what a neuron sends, that it is a multiple of this.
    """

    rate: Tensor
    below: Tensor
    above: Tensor
    size: Tensor
    roundings: int
    level: Tensor | None = None

    def range(self, left: int) -> tuple[Tensor, Tensor]:
        """The least and the most that all the steps that are left can add up to, in float64."""
        low, high = (left * self.rate - self.below).double(), (left * self.rate + self.above).double()
        if self.level is None:
            return low, high
        # Within what rounding may have moved, the next whole number of levels inwards.
        guard = 1e-4 + 16 * torch.finfo(self.rate.dtype).eps * left * self.size / self.level
        level = self.level.double()
        return (low / level - guard).ceil() * level, (high / level + guard).floor() * level


def largest_spike(neuron: Neuron[Any], like: Tensor) -> Tensor:
    """The most a neuron can send in one step, either way:  threshold of a Group Neuron, spike value of an IF or a LIF.

    Args:
        neuron: one of the library, or a subclass with its step.
        like: [batch, *unit], a state.

    Raises:
        ConversionError: a neuron whose spikes have no known bound.

    >>> largest_spike(GroupNeuron(threshold=2.0), torch.zeros(1, 3)).tolist()
    [[2.0, 2.0, 2.0]]
    """
    known: dict[Callable[..., Any], Callable[[], Any]] = {
        GroupNeuron.step: lambda: neuron.threshold,
        IF.step: lambda: neuron.spike_value,
        LIF.step: lambda: torch.ones((), device=like.device),
    }
    if type(neuron).step not in known:
        raise ConversionError(
            f"decide knows what GroupNeuron, IF and LIF can send in a step; got {type(neuron).__name__}, with a step "
            f"of its own. Use step or readouts."
        )
    return along_channels(known[type(neuron).step](), like).to(like.dtype).expand_as(like)


def capacity(neuron: Neuron[Any], state: tuple[Any, ...], *, left: int) -> Forecast:
    """What a neuron can send whatever it receives, a spike of either sign at most in every step.

    A signed neuron takes back no more than it has sent.
    """
    most = largest_spike(neuron, state[0])
    level = along_channels(neuron.spike_value, state[0]) if isinstance(neuron, GroupNeuron) else most
    lowest = torch.zeros_like(most)
    if isinstance(neuron, GroupNeuron) and neuron.signed:
        lowest = left * most
        if not neuron.negative:
            lowest = torch.minimum(lowest, state[1] * level)
    return Forecast(torch.zeros_like(most), lowest, left * most, most, 1, level)


def forecast(neuron: Neuron[Any], state: tuple[Any, ...], current: Forecast, *, left: int) -> Forecast:
    """What a neuron may send when its currents keep to a forecast.

    In levels, with membrane v, at most m spikes a step, and currents that add up to C_j over j steps. After any step
    in which it did not send all m its membrane is below 1, so it has sent more than v + C_j - 1; since the last such
    step it has sent m in each. After any step in which it did not have to keep from sending less its membrane is at
    least 0, so it has sent v + C_j at most; since the last such step it has sent nothing, or taken back. Hence over k
    steps it sends Q_k with

        min(k m, min_j (v + C_j - 1 + (k - j) m))  <=  Q_k  <=  max(0, max_j (v + C_j)),   1 <= j <= k

    With spikes of both signs, the upper bound mirrors the lower one:  Q_k <= max(-k m, max_j (v + C_j - (k - j) m)).
    """
    bound = capacity(neuron, state, left=left)
    if not (isinstance(neuron, GroupNeuron) or (isinstance(neuron, IF) and neuron.reset is by_subtraction)):
        return bound
    assert bound.level is not None
    spike, level, members, membrane, is_negative = bound.level, bound.level, 1, state[0], False
    if isinstance(neuron, GroupNeuron):
        members, is_negative = neuron.members, neuron.negative
    else:
        level = along_channels(neuron.threshold, state[0])
        membrane = state[0] / level
    rate, below, above = _in_levels(membrane, current, level, left)
    sends = rate.clamp(-members if is_negative else 0, members)
    short, excess = (sends - rate).clamp(min=0), (rate - sends).clamp(min=0)  # of what the currents ask for
    least = (below + 1 - membrane - excess).clamp(min=0)
    most = (above + membrane - short).clamp(min=0)
    if not is_negative:
        least = least + left * short
    least = torch.minimum(least, left * sends + bound.below / spike)
    most = torch.minimum(most, left * (members - sends))
    return Forecast(sends * spike, least * spike, most * spike, bound.size, 1, spike)


def _in_levels(membrane: Tensor, current: Forecast, level: Tensor, left: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rate, and what lies below and above, of currents in levels, with what rounding may add.

    A computed current is off by its roundings, a membrane by a few at every step, and so are these bounds themselves.
    """
    rate, below, above = current.rate / level, current.below / level, current.above / level
    eps = (current.roundings + 4 * left + 8) * torch.finfo(rate.dtype).eps
    slack = 4 * eps * (left * (current.size / level + membrane.abs() + 1) + below.abs() + above.abs())
    return rate, below + slack, above + slack
