"""Spiking ResNets, SEW, MS and plain: one definition for the ANN, the QCFS network and the SNN."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias, get_args

from torch import nn

from .bits import require_bits
from .has_resnet import SpikingBasicBlock, Stem
from .lift import lift_for
from .published import ms_neuron, sew_neuron
from .resnet import BasicBlock
from .spiking_blocks import AndBlock, AndNotBlock, MembraneBlock
from .stem import stem_for

Block: TypeAlias = Literal["sew-add", "sew-and", "sew-iand", "ms", "plain"]

BLOCKS: Mapping[str, Callable[..., nn.Module]] = {
    "sew-add": SpikingBasicBlock,
    "sew-and": AndBlock,
    "sew-iand": AndNotBlock,
    "ms": MembraneBlock,
    "plain": BasicBlock,
}
STAGES = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


def spiking_resnet(
    *,
    depth: int = 18,
    classes: int = 10,
    in_channels: int = 3,
    stem: Stem = "cifar",
    block: Block = "sew-add",
    activation: Callable[[], nn.Module] | None = None,
    width: int = 64,
    stages: tuple[int, ...] | None = None,
    stem_width: int | None = None,
    zero_init: bool = False,
) -> nn.Sequential:
    """A stem, stages of basic blocks, a mean over the image, a readout: Spiking ResNet-18 and -34.

    By ``block``, a block of residual way F, shortcut S and neuron N gives

    - ``sew-add``: N(F) + S, whole numbers that grow with depth; ``sew-and``: N(F) * S; ``sew-iand``: (1 - N(F)) * S.
      A shortcut that changes shape ends in a neuron of its own;
    - ``ms``: F + S, a current: the neurons stand before the convolutions, one more before the mean over the image,
      and none behind the stem;
    - ``plain``: N(F + S), the ResNet with its ReLUs replaced.

    ``activation`` decides what the network is: a neuron gives the SNN, ``nn.ReLU`` the ANN, ``QCFS`` the ANN that
    converts without loss, with the same names in all three. ``sew-and`` and ``sew-iand`` have no such twins: of real
    numbers, a product is no AND. With them, and with ``plain``, trains stay binary as the neuron's are.

    Args:
        depth: 18 or 34 layers of weights.
        classes: number of classes.
        in_channels: channels of the image.
        stem: "cifar", a convolution of 3x3; or "imagenet", one of 7x7 and stride 2, behind whose neuron stands a
            max-pool of stride 2, or, in ``ms``, a first stage of stride 2 without a pool.
        block: which of the above.
        activation: makes the activation, or the neuron; None is the published one: an IF for SEW and plain blocks,
            a LIF of threshold 1/2 for ``ms``, both reset to zero without gradient.
        width: channels of the first stage; each later one has twice as many.
        stages: blocks of each stage, in place of ``depth``: (3, 3, 2) of width 128 behind a stem of 64 is the layout
            that is called ResNet-18 or -19 beside spiking networks.
        stem_width: channels of the stem; None is ``width``.
        zero_init: start every block as its shortcut: the last norm of the residual way has scale 0, and, in
            ``sew-and``, shift 1, which is the shortcut for a neuron that a current of 1 makes fire at every step. As
            published for ``ms``.

    Shapes:  train [time, batch, in_channels, height, width] -> [time, batch, classes]; of an ANN, without time.
    Raises:  ValueError: unknown depth, stem or block; no stage, or one without blocks; ``sew-and`` or ``sew-iand``
        without bits; ``zero_init`` where a ReLU would never let it go.
    Source:  Fang et al., arXiv 2102.04159 (SEW); Hu et al., arXiv 2112.08954 (MS); sizes of He et al., CVPR 2016.
    Deviates:  the stem "cifar" is not published for SEW; norms of ``ms`` start at scale 1, not at the threshold.

    >>> sum(parameter.numel() for parameter in spiking_resnet(depth=18, block="ms", classes=100).parameters())
    11220132
    """
    counts = _checked_stages(depth, stages)
    _require_one_of("stem", stem, Stem)
    _require_one_of("block", block, Block)
    made = activation or (ms_neuron if block == "ms" else sew_neuron)
    first = made()
    _check_block(block, first, zero_init=zero_init)
    before = width if stem_width is None else stem_width
    widths = [before, *(width * 2**stage for stage in range(len(counts)))]
    residual = _blocks(block, counts, widths, activation=made, first_stride=_first_stride(stem, block))
    lift = lift_for(first)
    parts: dict[str, nn.Module] = {"stem": _stem(first, in_channels, before, stem=stem)}
    if block != "ms":
        parts["activation"] = first
        parts["pool"] = lift(nn.MaxPool2d(3, 2, padding=1)) if stem == "imagenet" else nn.Identity()
    parts["blocks"] = nn.Sequential(*residual)
    if block == "ms":
        parts["activation"] = first
    parts["readout"] = lift(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes))
    network = nn.Sequential(OrderedDict(parts))
    _initialise(network)
    if zero_init:
        _start_as_shortcuts(residual, shift=1.0 if block == "sew-and" else 0.0)
    return network


def _checked_stages(depth: int, stages: tuple[int, ...] | None) -> tuple[int, ...]:
    if stages is None and depth not in STAGES:
        known = " or ".join(map(str, STAGES))
        raise ValueError(f"spiking_resnet expects a depth of {known}; got {depth}. For another, pass stages=(3, 3, 2).")
    counts = STAGES[depth] if stages is None else tuple(stages)
    if not counts or min(counts) < 1:
        raise ValueError(f"spiking_resnet expects at least one stage, each of at least one block; got stages={stages}.")
    return counts


def _require_one_of(name: str, value: str, known: object) -> None:
    if value not in get_args(known):
        raise ValueError(f"spiking_resnet expects {name} to be one of {', '.join(get_args(known))}; got {value!r}.")


def _check_block(block: Block, activation: nn.Module, *, zero_init: bool) -> None:
    if block in ("sew-and", "sew-iand"):
        owner = f"spiking_resnet(block={block!r})"
        require_bits(activation, owner=owner, instead="For other activations take block='sew-add', 'ms' or 'plain'.")
    if zero_init and block == "sew-add" and isinstance(activation, nn.ReLU):
        raise ValueError(
            "spiking_resnet(block='sew-add', zero_init=True) cannot learn with ReLU: its gradient at 0 is 0, so the "
            "blocks would stay shortcuts for ever. Leave zero_init out, or take block='ms' or 'plain'."
        )


def _first_stride(stem: Stem, block: Block) -> int:
    """Of the first stage: 2 where it stands in for a pool that would take the maximum of currents."""
    return 2 if stem == "imagenet" and block == "ms" else 1


def _stem(activation: nn.Module, in_channels: int, width: int, *, stem: Stem) -> nn.Sequential:
    size, stride = (7, 2) if stem == "imagenet" else (3, 1)
    convolution = nn.Conv2d(in_channels, width, size, stride, padding=size // 2, bias=False)
    return stem_for(activation, convolution, nn.BatchNorm2d(width))


def _blocks(
    block: Block, counts: tuple[int, ...], widths: list[int], *, activation: Callable[[], nn.Module], first_stride: int
) -> list[nn.Module]:
    blocks, channels = [], widths[0]
    for stage, (count, wide) in enumerate(zip(counts, widths[1:], strict=True)):
        for index in range(count):
            stride = 1 if index > 0 else first_stride if stage == 0 else 2
            blocks.append(BLOCKS[block](channels, wide, stride=stride, activation=activation))
            channels = wide
    return blocks


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _start_as_shortcuts(blocks: list[nn.Module], *, shift: float) -> None:
    for block in blocks:
        *_, last = (
            module for module in block.get_submodule("residual").modules() if isinstance(module, nn.BatchNorm2d)
        )
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, shift)
