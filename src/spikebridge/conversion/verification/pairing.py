"""The two networks that verify runs, each made ready: a copy, in float64, its sites known."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from ...blocks.differential import Bias, Differential, PrefixMeans
from ...blocks.quantised import QCFS
from ...core.gradient import level_of
from ...core.neuron import Neuron
from ...core.time import Folded, RepeatOverTime
from ..network import ConvertedNetwork
from ..nodes import called
from ..quantised import Levels
from ..rules.activation import CLIP, RELU
from ..rules.pooling import MAX_POOL
from .counted import Counted
from .exact import ExactSums
from .witness import Log, neurons_by_name, run_reference, run_spiking

_RECTIFIERS = {"relu", "relu_", "hardtanh", "hardtanh_"}
"""Operators by which a rectifier shows that no module stands for."""


class Reference:
    """The reference, its activations counted in integers.

    Args:
        network: has QCFS or Levels activations; it is copied.
        time_steps: T.
        members: by how many levels a count may rise in a step; None finds out.
        signed: whether counts may fall.
        made_for: the T for which ``conversion.quantised`` was made.
    """

    def __init__(
        self, network: nn.Module, *, time_steps: int, members: int | None, signed: bool, made_for: int
    ) -> None:
        network = copy.deepcopy(network)
        self.network = nn.Sequential(network) if _has_levels(network) else network
        self.time_steps = time_steps
        self.without_levels = [
            f"'{name}' ({type(module).__name__})"
            for name, module in self.network.named_modules()
            if RELU.covers(module) or CLIP.covers(module)
        ]
        sites = {name: module for name, module in self.network.named_modules() if _has_levels(module)}
        if not sites:
            raise ValueError(f"{_WANTED}; got {_listed(self.without_levels)}. {_REMEDY}")
        for path, module in sites.items():
            name = getattr(module, "label", "") or path
            rise = _rise(module, name, time_steps, members, made_for)
            _replace(self.network, module, _counted(module, name, rise, signed))
        self.network.to("cpu", torch.float64).eval().requires_grad_(False)
        self.seen: set[str] = set()
        self.layers: list[str] = []

    def run(self, values: Tensor, log: Log) -> Log:
        """Run it with exact sums."""
        with ExactSums() as arithmetic:
            run_reference(self.network, values, log, time_steps=self.time_steps, layers=self.layers)
        self.seen |= arithmetic.seen
        return log

    def require_levels(self, unmatched: list[str]) -> None:
        """Refuse a reference whose rectifiers are neurons in the converted network.

        Args:
            unmatched: neurons of the converted network without a counterpart.
        """
        rectifies = self.without_levels or sorted(self.seen & _RECTIFIERS)
        if unmatched and rectifies:
            raise ValueError(f"{_WANTED}; got {_listed(rectifies)} beside them. {_REMEDY}")


class Spiking:
    """The converted network; every neuron runs its own code, with its level to 24 bits.

    Args:
        network: it is copied.
        time_steps: T.
    """

    def __init__(self, network: ConvertedNetwork, *, time_steps: int) -> None:
        self.network, self.time_steps = copy.deepcopy(network), time_steps
        if time_steps > 1:
            _require_spikes(self.network.body)
        neurons = list(neurons_by_name(self.network).values())
        levels = [torch.as_tensor(neuron.spike_value).detach().to("cpu", torch.float32) for neuron in neurons]
        for neuron in neurons:
            neuron.float()
        self.network.to("cpu", torch.float64).eval().requires_grad_(False)
        for neuron, level in zip(neurons, levels, strict=True):
            kind = type(neuron)
            # What one spike carries is what it was in the network's own arithmetic, not what float64 makes of it.
            neuron.__class__ = type(kind.__name__, (kind,), {"spike_value": level.double()})
        self.pools = _pools(self.network.body)
        self.layers: list[str] = []

    def run(self, values: Tensor, log: Log) -> Log:
        """Run it with exact sums."""
        log.pools = self.pools
        with ExactSums():
            return run_spiking(self.network, values, log, time_steps=self.time_steps, layers=self.layers)


def watch_layers_of_both(expected: Reference, found: Spiking) -> None:
    """Let both keep the layers that have the same name in both."""
    names = {name for name, module in found.network.body.named_modules() if not isinstance(module, Folded | Neuron)}
    both = [n for n, m in expected.network.named_modules() if n and n in names and not isinstance(m, Counted)]
    expected.layers = found.layers = both


_WANTED = "verify expects a reference whose activations have levels (QCFS, or those of conversion.quantised)"
_REMEDY = "Compare with conversion.quantised; with the float network no network of spikes is equal."


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5] + ["..."][: len(names) > 5]) or "none"


def _has_levels(module: nn.Module) -> bool:
    return any(isinstance(module, kind) and type(module).forward is kind.forward for kind in (QCFS, Levels))


def _rise(module: Any, name: str, time_steps: int, members: int | None, made_for: int) -> int:
    """By how many levels the count of a site may rise in one step."""
    levels: int = module.levels
    if time_steps == 1:
        return levels
    if members is None and isinstance(module, Levels) and levels % made_for:
        raise ValueError(
            f"verify cannot tell the members of '{name}': its {levels} levels are no multiple of the network's "
            f"T = {made_for}. Pass members=."
        )
    return members or (levels // made_for if isinstance(module, Levels) else levels)


def _counted(module: Any, name: str, members: int, signed: bool) -> Counted:
    is_twin = isinstance(module, Levels)
    return Counted(
        name,
        level=level_of(module.threshold, members).detach().float(),
        members=members,
        signed=signed,
        negative=is_twin and module.negative,
        bias=module.bias if is_twin else None,
    )


def _replace(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for owner in network.modules():
        for name, child in owner._modules.items():
            if child is old:
                owner._modules[name] = new


def _require_spikes(body: fx.GraphModule) -> None:
    """At T > 1 only neurons may be other than linear."""
    analog = []
    for node in body.graph.nodes:
        module = called(node, body) if node.op == "call_module" else None
        inner = module.module if isinstance(module, Folded) else module
        if isinstance(inner, Differential):
            analog.append(f"'{node.target}'")
        if isinstance(inner, PrefixMeans):
            analog += [f"'{user.target if user.op == 'call_module' else user.name}'" for user in node.users]
    if analog:
        raise ValueError(
            f"verify at T > 1 expects a network whose only nonlinear operations are neurons; {_listed(analog)} run on "
            f"running means, with real numbers. Verify it at T = 1."
        )


def _pools(body: fx.GraphModule) -> dict[str, Callable[[Tensor], Tensor]]:
    """The maximum pools from which a neuron's current comes straight: max_pool="pre" moves them there."""
    found = {}
    for node in body.graph.nodes:
        module = called(node, body) if node.op == "call_module" else None
        if isinstance(module, Folded) and isinstance(module.module, Neuron):
            before = node.args[0]
            while before.op == "call_module" and isinstance(called(before, body), Bias | RepeatOverTime):
                before = before.args[0]
            if before.op.startswith("call") and MAX_POOL.covers(called(before, body)):
                found[module.module.label or str(node.target)] = _without_hooks(before, body)
    return found


def _without_hooks(node: fx.Node, body: fx.GraphModule) -> Callable[[Tensor], Tensor]:
    """The call of a node, of its first argument."""
    target: Any = called(node, body)
    function = target.forward if isinstance(target, nn.Module) else target
    return lambda values: function(values, *node.args[1:], **node.kwargs)
