"""Where a network's graph holds whole numbers of spikes, and how large they can get."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from ..core.neuron import Neuron
from ..core.stock import has_hooks, own_method
from ..core.time import EachStep, Folded, OverTime
from ..neurons import IF, LIF, AdaptiveLIF, GroupNeuron
from .tracing import IN_PLACE

_KEEPING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
_KEEPING_CALLS = (F.dropout, "contiguous", "clone", "detach")
_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, F.max_pool1d, F.max_pool2d, F.max_pool3d)
_REARRANGING = (torch.flatten, "flatten", "view", "reshape", "unflatten", "transpose", "permute")
_SUMS = (operator.add, torch.add, "add")
_PRODUCTS = (operator.mul, torch.mul, "mul")
_DIFFERENCES = (operator.sub, torch.sub)


class Whole(NamedTuple):
    """A tensor whose every entry is a whole number of levels."""

    level: Tensor  # []; [channels] of axis 1 of a step; or of the rank of a unit
    lowest: int  # the least number
    most: int  # the largest
    is_flat: bool = False  # a sample is one row, channel after channel


def whole_numbers(owner: fx.GraphModule, *, inputs: Mapping[fx.Node, Whole] | None = None) -> dict[fx.Node, Whole]:
    """The nodes of a graph that hold whole numbers, whatever is put in.

    Neurons send them, and they stay whole through pools of maxima, flattening, sums and products of equal levels, and
    one minus them; a layer of weights, a norm or an average ends it.

    Args:
        owner: a traced network in eval mode, whose modules that take trains are calls of their own.
        inputs: placeholders that hold some.
    """
    found = dict(inputs or {})
    for node in owner.graph.nodes:
        if node.op.startswith("call"):
            target = owner.get_submodule(str(node.target)) if node.op == "call_module" else node.target
            if _changes_in_place(target, node):
                found.clear()  # whatever shares memory with what is changed
                continue
            whole = _module(target, node, found) if isinstance(target, nn.Module) else _call(target, node, found)
            if whole is not None:
                found[node] = whole
    return found


def _changes_in_place(target: Any, node: fx.Node) -> bool:
    if isinstance(target, nn.Module):
        lifted = layers_of(target) or [target]
        until = next((place for place, part in enumerate(lifted) if hasattr(part, "weight")), len(lifted))
        return any(getattr(part, "inplace", False) is True for each in lifted[:until] for part in each.modules())
    if isinstance(target, str):
        return target.endswith("_") and not target.endswith("__")
    in_place = target in IN_PLACE or target is operator.setitem or "out" in node.kwargs
    return in_place or node.kwargs.get("inplace") is True or getattr(target, "__name__", "").endswith("_")


def layers_of(module: nn.Module) -> Sequence[nn.Module] | None:
    """The layers that a lifted sequence calls one after another; None where something else happens in it."""
    is_plain = type(module) in (OverTime, EachStep)
    return list(module) if is_plain and isinstance(module, nn.Sequential) else None


def after(layer: nn.Module, whole: Whole | None) -> Whole | None:
    """What a stateless layer makes of whole numbers; None where they end."""
    if whole is None or has_hooks(layer):
        return None
    if type(layer) in _KEEPING:
        return whole
    if type(layer) in _POOLS:
        return _pooled(type(layer), whole)
    if type(layer) is nn.Flatten and (layer.start_dim, layer.end_dim) == (1, -1):
        return _as_row(whole)
    return None


def _pooled(kind: object, whole: Whole) -> Whole | None:
    """Maxima within channels; of a pool whose axes may be those of the levels nothing is known."""
    is_within = kind in (nn.MaxPool2d, F.max_pool2d) and whole.level.ndim == 1 and not whole.is_flat
    return whole if whole.level.ndim == 0 or is_within else None


def _as_row(whole: Whole) -> Whole | None:
    """A sample as one row; the levels of a unit's own rank lie otherwise in it."""
    return whole._replace(is_flat=True) if whole.level.ndim <= 1 else None


