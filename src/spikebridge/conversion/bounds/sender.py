"""A neuron of the converted network beside the activation it replaces."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...core.shapes import along_channels
from ..rule import Activation
from .intervals import VALUE, Bounds
from .staircase import Clip


@dataclass(frozen=True)
class Sender:
    """A neuron of the converted network, as far as its bounds depend on it.

    Attributes:
        level: what one spike carries.
        members: levels it can send in a step.
        signed: whether it takes spikes back.
        negative: whether its count may fall below zero.
        is_group: whether it is a Group Neuron, whose single step is QCFS to the bit.
        offset: what calibration adds to its current, or None.
    """

    level: Tensor
    members: int
    signed: bool
    negative: bool
    is_group: bool
    offset: Tensor | None


def clip_of(activation: Activation, source: Bounds, *, unit: float) -> Clip:
    """An activation as bounds see it; one of levels is its clip, half a level more or less."""
    if activation.threshold is None or activation.levels is None:
        return Clip(-activation.ceiling if activation.negative else 0.0, activation.ceiling)
    threshold = along_channels(activation.threshold.double(), source.low[VALUE])
    level = threshold / activation.levels
    return Clip(0.0, threshold, level / 2 + 4 * unit * (source.magnitudes[0] + level))


def is_quantiser(activation: Activation, sender: Sender) -> bool:
    """Whether one step of the neuron is the activation itself, to the bit."""
    if activation.threshold is None or activation.levels != sender.members or not sender.is_group:
        return False
    own = activation.threshold * (1.0 / sender.members)
    return own.numel() == sender.level.numel() and bool((own.flatten() == sender.level.flatten()).all())
