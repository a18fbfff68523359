"""Spikformer: one definition for the transformer of spikes, the QCFS network and the ANN."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor, nn

from ..core.time import TimeAxis, declare_time, require_steps
from .attention import SelfAttention, at_half_threshold, token_layer
from .lift import lift_for
from .published import spikformer_neuron
from .stem import stem_for

CHANNELS_A_HEAD = 32
LARGE = 96
"""Images with at least so many pixels a side are halved four times, smaller ones twice."""


def spikformer(
    *,
    depth: int = 4,
    width: int = 256,
    classes: int = 10,
    time_steps: int | None = None,
    in_channels: int = 3,
    image_size: int = 32,
    heads: int | None = None,
    mlp_ratio: int = 4,
    activation: Callable[[], nn.Module] = spikformer_neuron,
    attention: Callable[[], nn.Module] | None = None,
    published_norms: bool = True,
) -> nn.Sequential:
    """Patches by four convolutions, blocks of spiking self-attention and an MLP, a mean over tokens, a readout.

    ``activation`` decides what the network is: a neuron gives the SNN, ``QCFS`` the ANN that equals ``GroupNeuron``
    at T = 1, ``nn.ReLU`` an ANN; layers have the same names in all. The ANN is *not* a usual transformer: attention
    stays linear, 0.125 relu(Q) relu(K)^T relu(V), without softmax, and norms are BatchNorm. Blocks add what neurons
    send, so tokens are whole numbers and not bits.

    **Parameters without use.** The released network has two LayerNorms in every block that nothing calls, and its
    published parameter count includes their 4 * width * depth numbers: 4,159,274 for the call without arguments.
    ``published_norms`` keeps them, so that counts are the published ones. They are never called and frozen
    (``requires_grad`` is False): no optimiser sees them, and training over several processes, which waits for the
    gradient of every parameter that asks for one, does not wait for theirs. ``published_norms=False`` leaves them out
    (4,155,178), and nothing else changes.

    Args:
        depth: number of blocks. Published: 4 of width 256; 2 and 4 of width 384; 8 of width 512 at 224x224.
        width: channels of a token; a multiple of 8.
        classes: number of classes.
        time_steps: T that trains must have, if it is to be declared here; ``SpikingNetwork`` declares that of its
            encoder. No weight depends on it, and an ANN has no time to declare.
        in_channels: channels of the image.
        image_size: height and width of an image. From 96 on, all four convolutions are pooled, so that 224 gives 14x14
            tokens; below, the last two, so that 32 gives 8x8. Images of other sizes pass too.
        heads: groups of channels that attend by themselves; None is one for every 32 channels.
        mlp_ratio: channels within an MLP, as a multiple of width.
        activation: makes the activation, or the neuron; unless told otherwise the published LIF.
        attention: makes the one behind the attention; None is that of ``activation``, with half its threshold if it is
            a neuron of bits, as published.
        published_norms: whether to hold the parameters without use.

    Shapes:  train [time, batch, in_channels, height, width] -> [time, batch, classes]; of an ANN, without time.
    Raises:
        TypeError: time_steps that are no whole number.
        ValueError: sizes below 1; a width that is no multiple of 8 or of heads; time_steps below 1.
    Source:  Zhou et al., arXiv 2209.15425, and its released network.
    Deviates:  linear layers on tokens are convolutions of 1x1 on their map, with the same numbers in them; Q (K^T V)
        in place of (Q K^T) V where it is less work; fires at the threshold. At width 512 the released ImageNet network
        has ``heads=8``, where None here gives 16, and no biases before Q, K and V: 12,288 parameters less than here.

    >>> sum(p.numel() for p in spikformer(depth=4, width=256, classes=10, time_steps=4).parameters())
    4159274
    >>> sum(p.numel() for p in spikformer(published_norms=False).parameters())
    4155178
    """
    sizes = {"depth": depth, "width": width, "classes": classes, "in_channels": in_channels, "image_size": image_size}
    heads = _checked(sizes | {"mlp_ratio": mlp_ratio}, heads)
    is_large = image_size >= LARGE
    stem, patches = _patches(in_channels, width, activation, pooled=range(4) if is_large else (2, 3))
    tokens = max(1, image_size // (16 if is_large else 4)) ** 2
    behind = attention or at_half_threshold(activation)
    blocks = [
        Block(
            SelfAttention(width, heads=heads, tokens=tokens, activation=activation, attention=behind),
            _mlp(width, mlp_ratio, activation),
            unused=[nn.LayerNorm(width), nn.LayerNorm(width)] if published_norms else [],
        )
        for _ in range(depth)
    ]
    readout = nn.Linear(width, classes)
    nn.init.trunc_normal_(readout.weight, std=0.02)
    nn.init.zeros_(readout.bias)
    mean = lift_for(patches[0])(nn.AdaptiveAvgPool2d(1), nn.Flatten(), readout)
    network = nn.Sequential(OrderedDict(stem=stem, patches=patches, blocks=nn.Sequential(*blocks), readout=mean))
    return _declared(network, time_steps)


class Block(nn.Module):
    """y = x + attention(x);  y + mlp(y).

    Args:
        attention: see :class:`SelfAttention`.
        mlp: two layers on every token.
        unused: layers whose parameters are held, frozen, and never called; see :func:`spikformer`.

    Shapes:  [*, batch, width, height, width] -> the same.
    """

    def __init__(self, attention: nn.Module, mlp: nn.Module, *, unused: list[nn.Module]) -> None:
        super().__init__()
        self.attention, self.mlp = attention, mlp
        self.unused = nn.ModuleList(unused).requires_grad_(False)

    def forward(self, values: Tensor) -> Tensor:
        """One block, on values or on trains."""
        attended = values + self.attention(values)
        processed: Tensor = attended + self.mlp(attended)
        return processed


class Position(nn.Module):
    """x + activation(norm(convolution(x))):  where a token lies, from what lies around it.

    Args:
        width: channels of a token.
        activation: makes the activation, or the neuron.

    Shapes:  [*, batch, width, height, width] -> the same.
    """

    def __init__(self, width: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        made = activation()
        convolution = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.residual = nn.Sequential(lift_for(made)(convolution, nn.BatchNorm2d(width)), made)

    def forward(self, values: Tensor) -> Tensor:
        """On values or on trains."""
        added: Tensor = self.residual(values)
        return values + added


def _patches(
    in_channels: int, width: int, activation: Callable[[], nn.Module], *, pooled: range | tuple[int, ...]
) -> tuple[nn.Sequential, nn.Sequential]:
    """The first convolution, and from its activation to tokens that know where they are."""
    channels = [in_channels, width // 8, width // 4, width // 2, width]
    activations = [activation() for _ in range(4)]
    lift = lift_for(activations[0])
    stages = [
        [nn.Conv2d(channels[index], channels[index + 1], 3, padding=1, bias=False), nn.BatchNorm2d(channels[index + 1])]
        for index in range(4)
    ]
    layers: list[nn.Module] = []
    for index, (stage, made) in enumerate(zip(stages, activations, strict=True)):
        layers += [lift(*stage)] if index > 0 else []
        layers += [made, lift(nn.MaxPool2d(3, 2, padding=1))] if index in pooled else [made]
    return stem_for(activations[0], *stages[0]), nn.Sequential(*layers, Position(width, activation))


def _mlp(width: int, ratio: int, activation: Callable[[], nn.Module]) -> nn.Sequential:
    return nn.Sequential(token_layer(width, width * ratio, activation), token_layer(width * ratio, width, activation))


def _declared(network: nn.Sequential, time_steps: int | None) -> nn.Sequential:
    if time_steps is None:
        return network
    require_steps(time_steps, owner="spikformer")
    is_spiking = any(isinstance(module, TimeAxis) for module in network.modules())
    return declare_time(network, time_steps=time_steps) if is_spiking else network


def _checked(sizes: dict[str, int], heads: int | None) -> int:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"spikformer expects {name} >= 1; got {size}.")
    width = sizes["width"]
    heads = max(1, width // CHANNELS_A_HEAD) if heads is None else heads
    if width % 8:
        raise ValueError(
            f"spikformer expects a width that is a multiple of 8, since its first convolution has an eighth of the "
            f"channels; got width = {width}. Take {max(8, width // 8 * 8)}."
        )
    if heads < 1 or width % heads:
        raise ValueError(
            f"spikformer expects heads that share the width evenly; got heads = {heads} for width = {width}. Pass "
            f"heads={width // 8}, or another divisor of {width}."
        )
    return heads
