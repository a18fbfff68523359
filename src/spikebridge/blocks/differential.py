"""Between trains and their running means: how a function that is not linear is applied over time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core.readout import cumulative_mean
from ..core.shapes import SpikeTrain, Value, along_channels
from ..core.time import TimeAxis, fold, unfold


class PrefixMeans(TimeAxis):
    """What a train has meant so far, after each step:  M_t = (x_1 + ... + x_t) / t.

    Shapes:  train [time, batch, *unit] -> means [time, batch, *unit].

    >>> PrefixMeans()(torch.tensor([[1.0], [2.0], [6.0]])).flatten().tolist()
    [1.0, 1.5, 3.0]
    """

    def forward(self, train: SpikeTrain) -> SpikeTrain:
        self.check_train(train)
        return train if train.shape[0] == 1 else cumulative_mean(train)


class Increments(TimeAxis):
    """The train that has these means, the inverse of :class:`PrefixMeans`:  x_t = t M_t - (t - 1) M_{t-1}.

    Shapes:  means [time, batch, *unit] -> train [time, batch, *unit].

    >>> Increments()(torch.tensor([[1.0], [1.5], [3.0]])).flatten().tolist()
    [1.0, 2.0, 6.0]
    """

    def forward(self, means: SpikeTrain) -> SpikeTrain:
        self.check_train(means)
        if means.shape[0] == 1:
            return means
        elapsed = means.new_ones(means.shape[0]).cumsum(0).reshape(-1, *[1] * (means.ndim - 1))
        totals = means * elapsed
        return torch.cat([totals[:1], totals[1:] - totals[:-1]])


class Differential(TimeAxis):
    """Apply ``function`` to what the train has meant so far, and emit what has changed:

        M_t = (x_1 + ... + x_t) / t;    y_t = t function(M_t) - (t - 1) function(M_{t-1})

    so the mean output after every step is exactly the function of the mean input. Max-pooling needs this: the maximum
    of spikes in each step is not the maximum of rates. At T = 1 it is the function itself. What it emits is analog
    and may be negative, so it is not a spiking operation.

    Args:
        function: a stateless module on [batch, *unit].

    Shapes:  train [time, batch, *unit] -> train [time, batch, *other].

    >>> pool = Differential(nn.MaxPool1d(2))
    >>> pool(torch.tensor([[[[0.0, 1.0]]], [[[2.0, 0.0]]]])).flatten().tolist()
    [1.0, 1.0]
    """

    def __init__(self, function: nn.Module) -> None:
        super().__init__()
        self.function, self.means, self.increments = function, PrefixMeans(), Increments()

    def forward(self, train: SpikeTrain) -> SpikeTrain:
        self.check_train(train)
        values: Value = self.function(fold(self.means(train)))
        emitted: SpikeTrain = self.increments(unfold(values, time_steps=train.shape[0]))
        return emitted


class Bias(nn.Module):
    """Add a constant to every channel:  y = x + bias.  Over time it is added at every step, as a bias is.

    Args:
        bias: one number, or one per channel.

    Shapes:  [batch, *unit] -> [batch, *unit].

    >>> Bias(torch.tensor([1.0, 2.0]))(torch.zeros(1, 2)).tolist()
    [[1.0, 2.0]]
    """

    bias: Tensor

    def __init__(self, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("bias", bias.detach().clone())

    def forward(self, values: Value) -> Value:
        return values + along_channels(self.bias, values)
