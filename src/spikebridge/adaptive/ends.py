"""Which layers are the first and the last of a spiking network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

from ..blocks.spiking import SpikingNetwork
from ..core.stock import own_method
from ..core.time import TimeAxis

End = Literal["stem", "readout"]


def end_of(network: nn.Module, end: End, order: Sequence[nn.Module] | None) -> nn.Module | None:
    """The module that takes trains at one end of a network; None where nothing tells.

    That is what the network itself has under this name; else the first or last in ``order``, or, without an order, in
    the sequences that the network consists of; and where that leads to what takes no trains, the outermost module of
    this name. A name further inside says nothing else: a residual block may have a stem of its own.

    Args:
        network: any.
        end: "stem" or "readout".
        order: what a forward was seen to call; None where nobody looked.
    """
    body = network.body if isinstance(network, SpikingNetwork) else network
    own = [part for name, part in body.named_children() if name == end]
    parts = parts_in_order(network) if order is None else list(order)
    places = [*map(parts_in_order, own), parts, *map(parts_in_order, _named(network, end))]
    index = 0 if end == "stem" else -1
    return next((found[index] for found in places if found and isinstance(found[index], TimeAxis)), None)


def parts_in_order(module: nn.Module) -> list[nn.Module]:
    """What takes trains, or has within what does, in the order in which sequences call it."""
    if isinstance(module, TimeAxis):
        return [module]
    if not any(isinstance(part, TimeAxis) for part in module.modules()):
        return []
    if own_method(module, "forward"):
        return [module]
    if isinstance(module, SpikingNetwork):
        return parts_in_order(module.body)
    if isinstance(module, nn.Sequential):
        return [part for child in module for part in parts_in_order(child)]
    return [module]


def _named(network: nn.Module, name: str) -> list[nn.Module]:
    """The module of this name that lies least deep; none where several do."""
    found = [(path.count("."), part) for path, part in network.named_modules() if path.rpartition(".")[2] == name]
    least = min((depth for depth, _ in found), default=0)
    outermost = [part for depth, part in found if depth == least]
    return outermost if len(outermost) == 1 else []
