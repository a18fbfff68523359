"""Residual networks for small images: one definition for the ANN, the QCFS network and the SNN."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from .lift import lift_for

WIDTHS = (16, 32, 64)


class BasicBlock(nn.Module):
    """activation(residual(x) + shortcut(x)):  two convolutions of 3x3 around one activation, and a way past them.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        stride: of the first convolution; where it or the channels differ, the shortcut is a convolution of 1x1.
        activation: makes the activation, or the neuron.
    """

    def __init__(self, in_channels: int, channels: int, *, stride: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        inner, self.activation = activation(), activation()
        lift = lift_for(inner)
        first = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.residual = nn.Sequential(
            lift(first, nn.BatchNorm2d(channels)), inner, lift(second, nn.BatchNorm2d(channels))
        )
        self.shortcut = shortcut(in_channels, channels, stride=stride, lift=lift)

    def forward(self, values: Tensor) -> Tensor:
        """One block, on values or on trains."""
        activated: Tensor = self.activation(self.residual(values) + self.shortcut(values))
        return activated


def shortcut(in_channels: int, channels: int, *, stride: int, lift: type[nn.Sequential]) -> nn.Module:
    """The way past a block: a convolution of 1x1 and a norm where the shape changes, nothing otherwise."""
    is_plain = stride == 1 and in_channels == channels
    # Drawn in either case, so that a seed gives the weights that it always gave.
    projection = [nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)]
    return nn.Identity() if is_plain else lift(*projection)


def resnet(
    *,
    depth: int = 20,
    classes: int = 10,
    in_channels: int = 3,
    activation: Callable[[], nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """A ResNet for images of 32x32: a convolution, three stages of 16, 32 and 64 channels, an average, a readout.

    Args:
        depth: 6 n + 2 layers of weights, n blocks a stage: 20, 32, 44, 56, 110.
        classes: number of classes.
        in_channels: channels of the image.
        activation: makes the activation, or the neuron.

    Shapes:  [batch, in_channels, height, width] -> [batch, classes]; with a neuron, [time, ...] before both.
    Raises:  ValueError: a depth that is not 6 n + 2.
    Source:  He et al., CVPR 2016, section 4.2.
    Deviates:  the two shortcuts that change shape are convolutions of 1x1 (option B) in place of padded slices.

    >>> sum(parameter.numel() for parameter in resnet(depth=20).parameters())
    272474
    """
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"resnet expects a depth of 6 n + 2, such as 20, 32, 44 or 56; got {depth}.")
    blocks, channels = [], WIDTHS[0]
    for stage, width in enumerate(WIDTHS):
        for index in range((depth - 2) // 6):
            stride = 2 if stage > 0 and index == 0 else 1
            blocks.append(BasicBlock(channels, width, stride=stride, activation=activation))
            channels = width
    first = activation()
    lift = lift_for(first)
    stem = lift(nn.Conv2d(in_channels, WIDTHS[0], 3, padding=1, bias=False), nn.BatchNorm2d(WIDTHS[0]))
    readout = lift(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
    return nn.Sequential(stem, first, *blocks, readout)
