"""One definition of a layer, made into an analog branch, a spiking one, or both."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from torch import nn

from ..blocks import Fusion, HybridBlock
from ..core.encoder import Encoder
from ..core.gradient import ATan
from ..core.neuron import Neuron
from ..core.reset import to_zero
from ..core.shapes import Value
from ..encoders import BitPlane
from ..neurons import LIF
from .resnet import BasicBlock

Branches: TypeAlias = Literal["add", "gated", "serial", "snn", "ann"]


def planes() -> BitPlane:
    """The code of a hybrid block unless told otherwise: 8 planes, of a range that training measures."""
    return BitPlane(bits=8, value_range="running")


def tau_two() -> LIF:
    """The neuron of arXiv 2509.24411: a LIF of tau = 2, reset to zero, with the arctangent's gradient.

    Its membrane halves itself, which weighs planes that are sent lowest first.
    """
    return LIF(decay=0.5, decay_input=True, reset=to_zero, surrogate=ATan())


@dataclass(frozen=True)
class Kind:
    """What tells a spiking branch from its analog twin.

    Args:
        activation: makes the activation, or the neuron.
        block: of a residual network.
        pool: makes the pool of a stem.
    """

    activation: Callable[[], nn.Module]
    block: type[BasicBlock] = BasicBlock
    pool: Callable[..., nn.Module] = nn.MaxPool2d


Layer: TypeAlias = Callable[[Kind], nn.Module]


@dataclass(frozen=True)
class Makers:
    """Makes layers into blocks of one or two branches.

    Args:
        owner: the builder's name; errors quote it.
        branches: which branches a block has.
        encoder: makes a block's code.
        decoder: makes a block's decoder; None, or a maker of None, is that of the code.
        analog: what an analog layer is made of.
        spiking: what a spiking layer is made of.

    Raises:
        TypeError: a module in place of what makes one; a neuron that is none.
        ValueError: unknown branches.
    """

    owner: str
    branches: Branches
    encoder: Callable[[], Encoder]
    decoder: Callable[[], nn.Module | None] | None
    analog: Kind
    spiking: Kind

    def __post_init__(self) -> None:
        if self.branches not in get_args(Branches):
            known = ", ".join(get_args(Branches))
            raise ValueError(f"{self.owner} expects branches to be one of {known}; got {self.branches!r}.")
        makers = {"encoder": self.encoder, "decoder": self.decoder, "neuron": self.spiking.activation}
        for name, maker in makers.items():
            if isinstance(maker, nn.Module):
                kind = type(maker).__name__
                raise TypeError(
                    f"{self.owner} expects {name} to make one for each place; got one {kind}. "
                    f"Pass {name}=lambda: {kind}(...)."
                )
        if not isinstance(neuron := self.spiking.activation(), Neuron):
            raise TypeError(
                f"{self.owner} expects neuron to make a neuron, such as LIF; it made {type(neuron).__name__}. "
                f"For a network without spikes pass branches='ann'."
            )

    def block(self, layer: Layer) -> nn.Module:
        """One layer, from values to values."""
        if self.branches == "ann":
            return nn.Sequential(OrderedDict(analog=layer(self.analog)))
        mode = self.branches
        assert mode != "snn", "spikes pass between its layers"
        analog = nn.Identity() if mode == "serial" else layer(self.analog)
        return Fusion(analog, self.through(layer), mode=mode)

    def through(self, *layers: Layer) -> HybridBlock:
        """Spiking layers between one encoder and one decoder."""
        made = [layer(self.spiking) for layer in layers]
        core = made[0] if len(made) == 1 else nn.Sequential(*made)
        return HybridBlock(core, self.encoder(), None if self.decoder is None else self.decoder())


class Images(nn.Module):
    """Pass images on, and refuse what the network behind cannot take.

    Args:
        owner: the network's name; the error quotes it.
        channels: of an image.
        smallest: its least height and width, in pixels.

    Shapes:  [batch, channels, height, width] -> the same.
    Raises:  ValueError: another shape.
    """

    def __init__(self, owner: str, *, channels: int, smallest: int) -> None:
        super().__init__()
        self.owner, self.channels, self.smallest = owner, channels, smallest

    def forward(self, values: Value) -> Value:
        if values.ndim != 4 or values.shape[1] != self.channels:
            raise ValueError(
                f"{self.owner} expects images [batch, {self.channels}, height, width]; got shape "
                f"{tuple(values.shape)}. Add the missing axis, or build it with in_channels as your images have them."
            )
        if min(values.shape[2:]) < self.smallest:
            raise ValueError(
                f"{self.owner} expects images of at least {self.smallest} x {self.smallest} pixels, since its pools "
                f"leave nothing of smaller ones; got {values.shape[2]} x {values.shape[3]}. Enlarge or pad them, or "
                f"take has_resnet(stem='cifar')."
            )
        return values

    def extra_repr(self) -> str:
        return f"channels={self.channels}, smallest={self.smallest}"


def mean_over_image() -> nn.Module:
    """One value per channel: [batch, channels, height, width] -> [batch, channels]."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
