"""Which layers of a network are meant, and how one is put in another's place."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from ..core.encoder import Encoder
from ..core.time import TimeAxis
from ..measure.counter import LAYERS
from .chosen import Where, is_within, matched

_LINEAR = {kind.forward for kind in LAYERS}


def layers_of(network: nn.Module, where: Where | None, *, owner: str) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """The layers of weights that ``where`` names, and those among them that cannot be coded, with the reason.

    Args:
        network: without spikes so far.
        where: layers or modules around them, by what :func:`matched` takes; functions are asked about layers alone.
            None is every layer.
        owner: who asks; errors quote it.

    Raises:
        TypeError: see :func:`matched`.
        ValueError: no layer of weights, at all or in what ``where`` matches; trains in the network; see
            :func:`matched` as well.
    """
    _require_no_spikes(network, owner)
    layers = {name: module for name, module in network.named_modules() if isinstance(module, LAYERS)}
    if not layers:
        raise ValueError(
            f"{owner} expects a network with linear layers or convolutions of torch.nn; {type(network).__name__} has "
            f"none. Pass the trained network itself."
        )
    chosen = set(layers)
    if where is not None:
        found = matched(network, where, owner=owner, asked=layers)
        chosen = {name for name in layers if any(is_within(name, roots) for roots in found.values())}
        if not chosen:
            raise ValueError(
                f"{owner} found no layer of weights in {', '.join(map(repr, found))}. Name layers, or modules around "
                f"them."
            )
    skipped = {
        name: "it has a forward of its own"
        for name, layer in layers.items()
        if name in chosen and type(layer).forward not in _LINEAR
    }
    return {name: layer for name, layer in layers.items() if name in chosen and name not in skipped}, skipped


def with_replacements(network: nn.Module, replacements: Mapping[nn.Module, nn.Module]) -> nn.Module:
    """Put modules in others' places, wherever they are held."""
    held = [module for module in network.modules() if module not in replacements]
    for module in held:
        for name, child in module._modules.items():  # named_children would give a module that is held twice once
            if child is not None and child in replacements:
                module._modules[name] = replacements[child]
    return network


def _require_no_spikes(network: nn.Module, owner: str) -> None:
    for name, module in network.named_modules():
        if isinstance(module, TimeAxis | Encoder):
            raise ValueError(
                f"{owner} expects a network without spikes; '{name}' ({type(module).__name__}) makes or takes trains. "
                f"Pass the analog network that it came from."
            )
