"""The Group Neuron: several thresholds on one membrane."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core.counts import require_whole
from ..core.gradient import level_of, quantise, straight_through, substitute
from ..core.neuron import Neuron, at_rest, brief, positive_setting
from ..core.positive import positive
from ..core.shapes import Current, Spikes, SpikeTrain, along_channels

REST = 0.5
"""Membrane before the first step, in levels. One half, as in QCFS: counts round to the nearest level."""


class GroupState(NamedTuple):
    """What a Group Neuron carries from step to step."""

    membrane: Tensor  # [batch, *unit], in levels of threshold / members
    emitted: Tensor  # [batch, *unit], spikes emitted so far less spikes retracted; whole numbers


class GroupNeuron(Neuron[GroupState]):
    """``members`` IF neurons that share one membrane and fire at 1/m, 2/m, ... m/m of the threshold.

    With one level u = threshold / members and the membrane v in levels,

        v <- v + current / u;   k = clamp(floor(v), low, members);   v <- v - k;   emit k * u

    where low = 0, or -min(members, spikes so far) when ``signed``: a signed neuron takes back spikes it should not
    have sent, but never more than it has sent. With ``negative`` low = -members, for activations that fall below
    zero. ``k`` counts the members that fire in this step; they are nested, so
    the count is a thermometer code of the members' spikes. At T = 1 the neuron is a quantised activation, QCFS with
    L = members levels, and nothing else: what it buys is latency, not fewer spikes.

    Args:
        threshold: where all members have fired (> 0), in units of the current; a float, or one number per channel.
        members: m, number of levels (>= 1). One member is an IF with soft reset and rest 1/2.
        signed: allow spikes to be retracted, which undoes the error that the order of its inputs causes.
        negative: allow totals below zero as well; implies ``signed``.

    Shapes:  currents [time, batch, *unit] -> train [time, batch, *unit], multiples of threshold / members.
    Raises:  ValueError: members < 1; a threshold that is not positive and finite.
    Source:  Lv et al., arXiv 2402.19061. The gradient is that of QCFS (Bu et al., ICLR 2022).
    Deviates:  one membrane and one count instead of m equal copies of a membrane; the membrane is kept in levels, so
        that subtracting a count is exact; ``signed``, ``negative`` and per-channel thresholds are additions.

    >>> GroupNeuron(threshold=1.0, members=4)(torch.tensor([[0.3], [0.3], [9.0]])).flatten().tolist()
    [0.25, 0.25, 1.0]
    """

    threshold: Tensor

    def __init__(
        self, *, threshold: float | Tensor = 1.0, members: int = 16, signed: bool = False, negative: bool = False
    ) -> None:
        super().__init__()
        require_whole(members, owner="GroupNeuron", name="members")
        self.register_buffer("threshold", positive_setting(threshold, owner="GroupNeuron", name="threshold"))
        self.members, self.signed, self.negative = members, signed or negative, negative

    @property
    def spike_value(self) -> Tensor:
        """One level: threshold / members."""
        return level_of(self.threshold, self.members)

    def initial_state(self, current: Current) -> GroupState:
        return GroupState(at_rest(current, REST), at_rest(current))

    def step(self, current: Current, state: GroupState) -> tuple[Spikes, GroupState]:
        level = along_channels(self.spike_value, current)
        membrane = state.membrane + current / level
        fired = quantise(membrane, low=self._lowest(state.emitted), high=self.members)
        return fired * level, GroupState(membrane - fired, state.emitted + fired)

    def at_once(self, currents: SpikeTrain, state: GroupState) -> tuple[SpikeTrain, GroupState] | None:
        """Totals in closed form, with S the membrane at the start and the currents since, in levels:

        N_t = max over t' <= t of floor(S_t'), and 0;   signed: max(floor(S_t), -spikes before);   negative: floor(S_t)

        None where more than m spikes would be due in a step, or taken back in one, or where a sum is NaN. Sums grow
        with T, where the membrane of the loop does not, and so does their rounding.
        """
        level = along_channels(self.spike_value, currents[0])
        sums = (currents / level).cumsum(0) + state.membrane
        due = substitute(sums, torch.floor, torch.ones_like)
        nothing = torch.zeros_like(state.emitted)[None]
        if self.negative:
            totals = due
        elif self.signed:
            lowest = -state.emitted.detach()
            totals = straight_through(torch.maximum(due, lowest), _last_above(due, lowest))
        else:
            totals = torch.cat([nothing, due]).cummax(0).values[1:]
        fired = torch.diff(totals, dim=0, prepend=nothing)
        if not bool((fired.detach().abs() <= self.members).all()):
            return None
        return fired * level, GroupState(sums[-1] - totals[-1], state.emitted + totals[-1])

    def _lowest(self, emitted: Tensor) -> Tensor | float:
        if self.negative:
            return float(-self.members)
        return -emitted.detach().clamp(max=self.members) if self.signed else 0.0

    def extra_repr(self) -> str:
        kind = "negative=True" if self.negative else f"signed={self.signed}"
        return f"threshold={brief(self.threshold)}, members={self.members}, {kind}"

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # A QCFS of the same name holds the same threshold, unconstrained: its checkpoint loads here too.
        raw = state_dict.pop(prefix + "raw_threshold", None)
        if raw is not None:
            state_dict[prefix + "threshold"] = positive(raw)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _last_above(due: Tensor, lowest: Tensor) -> Tensor:
    """The latest total so far that was not below the lowest, or 0: where the loop's total has its gradient from."""
    steps = torch.arange(len(due), device=due.device).reshape(-1, *[1] * (due.ndim - 1)).expand_as(due)
    last = torch.where(due >= lowest, steps, -1).cummax(0).values
    return torch.where(last >= 0, due.gather(0, last.clamp(min=0)), 0.0)
