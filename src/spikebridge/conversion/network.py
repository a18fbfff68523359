"""What convert makes: a spiking network that is called like the network it came from."""

from __future__ import annotations

import uuid

import torch
from torch import Tensor, fx, nn

from ..core.readout import cumulative_mean
from ..core.shapes import SpikeTrain, Value
from ..core.time import require_steps, unfold
from .stopping.decide import Decision, decide
from .stream import StreamState, advance


class ConvertedNetwork(nn.Module):
    """A spiking network from values to values, in the units of the network it was converted from.

    T is a dial: pass ``time_steps`` to any call. State lives only inside a call, so there is nothing to reset.

    Attributes:
        body: the graph, called with (values, time_steps), giving [time * batch, *unit].
        time_steps: T unless a call says otherwise.
        input_rank: number of axes of the values, batch included.
        unit: the shape of one sample in calibration; None if nobody said.

    Shapes:  values [batch, *unit] -> [batch, *other].
    """

    unit: torch.Size | None = None

    def __init__(self, body: fx.GraphModule, *, time_steps: int, input_rank: int) -> None:
        super().__init__()
        self.body, self.time_steps, self.input_rank = body, time_steps, input_rank
        self.key = uuid.uuid4().hex  # by which a state knows its network, copies of it included

    def forward(self, values: Value, *, time_steps: int | None = None) -> Value:
        """The mean output over T steps."""
        return self.train_out(values, time_steps=time_steps).mean(0)

    def train_out(self, values: Value, *, time_steps: int | None = None) -> SpikeTrain:
        """The output at every step: [batch, *unit] -> [time, batch, *other]."""
        steps = self.time_steps if time_steps is None else time_steps
        require_steps(steps, owner="ConvertedNetwork")
        self._check_values(values)
        folded: Tensor = self.body(values, steps)
        return unfold(folded, time_steps=steps)

    def readouts(self, values: Value, *, time_steps: int | None = None) -> SpikeTrain:
        """What the network would have answered had it stopped after each step: [time, batch, *other]."""
        return cumulative_mean(self.train_out(values, time_steps=time_steps))

    def step(self, values: Value, state: StreamState | None = None) -> tuple[Value, StreamState]:
        """One step: its output, and the state from which the next one goes on.

        N steps on the same values give ``train_out(values, time_steps=N)``, each with the arithmetic of its step alone.
        Other values may come with every step, such as the frames of an event camera. What the network computes
        before its first neuron is computed again only for another tensor, or one that was changed in place.

        Args:
            values: what this step is given.
            state: what the step before returned; None starts afresh. It holds for the weights it was made with.

        Shapes:  values [batch, *unit] -> [batch, *other].
        Raises:  ValueError: values of another rank; the state of another network, or of values of another shape.
        """
        self._check_values(values)
        return advance(self.body, values, state, key=self.key)

    def decide(self, values: Value, *, time_steps: int | None = None) -> Decision:
        """The classes that ``self(values, time_steps=T).argmax(1)`` names, each found in as few steps as can be proved.

        See :func:`~spikebridge.conversion.stopping.decide.decide`.
        """
        steps = self.time_steps if time_steps is None else time_steps
        require_steps(steps, owner="ConvertedNetwork")
        self._check_values(values)
        return decide(self.body, values, time_steps=steps)

    def _check_values(self, values: Value) -> None:
        if values.ndim != self.input_rank or values.shape[0] == 0:
            raise ValueError(
                f"ConvertedNetwork expects values of {self.input_rank} axes, [batch, *unit], as in calibration; got "
                f"shape {tuple(values.shape)}. It adds the time axis by itself; a single sample is values[None]."
            )

    def extra_repr(self) -> str:
        return f"time_steps={self.time_steps}"
