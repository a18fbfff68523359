"""A LeNet for CIFAR, with max-pools: one definition for the ANN, the QCFS network and the SNN."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import nn

from .lift import lift_for
from .stem import stem_for


def lenet_cifar(
    *,
    classes: int = 100,
    in_channels: int = 3,
    image_size: int = 32,
    activation: Callable[[], nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Three convolutions of 3x3, each with BatchNorm and a max-pool, a hidden layer and a readout.

    The network of the adaptive codes: 32, 48 and 64 channels, then 256 units, with the pools behind the activations,
    so that they see spikes. ``activation`` decides what it is, as in :func:`lenet`, which is another network.

    Shapes:  [batch, in_channels, image_size, image_size] -> [batch, classes]; with a neuron, [time, ...] before both.
    Raises:  ValueError: images of fewer than 8 x 8 pixels, of which nothing is left after the third pool.
    Source:  He, arXiv 2408.12407, its released network.

    >>> sum(parameter.numel() for parameter in lenet_cifar().parameters())
    331380
    """
    if image_size < 8:
        raise ValueError(
            f"lenet_cifar expects images of at least 8 x 8 pixels; got image_size = {image_size}. Take the cnn."
        )
    first, second, third, fourth = (activation() for _ in range(4))
    lift = lift_for(first)
    layers: dict[str, nn.Module] = {
        "stem": stem_for(first, nn.Conv2d(in_channels, 32, 3, padding=1), nn.BatchNorm2d(32)),
        "activation1": first,
        "layer2": lift(nn.MaxPool2d(2), nn.Conv2d(32, 48, 3, padding=1), nn.BatchNorm2d(48)),
        "activation2": second,
        "layer3": lift(nn.MaxPool2d(2), nn.Conv2d(48, 64, 3, padding=1), nn.BatchNorm2d(64)),
        "activation3": third,
        "hidden": lift(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64 * (image_size // 8) ** 2, 256), nn.BatchNorm1d(256)),
        "activation4": fourth,
        "readout": lift(nn.Linear(256, classes)),
    }
    return nn.Sequential(OrderedDict(layers))
