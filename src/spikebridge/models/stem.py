"""The first layers of a network, which see the image itself."""

from __future__ import annotations

from torch import nn

from ..core.neuron import Neuron
from ..core.shapes import SpikeTrain
from ..core.time import OverTime


class Stem(OverTime):
    """``OverTime`` for a convolution and BatchNorm, which computes a repeated frame once in training too.

    A train that repeats one value (``Direct``) has the batch mean and variance of that value, so BatchNorm gives the
    same; only the running variance differs, by (n - 1/T) / (n - 1) of n samples a channel, since it is corrected for
    n samples and not for T n that are copies. Not for layers that draw, such as dropout.

    Shapes:  train [time, batch, channels, height, width] -> train [time, batch, *other].
    Raises:  ValueError: see :meth:`TimeAxis.check_train`.
    Source:  Fang et al., arXiv 2102.04159: the published networks compute their stem once.

    >>> stem, frame = Stem(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), torch.rand(5, 1, 8, 8)
    >>> stem(frame.expand(4, 5, 1, 8, 8)).stride(0)
    0
    """

    def forward(self, train: SpikeTrain) -> SpikeTrain:
        self.check_train(train)
        if train.stride(0) != 0:
            return super().forward(train)
        step = self.layers(train[0])
        return step.expand(train.shape[0], *step.shape)


def stem_for(activation: nn.Module, *layers: nn.Module) -> nn.Sequential:
    """The first layers before this activation: a :class:`Stem` for a neuron, ``nn.Sequential`` otherwise."""
    return Stem(*layers) if isinstance(activation, Neuron) else nn.Sequential(*layers)
