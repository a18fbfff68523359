"""Which activations send bits: a network that multiplies trains, or moves a threshold, has to know."""

from __future__ import annotations

import torch
from torch import nn

from ..core.neuron import Neuron
from ..neurons import GroupNeuron


def sends_bits(activation: nn.Module) -> bool:
    """Whether all that this activation sends is 0 or 1.

    >>> from spikebridge import IF, QCFS, GroupNeuron
    >>> sends_bits(IF()), sends_bits(IF(spike_value=0.5)), sends_bits(GroupNeuron(members=4)), sends_bits(QCFS())
    (True, False, False, False)
    """
    if not isinstance(activation, Neuron):
        return False
    if isinstance(activation, GroupNeuron) and (activation.members > 1 or activation.signed):
        return False
    value = activation.spike_value
    return value == 1.0 if isinstance(value, float) else bool((torch.as_tensor(value) == 1.0).all())


def require_bits(activation: nn.Module, *, owner: str, instead: str) -> None:
    """Refuse an activation that sends anything but bits.

    Raises:  ValueError: such an activation.
    """
    if not sends_bits(activation):
        raise ValueError(
            f"{owner} multiplies trains, which is AND of bits and nothing else; it expects a neuron that sends 0 or 1, "
            f"such as IF or LIF; got {activation}. {instead}"
        )
