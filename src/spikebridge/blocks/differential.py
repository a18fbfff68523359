"""A stateless function of values, applied to trains that carry them as a running sum."""

from __future__ import annotations

import torch
from torch import nn

from ..core.shapes import SpikeTrain
from ..core.time import TimeAxis, fold, unfold


class Differential(TimeAxis):
    """Apply ``function`` to the cumulative input and emit what has changed:

        C_t = x_1 + ... + x_t;    y_t = function(C_t) - function(C_{t-1}),   function(C_0) = 0

    so the cumulative output is exactly the function of the cumulative input, at every prefix. Max-pooling needs this:
    the maximum of spikes in each step is not the maximum of rates. It holds for functions with
    function(a x) = a function(x), a > 0. At T = 1 it is the function itself. What it emits is analog and may be
    negative, so it is not a spiking operation.

    Args:
        function: a stateless module on [batch, *unit], positively homogeneous.

    Shapes:  train [time, batch, *unit] -> train [time, batch, *other].

    >>> pool = Differential(nn.MaxPool1d(2))
    >>> pool(torch.tensor([[[[0.0, 1.0]]], [[[2.0, 0.0]]]])).flatten().tolist()
    [1.0, 1.0]
    """

    def __init__(self, function: nn.Module) -> None:
        super().__init__()
        self.function = function

    def forward(self, train: SpikeTrain) -> SpikeTrain:
        self.check_train(train)
        cumulative = unfold(self.function(fold(train.cumsum(0))), time_steps=train.shape[0])
        return torch.cat([cumulative[:1], cumulative.diff(dim=0)])
