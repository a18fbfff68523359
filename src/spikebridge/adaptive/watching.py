"""What one forward shows of a network: in which order it calls what takes trains, and what arrives there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..core.neuron import Neuron
from ..core.shapes import SpikeTrain
from ..core.time import TimeAxis
from ..measure.forward import run_once


@dataclass
class Seen:
    """What has been called so far.

    Attributes:
        order: the modules that take trains, one entry a call.
        units: the shapes of what arrived at each neuron, without time and batch.
        steps: the length of the last train that arrived at each.
        first: the shape of what arrived first.
    """

    order: list[TimeAxis] = field(default_factory=list)
    units: dict[Neuron[Any], set[tuple[int, ...]]] = field(default_factory=dict)
    steps: dict[TimeAxis, int] = field(default_factory=dict)
    first: torch.Size | None = None

    def __call__(self, module: TimeAxis, args: tuple[SpikeTrain, ...], kwargs: dict[str, SpikeTrain]) -> None:
        """Note a call; a hook before forwards."""
        args = (*args, *kwargs.values())
        self.order.append(module)
        self.steps[module] = args[0].shape[0]
        self.first = self.first or args[0].shape
        if isinstance(module, Neuron):
            self.units.setdefault(module, set()).add(tuple(args[0].shape[2:]))


@contextmanager
def watching(network: nn.Module) -> Iterator[Seen]:
    """Note every call inside the block; the network is left as it was."""
    seen = Seen()
    handles = [
        part.register_forward_pre_hook(seen, with_kwargs=True)
        for part in network.modules()
        if isinstance(part, TimeAxis)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def watch(network: nn.Module, batch: Tensor) -> Seen:
    """One forward in eval mode, without gradients, after which random numbers go on as if it had not been."""
    accelerators = [batch.device] if batch.device.type == "cuda" else []
    with torch.random.fork_rng(accelerators), watching(network) as seen:
        run_once(network, batch, time_steps=None, owner="adapt")
    return seen
