"""An adapted network for inference: what is set per step, moved to where it costs nothing."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from ..blocks.fold import fold_gain, fold_readout
from ..blocks.spiking import SpikingNetwork
from ..blocks.stem import HybridStem
from ..blocks.step_norm import StepNorm
from ..blocks.step_readout import StepReadout
from ..core.encoder import Encoder
from ..core.time import EachStep, OverTime, TimeAxis
from ..neurons import AdaptiveLIF
from .checks import check_network

_NORMALISING = (OverTime, EachStep, StepNorm, HybridStem)


@dataclass(frozen=True, kw_only=True)
class Folding:
    """The result of :func:`fold_adaptive`; prints what became of every gain and scale.

    Attributes:
        model: the network, in eval mode.
        folded: the neurons whose gains, and the readouts whose scales, are in the layers beside them.
        kept: those that stay as they were, and why. A gain of 1 at every step is nothing to fold, and in neither.
    """

    model: nn.Module
    folded: tuple[str, ...]
    kept: dict[str, str]

    def __str__(self) -> str:
        total = len(self.folded) + len(self.kept)
        lines = [f"Folded {len(self.folded)} of {total}: {', '.join(self.folded) or 'none'}."]
        return "\n".join([*lines, *(f"Kept '{name}': {why}" for name, why in self.kept.items())])


def fold_adaptive(model: nn.Module) -> Folding:
    """A network for inference that computes the same, with gains in norms and the readout run once.

    A neuron that takes what a norm gives, and nothing else, gets its gains out of that norm's factors and offsets
    (:func:`fold_gain`). A readout whose mean over time is taken, as ``SpikingNetwork`` does, runs once on the weighted
    mean of its train (:func:`fold_readout`); such a network answers after T steps only. Outputs are equal but for
    rounding: a membrane that lies within rounding of its threshold may fall on the other side.

    What comes before what is read off the graph of the forward. A neuron behind a sum, a pool or a product stays, and
    so does all in a forward that torch.fx cannot trace; parts of it are traced by themselves. Leaks cost nothing.

    Args:
        model: what :func:`adapt` made, trained. It is not touched; norms count as in eval mode.

    Raises:
        TypeError: no module.
        ValueError: no neuron or readout with settings per step; a compiled, scripted or patched network.

    >>> from spikebridge import LIF, Direct, OverTime, SpikingNetwork
    >>> from spikebridge.adaptive import adapt
    >>> neuron = LIF(decay_input=True)
    >>> body = nn.Sequential(OverTime(nn.Linear(6, 5), nn.BatchNorm1d(5)), neuron, OverTime(nn.Linear(5, 3)))
    >>> print(fold_adaptive(adapt(SpikingNetwork(body, encoder=Direct(time_steps=4)), 4)))
    Folded 2 of 2: body.1, body.2.
    """
    check_network(model, owner="fold_adaptive")
    copied = copy.deepcopy(model).eval()
    parts = {part: name for name, part in copied.named_modules() if isinstance(part, AdaptiveLIF | StepReadout)}
    if not parts:
        raise ValueError(
            f"fold_adaptive expects a network with an AdaptiveLIF or a StepReadout; {type(model).__name__} has none. "
            f"Pass what adapt made."
        )
    calls = _calls(copied)
    memo: dict[int, Any] = {}
    kept: dict[str, str] = {}
    of_interest = {part: name for part, name in parts.items() if _has_something(part)}
    for part, name in of_interest.items():
        why = _fold_gain(part, calls, memo) if isinstance(part, AdaptiveLIF) else _fold_readout(part, calls, memo)
        if why is not None:
            kept[name] = why
    folded = tuple(name for name in of_interest.values() if name not in kept)
    result = copy.deepcopy(copied, memo)
    inside = result.body if isinstance(result, SpikingNetwork) else result
    for name, part in inside.named_modules():
        if isinstance(part, TimeAxis):
            part.label = name
    return Folding(model=result, folded=folded, kept=kept)


def _has_something(part: nn.Module) -> bool:
    """A gain of 1 at every step is nothing to fold."""
    return not isinstance(part, AdaptiveLIF) or bool((part.gain != 1).any())


class _Call:
    """One call of a module that takes trains, in the graph of a forward around it."""

    def __init__(self, node: fx.Node, root: nn.Module) -> None:
        self.node, self.root = node, root

    @property
    def source(self) -> tuple[fx.Node, nn.Module | None]:
        """What gives it its train: the node, and the module if it is one's call."""
        node = self.node.args[0]
        assert isinstance(node, fx.Node)
        return node, self.root.get_submodule(str(node.target)) if node.op == "call_module" else None

    @property
    def is_averaged(self) -> bool:
        """Whether the mean over time is taken of what it gives, and nothing else is done with it."""
        users = list(self.node.users)
        return len(users) == 1 and _is_mean_over_time(users[0])


