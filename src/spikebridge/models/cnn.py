"""A small convolutional network: one definition for the ANN, the QCFS network and the SNN."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from .lift import lift_for


def cnn(
    *,
    classes: int = 10,
    in_channels: int = 1,
    widths: tuple[int, int, int] = (16, 32, 64),
    image_size: int = 8,
    activation: Callable[[], nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Three convolutions with BatchNorm, two average pools, a hidden layer and a readout.

    ``activation`` decides what the network is: ``nn.ReLU`` gives the ANN, ``QCFS`` the ANN that converts without
    loss, a neuron such as ``GroupNeuron`` the SNN, whose layers are lifted over time and which takes trains. Layers
    have the same names in all three, so weights pass from one to the other: from QCFS to GroupNeuron whole,
    thresholds included, and otherwise with ``strict=False``, since activations differ in what they hold.

    Shapes:  [batch, in_channels, image_size, image_size] -> [batch, classes]; with a neuron, [time, ...] before both.

    Raises:  ValueError: images of fewer than 4 x 4 pixels, of which nothing is left after the second pool.

    >>> import torch
    >>> from spikebridge import LIF
    >>> cnn()(torch.zeros(2, 1, 8, 8)).shape, cnn(activation=LIF)(torch.zeros(4, 2, 1, 8, 8)).shape
    (torch.Size([2, 10]), torch.Size([4, 2, 10]))
    """
    if image_size < 4:
        raise ValueError(f"cnn expects images of at least 4 x 4 pixels; got image_size = {image_size}. Enlarge them.")
    first, second, third = widths
    features = third * (image_size // 4) ** 2
    stages = [
        [nn.Conv2d(in_channels, first, 3, padding=1, bias=False), nn.BatchNorm2d(first)],
        [nn.Conv2d(first, second, 3, padding=1, bias=False), nn.BatchNorm2d(second)],
        [nn.AvgPool2d(2), nn.Conv2d(second, third, 3, padding=1, bias=False), nn.BatchNorm2d(third)],
        [nn.AvgPool2d(2), nn.Flatten(), nn.Linear(features, 128)],
    ]
    activations = [activation() for _ in stages]
    lift = lift_for(activations[0])
    pairs = [(lift(*stage), act) for stage, act in zip(stages, activations, strict=True)]
    return nn.Sequential(*(layer for pair in pairs for layer in pair), lift(nn.Linear(128, classes)))
