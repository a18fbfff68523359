"""Which layers of a network are meant, and how one is put in another's place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TypeAlias

from torch import nn

from ..core.catalogue import nearest
from ..core.encoder import Encoder
from ..core.time import TimeAxis
from ..measure.counter import LAYERS

One: TypeAlias = "str | type[nn.Module] | Callable[[str, nn.Module], bool]"
Where: TypeAlias = "One | Iterable[One] | None"
_LINEAR = {kind.forward for kind in LAYERS}


def layers_of(network: nn.Module, where: Where, *, owner: str) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """The layers of weights that ``where`` names, and those among them that cannot be coded, with the reason.

    Args:
        network: without spikes so far.
        where: a layer's name, that of a module around it or a pattern such as 'blocks.*.mlp.*'; a type; a predicate
            of name and module; or several of these. None is every layer.
        owner: who asks; errors quote it.

    Raises:
        ValueError: no layer of weights at all; a name, type or predicate that matches none; trains in the network.
    """
    _require_no_spikes(network, owner)
    layers = {name: module for name, module in network.named_modules() if isinstance(module, LAYERS)}
    if not layers:
        raise ValueError(
            f"{owner} expects a network with linear layers or convolutions of torch.nn; {type(network).__name__} has "
            f"none. Pass the trained network itself."
        )
    chosen = set(layers) if where is None else set[str]()
    for one in [] if where is None else _several(where):
        chosen |= _matched(one, network, layers, owner)
    skipped = {
        name: "it has a forward of its own"
        for name, layer in layers.items()
        if name in chosen and type(layer).forward not in _LINEAR
    }
    return {name: layer for name, layer in layers.items() if name in chosen and name not in skipped}, skipped


def put(network: nn.Module, replacements: Mapping[nn.Module, nn.Module]) -> nn.Module:
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


def _several(where: One | Iterable[One]) -> list[One]:
    return [where] if isinstance(where, str | type) or not isinstance(where, Iterable) else list(where)


def _matched(one: One, network: nn.Module, layers: Mapping[str, nn.Module], owner: str) -> set[str]:
    if isinstance(one, str):
        found = {name for name in layers if fnmatchcase(name, one) or name.startswith(f"{one}.")}
    elif isinstance(one, type):
        inside = [name for name, module in network.named_modules() if isinstance(module, one)]
        found = {name for name in layers for around in inside if name == around or name.startswith(f"{around}.")}
    elif callable(one):
        found = {name for name, layer in layers.items() if one(name, layer)}
    else:
        raise TypeError(f"{owner} expects where to be names, types or predicates of (name, module); got {one!r}.")
    if not found:
        said = repr(one) if isinstance(one, str) else getattr(one, "__name__", repr(one))
        hint = nearest(one if isinstance(one, str) else "", layers)
        raise ValueError(f"{owner} found no layer of weights that where = {said} matches. {hint}")
    return found