def _fold_gain(neuron: AdaptiveLIF, calls: dict[nn.Module, list[_Call]], memo: dict[int, Any]) -> str | None:
    """Put a norm and a neuron without gain in their places; or say why not."""
    if (why := _not_once(neuron, calls)) is not None:
        return why
    node, source = calls[neuron][0].source
    elsewhere = "what arrives is not straight from a norm."
    if not isinstance(source, _NORMALISING):
        return elsewhere
    if len(node.users) > 1 or len(calls[source]) > 1:
        return "what its norm gives goes elsewhere as well."
    try:
        *before, plain = fold_gain(source, neuron)
    except TypeError:  # lifted layers that end in something else
        return elsewhere
    except ValueError as error:
        return str(error)
    memo[id(source)] = nn.Sequential(*before).eval()
    memo[id(neuron)] = plain
    return None


def _fold_readout(readout: StepReadout, calls: dict[nn.Module, list[_Call]], memo: dict[int, Any]) -> str | None:
    """Put a readout that runs once in its place; or say why not."""
    if (why := _not_once(readout, calls)) is not None:
        return why
    if not calls[readout][0].is_averaged:
        return "the network gives its train, not the mean over time. A SpikingNetwork around it takes the mean."
    try:
        memo[id(readout)] = fold_readout(readout).eval()
    except ValueError as error:
        return str(error)
    return None


def _not_once(part: nn.Module, calls: dict[nn.Module, list[_Call]]) -> str | None:
    times = len(calls.get(part, ()))
    if times == 1:
        return None
    return "it is called at several places." if times else "no forward that torch.fx can trace calls it."


def _calls(network: nn.Module) -> dict[nn.Module, list[_Call]]:
    """Every call of a module that takes trains, by the module."""
    found: dict[nn.Module, list[_Call]] = {}
    for root, graph in _graphs(network):
        for node in graph.nodes:
            module = root.get_submodule(str(node.target)) if node.op == "call_module" else None
            if isinstance(module, TimeAxis) and node.args:
                found.setdefault(module, []).append(_Call(node, root))
    return found


def _graphs(module: nn.Module) -> Iterator[tuple[nn.Module, fx.Graph]]:
    """The graph of a forward; where there is none, those of the parts."""
    if isinstance(module, TimeAxis) or not any(isinstance(part, TimeAxis) for part in module.modules()):
        return
    try:
        yield module, _Tracer().trace(module)
    except Exception:  # a forward may raise anything when it is run on proxies
        for child in module.children():
            yield from _graphs(child)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, TimeAxis | Encoder) or super().is_leaf_module(m, module_qualified_name)


def _is_mean_over_time(node: fx.Node) -> bool:
    is_mean = (node.op, node.target) == ("call_method", "mean") or node.target is torch.mean
    axes = [*node.args[1:], *(node.kwargs[name] for name in ("dim", "axis") if name in node.kwargs)]
    return is_mean and axes in ([0], [[0]], [(0,)])
