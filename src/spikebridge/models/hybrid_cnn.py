"""A small hybrid network: a convolution, two blocks with spikes in them, a readout."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from ..core.encoder import Encoder
from .branches import Branches, Kind, Layer, Makers, planes, tau_two
from .lift import lift_for


def hybrid_cnn(
    *,
    classes: int = 10,
    in_channels: int = 1,
    image_size: int = 28,
    width: int = 8,
    branches: Branches = "serial",
    encoder: Callable[[], Encoder] = planes,
    decoder: Callable[[], nn.Module | None] | None = None,
    neuron: Callable[[], nn.Module] = tau_two,
) -> nn.Sequential:
    """A convolution with ReLU, two blocks of a convolution each, a readout: small, and with codes in series.

    A block is, by ``branches``:

    - ``serial``: encode, spikes, decode; what is before it learns through the code or not at all;
    - ``add``: that and its analog twin, summed; ``gated``: with a gate that starts at 0;
    - ``ann``: the analog twin alone, with as many parameters as ``serial``;
    - ``snn``: one encoder before the first block, one decoder after the second, spikes in between.

    Images of 16 pixels or more are reduced to a quarter by the first convolution and a pool. The last block halves.

    Args:
        classes: number of classes.
        in_channels: channels of the image.
        image_size: its height and width (>= 2).
        width: channels of the first convolution; the blocks have 2 and 4 times as many.
        branches: what a block is.
        encoder: makes a block's code.
        decoder: makes a block's decoder; None, or a maker of None, is that of the code.
        neuron: makes the spiking neurons.

    Shapes:  [batch, in_channels, image_size, image_size] -> [batch, classes].
    Raises:  ValueError: unknown branches, an image without pixels. TypeError: modules in place of what makes them.

    >>> import torch
    >>> hybrid_cnn(in_channels=3, image_size=32)(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    if image_size < 2:
        raise ValueError(f"hybrid_cnn expects images of at least 2 x 2 pixels; got image_size = {image_size}.")
    is_large = image_size >= 16
    side = -(-image_size // 2) // 2 if is_large else image_size
    makers = Makers("hybrid_cnn", branches, encoder, decoder, analog=Kind(nn.ReLU), spiking=Kind(neuron))
    layers: list[Layer] = [
        partial(_layer, width, 2 * width, 1),
        partial(_layer, 2 * width, 4 * width, 2),
    ]
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, 2 if is_large else 1, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.AvgPool2d(2) if is_large else nn.Identity(),
        *([makers.through(*layers)] if branches == "snn" else [makers.block(layer) for layer in layers]),
        nn.Flatten(),
        nn.Linear(4 * width * ((side + 1) // 2) ** 2, classes),
    )


def _layer(channels: int, out_channels: int, stride: int, kind: Kind) -> nn.Module:
    activation = kind.activation()
    convolution = nn.Conv2d(channels, out_channels, 3, stride, padding=1, bias=False)
    return nn.Sequential(lift_for(activation)(convolution, nn.BatchNorm2d(out_channels)), activation)
