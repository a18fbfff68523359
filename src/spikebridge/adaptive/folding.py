"""An adapted network for inference: what is set per step, moved to where it costs nothing."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn

from ..blocks.fold import fold_gain, fold_readout
from ..blocks.spiking import SpikingNetwork
from ..blocks.stem import HybridStem
from ..blocks.step_norm import StepNorm
from ..blocks.step_readout import StepReadout
from ..blocks.tracing import TrainTracer
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
    so does all within a module whose forward torch.fx cannot trace: it may call any part of itself anywhere. So does
    what a class of one's own computes in another way than the class it comes from. Leaks cost nothing.

    Args:
        model: what :func:`adapt` made, trained. It is not touched; norms count as in eval mode.

    Raises:
        TypeError: no module.
        ValueError: no neuron or readout with settings per step; a compiled, scripted, patched or hooked network.

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
        node = self._arguments[0]
        assert isinstance(node, fx.Node)
        return node, self.root.get_submodule(str(node.target)) if node.op == "call_module" else None

    @property
    def is_by_position(self) -> bool:
        """Whether another module, whose argument has another name, can be called in its place."""
        return len(self.node.args) == 1 and not self.node.kwargs

    @property
    def _arguments(self) -> list[Any]:
        return [*self.node.args, *self.node.kwargs.values()]

    @property
    def is_averaged(self) -> bool:
        """Whether the mean over time is taken of what it gives, and nothing else is done with it."""
        return _is_averaged(self.node)


@dataclass
class _Calls:
    """Every call of a module that takes trains, as far as graphs show them.

    Attributes:
        of: the calls that a graph shows, by the module.
        hidden: what may be called where no graph shows it.
    """

    of: dict[nn.Module, list[_Call]] = field(default_factory=dict)
    hidden: set[nn.Module] = field(default_factory=set)

    def reason_against(self, part: nn.Module) -> str | None:
        """Why another module cannot be put in its place; None where its one call is known."""
        if part in self.hidden:
            return "a forward that torch.fx cannot trace may call it."
        calls = self.of.get(part, [])
        if len(calls) != 1:
            return "it is called at several places." if calls else "no forward that torch.fx can trace calls it."
        if not calls[0].is_by_position:
            return "it is called with a keyword."
        apart = any(inner in self.of for inner in part.modules() if inner is not part)
        return "layers of it are called by themselves as well." if apart else None


def _fold_gain(neuron: AdaptiveLIF, calls: _Calls, memo: dict[int, Any]) -> str | None:
    """Put a norm and a neuron without gain in their places; or say why not."""
    if (why := calls.reason_against(neuron)) is not None:
        return why
    node, source = calls.of[neuron][0].source
    elsewhere = "what arrives is not straight from a norm."
    if not isinstance(source, _NORMALISING):
        return elsewhere
    if len(node.users) > 1 or len(calls.of[source]) > 1:
        return "what its norm gives goes elsewhere as well."
    if (why := calls.reason_against(source)) is not None:
        return f"of its norm: {why}"
    try:
        *before, plain = fold_gain(source, neuron)
    except TypeError:  # lifted layers that end in something else
        return elsewhere
    except ValueError as error:
        return str(error)
    memo[id(source)] = nn.Sequential(*before).eval()
    memo[id(neuron)] = plain
    return None


def _fold_readout(readout: StepReadout, calls: _Calls, memo: dict[int, Any]) -> str | None:
    """Put a readout that runs once in its place; or say why not."""
    if (why := calls.reason_against(readout)) is not None:
        return why
    if not calls.of[readout][0].is_averaged:
        return "the network gives its train, not the mean over time. A SpikingNetwork around it takes the mean."
    try:
        memo[id(readout)] = fold_readout(readout).eval()
    except ValueError as error:
        return str(error)
    return None


def _calls(network: nn.Module) -> _Calls:
    """Every call, and what the modules that the graph does not look into may call themselves."""
    found = _Calls()
    tracer = _Tracer()
    try:
        graph = tracer.trace(network)
    except Exception:  # a forward may raise anything when it is run on proxies
        tracer = _Tracer(is_careful=True)
        try:
            graph = tracer.trace(network)
        except Exception:
            found.hidden.update(network.modules())
            return found
    for node in graph.nodes:
        if node.op == "call_module":
            module = network.get_submodule(str(node.target))
            found.of.setdefault(module, []).append(_Call(node, network))
            found.hidden.update(part for part in module.modules() if part is not module)
    return found


class _Tracer(TrainTracer):
    """Does not look into what takes trains, nor, when ``is_careful``, into what cannot be traced by itself."""

    def __init__(self, *, is_careful: bool = False) -> None:
        super().__init__()
        self.is_careful = is_careful

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, Encoder) or super().is_leaf_module(m, module_qualified_name):
            return True
        return self.is_careful and not _is_traceable(m)


def _is_traceable(module: nn.Module) -> bool:
    try:
        _Tracer().trace(module)
    except Exception:
        return False
    return True


def _is_averaged(node: fx.Node) -> bool:
    users = [user for user in node.users if (user.target, user.args[1:]) != (getattr, ("dtype",))]
    if len(users) != 1:
        return False
    is_converted = (users[0].op, users[0].target) == ("call_method", "to")
    return _is_averaged(users[0]) if is_converted else _is_mean_over_time(users[0])


def _is_mean_over_time(node: fx.Node) -> bool:
    is_mean = (node.op, node.target) == ("call_method", "mean") or node.target is torch.mean
    axes = [*node.args[1:], *(node.kwargs[name] for name in ("dim", "axis") if name in node.kwargs)]
    return is_mean and axes in ([0], [[0]], [(0,)])
