"""HAS-8-VGG: a network whose every stage has an analog and a spiking branch."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from itertools import pairwise

from torch import nn

from ..core.encoder import Encoder
from ..core.time import OverTime
from .branches import Branches, Images, Kind, Makers, mean_over_image, planes, tau_two
from .lift import lift_for

STAGES = 5  # each halves the image
MOMENTUM = math.sqrt(0.1)


def has_vgg(
    *,
    width: int = 16,
    classes: int = 10,
    in_channels: int = 3,
    branches: Branches = "add",
    encoder: Callable[[], Encoder] = planes,
    decoder: Callable[[], nn.Module | None] | None = None,
    neuron: Callable[[], nn.Module] = tau_two,
    plain_logits: bool = False,
) -> nn.Sequential:
    """Five stages of a convolution and an average pool, a mean over the image, three linear layers: HAS-8-VGG.

    By ``branches``, each stage, and the three linear layers together, are:

    - ``add``: an analog branch with LeakyReLU and a spiking one with a code of its own, summed, as published;
    - ``gated``: the same, the spiking branch behind a gate that starts at 0, so that with the parameters of ``ann``
      it first answers as that network does, bit for bit;
    - ``serial``: the spiking branch alone, encoded and decoded in every block;
    - ``ann``: the analog branch alone, with the names it has in ``add`` and ``gated``;
    - ``snn``: the layers of ``serial`` without codes between them: one encoder at the image, spikes from layer to
      layer, one decoder at the end. Average pools lie between neuron and convolution, so what a convolution receives
      is a multiple of 1/4.

    Branches share nothing. Channels are in_channels * width * 2^i: 48 to 768 of colour images at width 16.

    Args:
        width: 16 and 24 are published.
        classes: number of classes.
        in_channels: channels of the image, which all stages grow with.
        branches: which of the above.
        encoder: makes the code of one block; ``lambda: BitPlane(**reference_parity())`` makes the published one.
        decoder: makes the decoder of one block; None, or a maker of None, is that of the code.
        neuron: makes the spiking neurons.
        plain_logits: leave out the activation after the last linear layer. Published are LeakyReLU and spikes there,
            so that without an analog branch every logit lies in [0, 1].

    Shapes:  [batch, in_channels, height, width] -> [batch, classes].
    Raises:
        TypeError: a module in place of what makes one; a neuron that is none.
        ValueError: unknown branches; images of fewer than 32 x 32 pixels or of other channels.
    Source:  Luu, Luu, Pham, Truong, arXiv 2509.24411.
    Deviates:  by the defaults of ``BitPlane`` from the published code (see :func:`reference_parity`); no neuron keeps
        a state between batches.

    >>> sum(parameter.numel() for parameter in has_vgg(width=16).parameters())
    9693556
    """
    makers = Makers("has_vgg", branches, encoder, decoder, Kind(nn.LeakyReLU), Kind(neuron))
    channels = [in_channels, *(in_channels * width * 2**stage for stage in range(STAGES))]
    stages = [partial(_stage, sizes=sizes) for sizes in pairwise(channels)]
    head = partial(_head, widths=(channels[-1], 1024, 512, classes), plain_logits=plain_logits)
    images = Images("has_vgg", channels=in_channels, smallest=2**STAGES)
    if branches == "snn":
        return nn.Sequential(OrderedDict(images=images, spiking=makers.through(*stages, _mean_of_trains, head)))
    features = nn.Sequential(*map(makers.block, stages))
    return nn.Sequential(OrderedDict(images=images, features=features, pool=mean_over_image(), head=makers.block(head)))


def _stage(kind: Kind, *, sizes: tuple[int, int]) -> nn.Module:
    """One stage of the VGG."""
    activation = kind.activation()
    lift = lift_for(activation)
    convolution = nn.Conv2d(*sizes, 3, padding=1, bias=False)
    return nn.Sequential(
        lift(convolution, nn.BatchNorm2d(sizes[1], momentum=MOMENTUM)), activation, lift(nn.AvgPool2d(2))
    )


def _head(kind: Kind, *, widths: tuple[int, ...], plain_logits: bool) -> nn.Module:
    """Three linear layers of the VGG."""
    layers: list[nn.Module] = []
    for sizes in pairwise(widths):
        activation = kind.activation()
        layers += [lift_for(activation)(nn.Linear(*sizes)), activation]
    return nn.Sequential(*(layers[:-1] if plain_logits else layers))


def _mean_of_trains(_: Kind) -> nn.Module:
    return OverTime(mean_over_image())