def _module(module: nn.Module, node: fx.Node, found: Mapping[fx.Node, Whole]) -> Whole | None:
    neuron = module.module if isinstance(module, Folded) else module
    if has_hooks(module):
        return None
    if isinstance(neuron, Neuron):
        return sent_by(neuron)
    whole = found.get(node.all_input_nodes[0]) if node.all_input_nodes else None
    for layer in layers_of(module) or [module]:
        whole = after(layer, whole)
    return whole


def sent_by(neuron: Neuron[Any]) -> Whole | None:
    """What a neuron sends in a step; None of one whose largest number is not known."""
    is_known = type(neuron) in (IF, LIF, AdaptiveLIF, GroupNeuron) and not {"step", "forward"} & set(vars(neuron))
    surrogate = getattr(neuron, "surrogate", None)
    if not is_known or has_hooks(neuron) or (surrogate is not None and own_method(surrogate, "__call__")):
        return None
    level = torch.as_tensor(neuron.spike_value).detach()
    level = level.reshape(()) if level.numel() == 1 else level
    if not isinstance(neuron, GroupNeuron):
        return Whole(level, 0, 1)
    return Whole(level, -neuron.members if neuron.signed else 0, neuron.members)


def _call(target: Any, node: fx.Node, found: Mapping[fx.Node, Whole]) -> Whole | None:
    if target is torch.cat or target is torch.concat:
        return _joined([found.get(each) for each in node.all_input_nodes])
    parts: list[Any] = [found.get(each) if isinstance(each, fx.Node) else each for each in node.args]
    first = parts[0] if parts else None
    if target in _KEEPING_CALLS:
        draws = target is F.dropout and _setting(node, 2, "training", default=True) is not False
        return first if isinstance(first, Whole) and not draws else None
    if target in _POOLS:
        return _pooled(target, first) if isinstance(first, Whole) else None
    if target in _REARRANGING and isinstance(first, Whole):
        return _rearranged(target, node, first)
    if len(parts) != 2 or node.kwargs:
        return None
    return _pair(target, first, parts[1])


def _setting(node: fx.Node, place: int, name: str, *, default: Any) -> Any:
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)


def _pair(target: Any, one: Any, other: Any) -> Whole | None:
    """A sum, a product or a difference."""
    if target in _SUMS and isinstance(one, Whole) and isinstance(other, Whole) and _are_alike([one, other]):
        return Whole(one.level, one.lowest + other.lowest, one.most + other.most)
    if target in _PRODUCTS and isinstance(one, Whole) and isinstance(other, Whole):
        if one.level.ndim or other.level.ndim:
            return None
        ends = [a * b for a in (one.lowest, one.most) for b in (other.lowest, other.most)]
        return Whole(one.level * other.level, min(ends), max(ends))
    if target in _DIFFERENCES and isinstance(one, int | float) and isinstance(other, Whole):
        count = one / other.level if other.level.ndim == 0 else torch.tensor(0.5)
        if math.isfinite(one) and count == count.round():
            return Whole(other.level, int(count) - other.most, int(count) - other.lowest)
    return None


def _joined(parts: Sequence[Whole | None]) -> Whole | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or not _are_alike(known):
        return None
    return Whole(known[0].level, min(part.lowest for part in known), max(part.most for part in known))


def _are_alike(parts: Sequence[Whole]) -> bool:
    """Whether there is one level for all; those of channels may have been moved apart."""
    return all(part.level.ndim == 0 and bool(part.level == parts[0].level) for part in parts)


def _rearranged(target: Any, node: fx.Node, whole: Whole) -> Whole | None:
    if whole.level.ndim == 0:
        return whole
    if target in (torch.flatten, "flatten"):
        ends = _setting(node, 1, "start_dim", default=0), _setting(node, 2, "end_dim", default=-1)
        return _as_row(whole) if ends == (1, -1) else None
    is_row = target in ("view", "reshape") and not node.kwargs and len(node.args) == 3
    return _as_row(whole) if is_row and isinstance(node.args[2], int) and node.args[2] == -1 else None
