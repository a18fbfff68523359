"""One forward of any network for the sake of measuring it: in eval mode, without gradients, with the right T."""

from __future__ import annotations

import inspect

import torch
from torch import Tensor, nn

from ..core.modes import in_mode
from ..core.time import require_steps


def run_once(network: nn.Module, values: Tensor, *, time_steps: int | None, owner: str) -> None:
    """Call the network, with ``time_steps`` if its T is a dial."""
    if time_steps is not None:
        require_steps(time_steps, owner=owner)
    with torch.no_grad(), in_mode(network, training=False):
        if time_steps is not None and takes_steps(network):
            network(values, time_steps=time_steps)
        else:
            network(values)


def takes_steps(network: nn.Module) -> bool:
    """Whether T is an argument of the network's forward, as it is for converted networks."""
    return "time_steps" in inspect.signature(network.forward).parameters
