"""A network of LeNet's size: one definition for the ANN, the QCFS network and the SNN."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from .lift import lift_for


def lenet(
    *,
    classes: int = 10,
    in_channels: int = 1,
    image_size: int = 28,
    activation: Callable[[], nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Two convolutions of 5x5, two average pools, two hidden layers and a readout: LeNet-5 with BatchNorm.

    Shapes:  [batch, in_channels, image_size, image_size] -> [batch, classes]; with a neuron, [time, ...] before both.
    Raises:  ValueError: images of fewer than 12 x 12 pixels, of which nothing is left after the second pool.
    Source:  LeCun et al., Proc. IEEE 1998: its sizes (6, 16, 120, 84).
    Deviates:  BatchNorm before each activation of a convolution; every map sees every map; plain average pools and a
        linear readout; padded first convolution at every image size.

    >>> sum(parameter.numel() for parameter in lenet().parameters())
    61728
    """
    if image_size < 12:
        raise ValueError(
            f"lenet expects images of at least 12 x 12 pixels; got image_size = {image_size}. Take the cnn."
        )
    side = (image_size // 2 - 4) // 2
    stages: list[list[nn.Module]] = [
        [nn.Conv2d(in_channels, 6, 5, padding=2, bias=False), nn.BatchNorm2d(6)],
        [nn.AvgPool2d(2), nn.Conv2d(6, 16, 5, bias=False), nn.BatchNorm2d(16)],
        [nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16 * side**2, 120)],
        [nn.Linear(120, 84)],
    ]
    activations = [activation() for _ in stages]
    lift = lift_for(activations[0])
    pairs = [(lift(*stage), act) for stage, act in zip(stages, activations, strict=True)]
    return nn.Sequential(*(layer for pair in pairs for layer in pair), lift(nn.Linear(84, classes)))
