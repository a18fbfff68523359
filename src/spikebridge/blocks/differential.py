"""Between trains and their running means: how a function that is not linear is applied over time."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..core.shapes import SpikeTrain, Value, along_channels
from ..core.time import TimeAxis, fold, unfold


class Total(NamedTuple):
    """What a sum over time carries from step to step."""

    total: Tensor  # [batch, *unit]
    steps: int


class PrefixMeans(TimeAxis):
    """What a train has meant so far, after each step:  M_t = (x_1 + ... + x_t) / t.

    Shapes:  train [time, batch, *unit] -> means [time, batch, *unit].

    >>> PrefixMeans()(torch.tensor([[1.0], [2.0], [6.0]])).flatten().tolist()
    [1.0, 1.5, 3.0]
    """

    def forward(self, train: SpikeTrain) -> SpikeTrain:
        self.check_train(train)
        return train if train.shape[0] == 1 else self.resume(train)[0]

    def resume(self, train: SpikeTrain, state: Total | None = None) -> tuple[SpikeTrain, Total]:
        """See :meth:`TimeAxis.resume`."""
        # In float64, where it exists, so that the sum of two pieces is that of the whole to the last bit.
        wide = train if train.device.type == "mps" else train.double()
        total, steps = (torch.zeros_like(wide[0]), 0) if state is None else state
        totals = torch.cat([total[None], wide]).cumsum(0)[1:]
        return totals.to(train.dtype) / _elapsed(train, steps), Total(totals[-1], steps + train.shape[0])


class Increments(TimeAxis):
    """The train that has these means, the inverse of :class:`PrefixMeans`:  x_t = t M_t - (t - 1) M_{t-1}.

    Shapes:  means [time, batch, *unit] -> train [time, batch, *unit].

    >>> Increments()(torch.tensor([[1.0], [1.5], [3.0]])).flatten().tolist()
    [1.0, 2.0, 6.0]
    """

    def forward(self, means: SpikeTrain) -> SpikeTrain:
        self.check_train(means)
        return means if means.shape[0] == 1 else self.resume(means)[0]

    def resume(self, train: SpikeTrain, state: Total | None = None) -> tuple[SpikeTrain, Total]:
        """See :meth:`TimeAxis.resume`."""
        total, steps = (torch.zeros_like(train[0]), 0) if state is None else state
        totals = train * _elapsed(train, steps)
        before = torch.cat([total[None], totals[:-1]])
        return totals - before, Total(totals[-1], steps + train.shape[0])


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
        return self.resume(train)[0]

    def resume(
        self, train: SpikeTrain, state: tuple[Total, Total] | None = None
    ) -> tuple[SpikeTrain, tuple[Total, Total]]:
        """See :meth:`TimeAxis.resume`."""
        before, after = (None, None) if state is None else state
        means, before = self.means.resume(train, before)
        values: Value = self.function(fold(means))
        emitted, after = self.increments.resume(unfold(values, time_steps=train.shape[0]), after)
        return emitted, (before, after)


def _elapsed(train: SpikeTrain, steps: int) -> Tensor:
    """How many steps have passed after each step of a piece that comes after ``steps`` others."""
    return (train.new_ones(train.shape[0]).cumsum(0) + steps).reshape(-1, *[1] * (train.ndim - 1))


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
