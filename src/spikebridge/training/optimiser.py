"""Which parameters decay, and how the learning rate moves."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from ..core.neuron import Neuron
from ..core.per_step import PerStep


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """Two groups for an optimiser: kernels and matrices, which decay, and everything else, which does not.

    A neuron's own parameters never decay, whatever their shape: a decayed leak or threshold drifts for no reason.
    Neither do settings per step, nor biases, norm scales and thresholds, which are numbers or one per channel.

    Raises:  ValueError: no parameter is trained.

    >>> [len(group["params"]) for group in parameter_groups(nn.Linear(3, 2))]
    [1, 1]
    """
    of_neurons = {
        id(parameter) for module in network.modules() if isinstance(module, Neuron) for parameter in module.parameters()
    }
    of_neurons |= {
        id(parameter)
        for module in network.modules()
        if isinstance(module, PerStep)
        for parameter in module.parameters(recurse=False)
    }
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not trained:
        raise ValueError(
            "parameter_groups expects at least one parameter that is trained; got a network where none has "
            "requires_grad. Unfreeze a part of it."
        )
    decaying = [parameter for parameter in trained if parameter.ndim >= 2 and id(parameter) not in of_neurons]
    chosen = {id(parameter) for parameter in decaying}
    steady = [parameter for parameter in trained if id(parameter) not in chosen]
    return [{"params": decaying}, {"params": steady, "weight_decay": 0.0}]


def warm_up_cosine(step: int, *, warm_up: int, total: int) -> float:
    """The factor on the learning rate: a line from 1 / warm_up to 1, then half a cosine down to 0 at ``total``.

    >>> [round(warm_up_cosine(step, warm_up=2, total=6), 2) for step in range(7)]
    [0.5, 1.0, 1.0, 0.85, 0.5, 0.15, 0.0]
    """
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm_up) / max(1, total - warm_up))))
