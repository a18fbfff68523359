"""How a builder's stateless layers meet its activation."""

from __future__ import annotations

from torch import nn

from ..core.neuron import Neuron
from ..core.time import OverTime


def lift_for(activation: nn.Module) -> type[nn.Sequential]:
    """What groups stateless layers beside this activation: ``OverTime`` for a neuron, ``nn.Sequential`` otherwise.

    Both are sequences, so layers have the same names in the ANN and in the SNN.
    """
    return OverTime if isinstance(activation, Neuron) else nn.Sequential
