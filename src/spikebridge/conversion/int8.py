"""A spiking network for inference in eight bits: layers that receive spikes add up whole numbers."""

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
from ..blocks.spiking import SpikingNetwork
from ..blocks.tracing import traced
from ..blocks.whole import Whole, after, layers_of, sent_by, whole_numbers
from ..core.encoder import Encoder
from ..core.neuron import Neuron
from ..core.stock import has_hooks, own_method
from ..core.time import Folded, declare_time
from .network import ConvertedNetwork
from .nodes import call_names, called

KINDS: dict[type[nn.Module], Callable[..., Int8Layer]] = {nn.Conv2d: Int8Conv2d, nn.Linear: Int8Linear}
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_FUNCTIONS = (F.linear, F.conv1d, F.conv2d, F.conv3d, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
VALUES = "receives values, and not spikes"
ADVICE = "Keep branches on values out of its forward."


@dataclass(frozen=True, kw_only=True)
class Int8Conversion:
    """The result of :func:`to_int8`; prints what became of every layer.

    Attributes:
        model: the network, in eval mode.
        layers: those that multiply bytes now.
        kept: those that stay as they were, and why.
    """

    model: nn.Module
    layers: tuple[str, ...]
    kept: dict[str, str]

    def __str__(self) -> str:
        total = len(self.layers) + len(self.kept)
        lines = [f"{len(self.layers)} of {total} layers in eight bits: {', '.join(self.layers) or 'none'}."]
        return "\n".join([*lines, *(f"Kept '{name}': {why}" for name, why in self.kept.items())])


def to_int8(network: nn.Module) -> Int8Conversion:
    """A spiking network whose layers after neurons multiply counts of spikes with weights of eight bits.

    What a neuron sends in a step is a whole number of levels, so these layers need no real numbers: the sums are exact,
    and only the weights are rounded, to 255 values for each output channel (:class:`Int8Layer`). Accuracy has to be
    measured again. Neurons stay as they are, and so do all layers that receive something else: those of an image, what
    comes after an average, after a sum of branches whose levels differ, or after a maximum of running means
    (``max_pool="pre"`` has none).

    Args:
        network: ``convert(...).model``, a ``SpikingNetwork``, or a network from trains to trains. It is not touched.

    Raises:
        TypeError: no module.
        ValueError: no neuron; hooks on the whole network; a forward that torch.fx cannot trace.

    >>> from spikebridge import convert
    >>> ann = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    >>> print(to_int8(convert(ann, torch.randn(16, 4)).model))
    1 of 2 layers in eight bits: 2.
    Kept '0': receives values, and not spikes
    """
    if not isinstance(network, nn.Module):
        raise TypeError(f"to_int8 expects a spiking network; got {type(network).__name__}.")
    if not any(isinstance(part, Neuron) for part in network.modules()):
        raise ValueError(
            f"to_int8 expects a spiking network; {type(network).__name__} has no neuron. Pass convert(model, "
            f"batches).model, or a network that was trained with neurons."
        )
    roots = [network, network.body] if isinstance(network, SpikingNetwork | ConvertedNetwork) else [network]
    if any(has_hooks(root) for root in roots):
        raise ValueError(
            f"to_int8 expects a network without hooks on the whole of it, which the result would lose; "
            f"{type(network).__name__} has some. Remove them, and register them on the result."
        )
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    if isinstance(copied, ConvertedNetwork):
        copied.key = uuid.uuid4().hex  # states of the one are no states of the other
        return _lowered(copied.body, encoder=None, whole=copied)
    if not isinstance(copied, SpikingNetwork):
        body = traced(copied, owner="to_int8", advice=ADVICE)
        return _lowered(body, encoder=None, whole=body)
    copied.body = traced(copied.body, owner="to_int8", advice=ADVICE)
    found = _lowered(copied.body, encoder=copied.encoder, whole=copied)
    declare_time(copied.body, time_steps=copied.encoder.time_steps)
    return found


def _lowered(body: fx.GraphModule, *, encoder: Encoder | None, whole: nn.Module) -> Int8Conversion:
    """Every layer of a body looked at; ``whole`` is the network that the body is in."""
    sends_bits = encoder is not None and encoder.is_binary and not (has_hooks(encoder) or own_method(encoder))
    inputs = [node for node in body.graph.nodes if node.op == "placeholder"][:1] if sends_bits else []
    known = whole_numbers(body, inputs=dict.fromkeys(inputs, Whole(torch.tensor(1.0), 0, 1)))
    unknown = _unknown_neurons(body)
    names, done, kept = call_names(body.graph), list[str](), dict[str, str]()
    for node in list(body.graph.nodes):
        if node.target in _FUNCTIONS:
            kept[node.name] = "is a function with weights; a layer of torch.nn in its place can be in bytes"
        module = called(node, body) if node.op == "call_module" else None
        if not isinstance(module, nn.Module) or not any(isinstance(part, _LAYERS) for part in module.modules()):
            continue
        source = node.all_input_nodes[0] if node.all_input_nodes else None
        received = None if source is None else known.get(source)
        why = VALUES if source is None or received is not None else unknown.get(source, VALUES)
        made = _replaced(module, received, why, names[node], done, kept)
        if made is not module:
            name = _free_name(body, names[node])
            body.add_submodule(name, made.eval())
            node.target = name
    body.delete_all_unused_submodules()
    body.recompile()
    return Int8Conversion(model=whole, layers=tuple(done), kept=kept)


def _replaced(
    module: nn.Module, whole: Whole | None, why: str, name: str, done: list[str], kept: dict[str, str]
) -> nn.Module:
    """A layer or a lifted sequence with what can be in bytes; notes what became of each layer."""
    if isinstance(module, _LAYERS):
        found = _in_bytes(module, whole, why)
        if isinstance(found, str):
            kept[name] = found
            return module
        done.append(name)
        return found
    layers = layers_of(module)
    if layers is None or has_hooks(module):
        reason = "has hooks" if layers is not None else None
        kept.update(_inside(module, name, reason))
        return module
    made = []
    for index, layer in enumerate(layers):
        if isinstance(layer, _LAYERS):
            made.append(_replaced(layer, whole, why, f"{name}.{index}", done, kept))
        else:
            kept.update(_inside(layer, f"{name}.{index}"))
            made.append(layer)
        whole = after(layer, whole)
    return type(module)(*made) if any(a is not b for a, b in zip(made, layers, strict=True)) else module


def _inside(module: nn.Module, name: str, reason: str | None = None) -> dict[str, str]:
    """The layers within a module that stays as it is, and why."""
    why = reason or f"is part of a {type(module).__name__}"
    return {f"{name}.{own}": why for own, part in module.named_modules() if isinstance(part, _LAYERS)}


def _in_bytes(layer: nn.Module, whole: Whole | None, why: str) -> Int8Layer | str:
    """What can stand for the layer; or why nothing can."""
    kind = KINDS.get(type(layer))
    if kind is None:
        return f"no kernel for {type(layer).__name__}"
    if has_hooks(layer):
        return "has hooks"
    if whole is None:
        return why
    level, lowest = whole.level, min(whole.lowest, 0)
    if max(whole.most, 0) - lowest > LARGEST_COUNT:
        return f"receives up to {max(whole.most, 0) - lowest} spikes in a step; bytes hold {LARGEST_COUNT}"
    is_of_axis_1 = level.ndim == 1
    if isinstance(layer, nn.Linear) and level.ndim > 1 and level.numel() == level.shape[-1]:
        level = level.reshape(-1)  # of tokens, whose channels are the last axis
    if level.ndim == 1 and whole.is_flat and isinstance(layer, nn.Linear) and layer.in_features % len(level) == 0:
        level = level.repeat_interleave(layer.in_features // len(level))
    try:
        made = kind(layer, level=level, lowest=lowest).ready()
        made.takes_rows = is_of_axis_1 and isinstance(layer, nn.Linear)
        return made
    except ValueError as problem:
        return str(problem)


def _unknown_neurons(body: fx.GraphModule) -> dict[fx.Node, str]:
    """Neurons of which it is not known how many spikes they send in a step, and what to say of that."""
    found = {}
    for node in body.graph.nodes:
        module: Any = called(node, body) if node.op == "call_module" else None
        neuron = module.module if isinstance(module, Folded) else module
        if isinstance(neuron, Neuron) and sent_by(neuron) is None:
            found[node] = f"how many spikes a {type(neuron).__name__} sends in a step is not known"
    return found


def _free_name(body: fx.GraphModule, name: str) -> str:
    name = name.replace("#", "_call") + "_int8"
    while hasattr(body, name):
        name += "_"
    return name
