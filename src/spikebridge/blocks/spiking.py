"""A spiking network that looks like an ordinary one from outside."""

from __future__ import annotations

from torch import nn

from ..core.encoder import Encoder
from ..core.readout import cumulative_mean, mean_over_time
from ..core.shapes import SpikeTrain, Value
from ..core.time import declare_time


class SpikingNetwork(nn.Module):
    """encode -> body -> mean over time:  from values to values, in any network or training loop.

    The encoder declares T: every neuron and lifted layer in ``body`` is told its name and the T it must see, so a
    time axis lost on the way is an error that names the layer.

    Args:
        body: a network from trains to trains, for example ``nn.Sequential(OverTime(nn.Linear(64, 10)), LIF())``.
        encoder: turns the values into the train that the body receives.

    Shapes:  values [batch, *unit] -> [batch, *other], at least float32.
    Raises:  TypeError: what is not an encoder. ValueError: nothing in the body has a time axis.

    >>> import torch
    >>> from spikebridge import LIF, Direct, OverTime
    >>> body = nn.Sequential(OverTime(nn.Linear(64, 32)), LIF(), OverTime(nn.Linear(32, 10)))
    >>> SpikingNetwork(body, encoder=Direct(time_steps=4))(torch.zeros(8, 64)).shape
    torch.Size([8, 10])
    """

    def __init__(self, body: nn.Module, *, encoder: Encoder) -> None:
        super().__init__()
        if not isinstance(encoder, Encoder):
            raise TypeError(
                f"SpikingNetwork expects an encoder, which declares T, such as Direct(time_steps=4); got {encoder!r}."
            )
        self.encoder = encoder
        self.body = declare_time(body, time_steps=encoder.time_steps)

    def forward(self, values: Value) -> Value:
        return mean_over_time(self.train_out(values))

    def train_out(self, values: Value) -> SpikeTrain:
        """The output at every step: [batch, *unit] -> [time, batch, *other]."""
        train: SpikeTrain = self.body(self.encoder(values))
        return train

    def readouts(self, values: Value) -> SpikeTrain:
        """What the network would have answered had it stopped after each step: [time, batch, *other]."""
        return cumulative_mean(self.train_out(values))
