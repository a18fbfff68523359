"""A converted network for inference in eight bits: layers that receive spikes add up whole numbers."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from ..blocks.int8 import LARGEST_COUNT, Int8Conv2d, Int8Layer, Int8Linear
from ..core.neuron import Neuron
from ..core.stock import has_hooks, own_method
from ..core.time import Folded
from ..neurons import IF, LIF, GroupNeuron
from .network import ConvertedNetwork
from .nodes import call_names, called

KINDS: dict[type[nn.Module], Callable[..., Int8Layer]] = {nn.Conv2d: Int8Conv2d, nn.Linear: Int8Linear}
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_KEEPING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.MaxPool2d, F.max_pool2d, F.dropout)
"""What counts pass through as they are, channel by channel."""

_FLATTENING = (nn.Flatten, torch.flatten, "flatten", "view", "reshape")


@dataclass(frozen=True, kw_only=True)
class Int8Conversion:
    """The result of :func:`to_int8`; prints what became of every layer.

    Attributes:
        model: the network, in eval mode.
        layers: those that multiply bytes now.
        kept: those that stay as they were, and why.
    """

    model: ConvertedNetwork
    layers: tuple[str, ...]
    kept: dict[str, str]

    def __str__(self) -> str:
        total = len(self.layers) + len(self.kept)
        lines = [f"{len(self.layers)} of {total} layers in eight bits: {', '.join(self.layers) or 'none'}."]
        return "\n".join([*lines, *(f"Kept '{name}': {why}" for name, why in self.kept.items())])


def to_int8(network: ConvertedNetwork) -> Int8Conversion:
    """A converted network whose layers after neurons multiply counts of spikes with weights of eight bits.

    What a neuron sends in a step is a whole number of levels, so these layers need no real numbers: the sums are exact,
    and only the weights are rounded, to 255 values for each output channel (:class:`Int8Layer`). Accuracy has to be
    measured again. Neurons stay as they are, and so do all layers that receive something else: the first one, what
    comes after a sum of two branches or an average, or after a maximum of running means (``max_pool="pre"`` has none).

    Args:
        network: ``convert(...).model``. It is not touched.

    Raises:
        TypeError: no converted network.

    >>> from spikebridge import convert
    >>> ann = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    >>> print(to_int8(convert(ann, torch.randn(16, 4)).model))
    1 of 2 layers in eight bits: 2.
    Kept '0': receives values, and not spikes
    """
    if not isinstance(network, ConvertedNetwork):
        raise TypeError(
            f"to_int8 expects a converted network; got {type(network).__name__}. Pass convert(model, batches).model."
        )
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    copied.key = uuid.uuid4().hex  # states of the one are no states of the other
    body = copied.body
    names = call_names(body.graph)
    done, kept = [], {}
    for node in list(body.graph.nodes):
        if node.op != "call_module" or not isinstance(called(node, body), _LAYERS):
            continue
        found = _in_bytes(node, body)
        if isinstance(found, str):
            kept[names[node]] = found
            continue
        name = _free_name(body, names[node])
        body.add_submodule(name, found.eval())
        node.target = name
        done.append(names[node])
    body.delete_all_unused_submodules()
    body.recompile()
    return Int8Conversion(model=copied, layers=tuple(done), kept=kept)


def _in_bytes(node: fx.Node, body: fx.GraphModule) -> Int8Layer | str:
    """What can stand for the layer; or why nothing can."""
    layer = called(node, body)
    assert isinstance(layer, nn.Module)
    kind = KINDS.get(type(layer))
    if kind is None:
        return f"no kernel for {type(layer).__name__}"
    if has_hooks(layer):
        return "has hooks"
    source = _source(node.all_input_nodes[0], body)
    if isinstance(source, str):
        return source
    neuron, is_flat = source
    lowest, most = _counts(neuron)
    if most - lowest > LARGEST_COUNT:
        return f"receives up to {most - lowest} spikes in a step; bytes hold {LARGEST_COUNT}"
    level = torch.as_tensor(neuron.spike_value).detach()
    level = level.reshape(-1)[0] if level.numel() == 1 else level
    if isinstance(layer, nn.Linear) and level.ndim > 1 and level.numel() == level.shape[-1]:
        level = level.reshape(-1)  # of tokens, whose channels are the last axis
    if level.ndim == 1 and is_flat and isinstance(layer, nn.Linear) and layer.in_features % len(level) == 0:
        level = level.repeat_interleave(layer.in_features // len(level))
    try:
        return kind(layer, level=level, lowest=lowest).ready()
    except ValueError as problem:
        return str(problem)


def _source(node: fx.Node, body: fx.GraphModule) -> tuple[Neuron[Any], bool] | str:
    """The neuron whose counts arrive, and whether they were flattened on the way; or what arrives instead."""
    is_flat = False
    while node.op.startswith("call"):
        target = called(node, body)
        if isinstance(target, Folded) and isinstance(target.module, Neuron):
            return _known(target.module, is_flat)
        if _is_one_of(target, _FLATTENING) and _keeps_order(node, target):
            is_flat = True
        elif not _is_one_of(target, _KEEPING):
            break
        node = node.all_input_nodes[0]
    return "receives values, and not spikes"


def _known(neuron: Neuron[Any], is_flat: bool) -> tuple[Neuron[Any], bool] | str:
    if type(neuron) not in (IF, LIF, GroupNeuron) or own_method(neuron):
        return f"how many spikes a {type(neuron).__name__} sends in a step is not known"
    return neuron, is_flat


def _counts(neuron: Neuron[Any]) -> tuple[int, int]:
    """The least and the most spikes of a step."""
    if not isinstance(neuron, GroupNeuron):
        return 0, 1
    return (-neuron.members if neuron.signed else 0), neuron.members


def _is_one_of(target: object, kinds: tuple[Any, ...]) -> bool:
    return type(target) in kinds or (not isinstance(target, nn.Module) and target in kinds)


def _keeps_order(node: fx.Node, target: object) -> bool:
    """Whether every sample becomes one row, channel after channel."""
    if isinstance(target, nn.Flatten):
        return (target.start_dim, target.end_dim) == (1, -1)
    settings = (*node.args[1:], *node.kwargs.values())
    if target in ("view", "reshape"):
        return len(settings) == 2 and isinstance(settings[1], int) and settings[1] == -1
    return settings in ((1,), (1, -1))


def _free_name(body: fx.GraphModule, name: str) -> str:
    name = name.replace("#", "_call") + "_int8"
    while hasattr(body, name):
        name += "_"
    return name
