"""HAS-8-ResNet: a residual network whose every block has an analog and a spiking branch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias, get_args

from torch import Tensor, nn

from ..core.encoder import Encoder
from .branches import Branches, Images, Kind, Layer, Makers, mean_over_image, planes, tau_two
from .lift import lift_for
from .resnet import BasicBlock

Stem: TypeAlias = Literal["imagenet", "cifar"]

STEM_WIDTH = 64


def has_resnet(
    *,
    width: int = 32,
    classes: int = 10,
    in_channels: int = 3,
    stem: Stem = "imagenet",
    branches: Branches = "add",
    encoder: Callable[[], Encoder] = planes,
    decoder: Callable[[], nn.Module | None] | None = None,
    neuron: Callable[[], nn.Module] = tau_two,
) -> nn.Sequential:
    """A stem of 64 channels, eight basic blocks in four stages, a mean over the image, a readout: HAS-8-ResNet.

    By ``branches``, the stem and each basic block are:

    - ``add``: an analog branch with ReLU and a spiking one with a code of its own, summed, as published;
    - ``gated``: the same, the spiking branch behind a gate that starts at 0, so that with the parameters of ``ann``
      it first answers as that network does, bit for bit;
    - ``serial``: the spiking branch alone, encoded and decoded in every block;
    - ``ann``: the analog branch alone, with the names it has in ``add`` and ``gated``: at width 64 a ResNet-18;
    - ``snn``: the layers of ``serial`` without codes between them: one encoder at the image, spikes from block to
      block, one decoder before the readout. The stem's pool averages trains and the blocks add them, so not all that
      a convolution receives is a bit.

    The readout is linear and analog in all of them. Branches share nothing. The spiking stem averages where the
    analog one takes the maximum.

    Args:
        width: channels of the first stage, 32 and 64 are published; each later stage has twice as many.
        classes: number of classes.
        in_channels: channels of the image.
        stem: "imagenet" is published: a convolution of 7x7 and a pool, each of stride 2, which leave one pixel of an
            image of 32x32 to the last stage; "cifar" is a convolution of 3x3 without stride or pool, for such images.
        branches: which of the above.
        encoder: makes the code of one block; ``lambda: BitPlane(**reference_parity())`` makes the published one.
        decoder: makes the decoder of one block; None, or a maker of None, is that of the code.
        neuron: makes the spiking neurons.

    Shapes:  [batch, in_channels, height, width] -> [batch, classes].
    Raises:
        TypeError: a module in place of what makes one; a neuron that is none.
        ValueError: unknown branches or stem; what is no image of these channels.
    Source:  Luu, Luu, Pham, Truong, arXiv 2509.24411; analog branch: He et al., CVPR 2016.
    Deviates:  as ``has_vgg``; the stem "cifar" is not published.

    >>> sum(parameter.numel() for parameter in has_resnet(width=64, branches="ann").parameters())
    11181642
    """
    if stem not in get_args(Stem):
        raise ValueError(f"has_resnet expects stem to be one of {', '.join(get_args(Stem))}; got {stem!r}.")
    spiking = Kind(neuron, block=SpikingBasicBlock, pool=nn.AvgPool2d)
    makers = Makers("has_resnet", branches, encoder, decoder, Kind(nn.ReLU), spiking)
    layers: list[Layer] = [partial(_stem, in_channels=in_channels, stem=stem)]
    channels = STEM_WIDTH
    for stage, wide in enumerate(width * 2**power for power in range(4)):
        layers += [partial(_residual, sizes=(channels, wide), stride=1 if stage == 0 else 2)]
        layers += [partial(_residual, sizes=(wide, wide), stride=1)]
        channels = wide
    features = makers.through(*layers) if branches == "snn" else nn.Sequential(*map(makers.block, layers))
    images = Images("has_resnet", channels=in_channels, smallest=1)
    readout = nn.Linear(channels, classes)
    return nn.Sequential(OrderedDict(images=images, features=features, pool=mean_over_image(), readout=readout))


class SpikingBasicBlock(BasicBlock):
    """neuron(residual(x)) + shortcut(x):  the sum comes after the neurons, so that a train passes unchanged.

    A shortcut that changes shape ends in a neuron of its own.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        stride: of the first convolution.
        activation: makes the neuron.

    Shapes:  train [time, batch, in_channels, height, width] -> [time, batch, channels, height', width'], not binary.
    Source:  Fang et al., arXiv 2102.04159 (SEW, with ADD).
    """

    def __init__(self, in_channels: int, channels: int, *, stride: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__(in_channels, channels, stride=stride, activation=activation)
        # Beside the shortcut, not inside: layers have the same names as in the analog block.
        self.shortcut_activation = nn.Identity() if isinstance(self.shortcut, nn.Identity) else activation()

    def forward(self, values: Tensor) -> Tensor:
        """One block, on trains."""
        spikes: Tensor = self.activation(self.residual(values))
        passed: Tensor = self.shortcut_activation(self.shortcut(values))
        return self.joined(spikes, passed)

    def joined(self, spikes: Tensor, passed: Tensor) -> Tensor:
        """What the two ways give together."""
        return spikes + passed


def _stem(kind: Kind, *, in_channels: int, stem: Stem) -> nn.Module:
    """The first layer of the ResNet."""
    activation = kind.activation()
    lift = lift_for(activation)
    size, stride = (7, 2) if stem == "imagenet" else (3, 1)
    convolution = nn.Conv2d(in_channels, STEM_WIDTH, size, stride, padding=size // 2, bias=False)
    pool = [lift(kind.pool(3, 2, padding=1))] if stem == "imagenet" else []
    return nn.Sequential(lift(convolution, nn.BatchNorm2d(STEM_WIDTH)), activation, *pool)


def _residual(kind: Kind, *, sizes: tuple[int, int], stride: int) -> nn.Module:
    """One basic block of the ResNet."""
    return kind.block(*sizes, stride=stride, activation=kind.activation)
