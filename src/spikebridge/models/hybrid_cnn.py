"""A small hybrid network: convolutions, one spiking block in the middle, a readout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from torch import nn

from ..blocks import Fusion, HybridBlock
from ..core.encoder import Encoder
from ..core.gradient import ATan
from ..core.reset import to_zero
from ..encoders import BitPlane
from ..neurons import LIF
from .lift import lift_for

Branches: TypeAlias = Literal["serial", "add", "gated", "ann"]


def planes() -> BitPlane:
    """The code of a hybrid block unless told otherwise: 8 planes, of a range that training measures."""
    return BitPlane(bits=8, value_range="running")


def tau_two() -> LIF:
    """The neuron of arXiv 2509.24411: a LIF of tau = 2, reset to zero, with the arctangent's gradient."""
    return LIF(decay=0.5, decay_input=True, reset=to_zero, surrogate=ATan())


def hybrid_cnn(
    *,
    classes: int = 10,
    in_channels: int = 1,
    image_size: int = 28,
    width: int = 16,
    branches: Branches = "serial",
    encoder: Callable[[], Encoder] = planes,
    decoder: Callable[[], nn.Module | None] = lambda: None,
    neuron: Callable[[], nn.Module] = tau_two,
) -> nn.Sequential:
    """Two convolutions with ReLU, a block of one convolution, a readout: the smallest network with a code inside.

    The block is, by ``branches``:

    - ``serial``: spikes alone, so that the convolutions before it learn through the code or not at all;
    - ``add``: its analog twin and spikes, summed; ``gated``: with a gate that starts at 0;
    - ``ann``: its analog twin alone, with as many parameters as ``serial``.

    Images of 16 pixels or more are halved by each of the first two convolutions, smaller ones by the second alone.

    Args:
        classes: number of classes.
        in_channels: channels of the image.
        image_size: its height and width (>= 4).
        width: channels of the first convolution; the others have 2 and 4 times as many.
        branches: what the block is.
        encoder: makes the code.
        decoder: makes the decoder, or None for that of the code.
        neuron: makes the spiking neuron.

    Shapes:  [batch, in_channels, image_size, image_size] -> [batch, classes].
    Raises:  ValueError: an image of fewer than 4 x 4 pixels; unknown branches.

    >>> import torch
    >>> hybrid_cnn(in_channels=3, image_size=32)(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    if image_size < 4:
        raise ValueError(f"hybrid_cnn expects images of at least 4 x 4 pixels; got image_size = {image_size}.")
    first = 2 if image_size >= 16 else 1
    side = (image_size + 2 * first - 1) // (2 * first)
    stem = [
        *(nn.Conv2d(in_channels, width, 3, first, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
        *(nn.Conv2d(width, 2 * width, 3, 2, padding=1, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU()),
    ]
    block = _block(2 * width, branches, encoder, decoder, neuron)
    return nn.Sequential(*stem, block, nn.Flatten(), nn.Linear(4 * width * side * side, classes))


def _block(
    channels: int,
    branches: Branches,
    encoder: Callable[[], Encoder],
    decoder: Callable[[], nn.Module | None],
    neuron: Callable[[], nn.Module],
) -> nn.Module:
    analog = _core(channels, nn.ReLU)
    if branches == "ann":
        return analog
    return Fusion(analog, HybridBlock(_core(channels, neuron), encoder(), decoder()), mode=branches)


def _core(channels: int, activation: Callable[[], nn.Module]) -> nn.Sequential:
    last = activation()
    lifted = lift_for(last)(nn.Conv2d(channels, 2 * channels, 3, padding=1, bias=False), nn.BatchNorm2d(2 * channels))
    return nn.Sequential(lifted, last)
