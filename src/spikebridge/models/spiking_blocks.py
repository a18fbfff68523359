"""Residual blocks for trains: where the neuron stands, and how the two ways are joined."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from .has_resnet import SpikingBasicBlock
from .lift import lift_for
from .resnet import shortcut


class AndBlock(SpikingBasicBlock):
    """neuron(residual(x)) * shortcut(x):  a spike where both ways have one.

    Shapes:  train [time, batch, in_channels, height, width] of bits -> [time, batch, channels, height', width'], bits.
    Source:  Fang et al., arXiv 2102.04159 (SEW, with AND).
    """

    def joined(self, spikes: Tensor, passed: Tensor) -> Tensor:
        return spikes * passed


class AndNotBlock(SpikingBasicBlock):
    """(1 - neuron(residual(x))) * shortcut(x):  a spike of the shortcut, unless the residual way has one too.

    Shapes:  train [time, batch, in_channels, height, width] of bits -> [time, batch, channels, height', width'], bits.
    Source:  Fang et al., arXiv 2102.04159 (SEW, with IAND).
    """

    def joined(self, spikes: Tensor, passed: Tensor) -> Tensor:
        return (1.0 - spikes) * passed


class MembraneBlock(nn.Module):
    """residual(x) + shortcut(x):  neurons stand before the convolutions, none after the sum.

    What passes from block to block is a current, a real number; with ReLU this is the pre-activation ResNet.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        stride: of the first convolution; where it or the channels differ, the shortcut is a convolution of 1x1.
        activation: makes the activation, or the neuron.

    Shapes:  [*, batch, in_channels, height, width] -> [*, batch, channels, height', width'], real.
    Source:  Hu et al., arXiv 2112.08954 (MS-ResNet); with ReLU, nearly He et al., arXiv 1603.05027.
    """

    def __init__(self, in_channels: int, channels: int, *, stride: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        outer, inner = activation(), activation()
        lift = lift_for(outer)
        first = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        layers = [outer, lift(first, nn.BatchNorm2d(channels)), inner, lift(second, nn.BatchNorm2d(channels))]
        self.residual = nn.Sequential(*layers)
        self.shortcut = shortcut(in_channels, channels, stride=stride, lift=lift)

    def forward(self, values: Tensor) -> Tensor:
        """One block, on values or on trains."""
        summed: Tensor = self.residual(values) + self.shortcut(values)
        return summed
