"""What convert makes: a spiking network that is called like the network it came from."""

from __future__ import annotations

from torch import Tensor, fx, nn

from ..core.readout import cumulative_mean
from ..core.shapes import SpikeTrain, Value
from ..core.time import require_steps, unfold


class ConvertedNetwork(nn.Module):
    """A spiking network from values to values, in the units of the network it was converted from.

    T is a dial: pass ``time_steps`` to any call. State lives only inside a call, so there is nothing to reset.

    Attributes:
        body: the graph, called with (values, time_steps), giving [time * batch, *unit].
        time_steps: T unless a call says otherwise.
        input_rank: number of axes of the values, batch included.

    Shapes:  values [batch, *unit] -> [batch, *other].
    """

    def __init__(self, body: fx.GraphModule, *, time_steps: int, input_rank: int) -> None:
        super().__init__()
        self.body, self.time_steps, self.input_rank = body, time_steps, input_rank

    def forward(self, values: Value, *, time_steps: int | None = None) -> Value:
        """The mean output over T steps."""
        return self.train_out(values, time_steps=time_steps).mean(0)

    def train_out(self, values: Value, *, time_steps: int | None = None) -> SpikeTrain:
        """The output at every step: [batch, *unit] -> [time, batch, *other]."""
        steps = self.time_steps if time_steps is None else time_steps
        require_steps(steps, owner="ConvertedNetwork")
        if values.ndim != self.input_rank or values.shape[0] == 0:
            raise ValueError(
                f"ConvertedNetwork expects values of {self.input_rank} axes, [batch, *unit], as in calibration; got "
                f"shape {tuple(values.shape)}. It adds the time axis by itself; a single sample is values[None]."
            )
        folded: Tensor = self.body(values, steps)
        return unfold(folded, time_steps=steps)

    def readouts(self, values: Value, *, time_steps: int | None = None) -> SpikeTrain:
        """What the network would have answered had it stopped after each step: [time, batch, *other]."""
        return cumulative_mean(self.train_out(values, time_steps=time_steps))

    def extra_repr(self) -> str:
        return f"time_steps={self.time_steps}"
