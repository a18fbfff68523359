"""Time enters a graph: what does not depend on a neuron runs once per sample, all else on the folded batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import fx, nn

from ..blocks.differential import Increments, PrefixMeans
from ..core.neuron import Neuron
from ..core.time import Folded, RepeatOverTime, TimeAxis
from .nodes import attached, batchless_nodes, call_names, host_nodes
from .plan import Plan


@dataclass(frozen=True)
class Woven:
    """A graph with time in it, and where to find in it what the source computed.

    Attributes:
        body: called with (values, time_steps), gives [time * batch, *unit] of steps.
        places: the node that stands for a source node, and whether it holds "still" values, "steps" or "means".
    """

    body: fx.GraphModule
    places: dict[fx.Node, tuple[fx.Node, str]]

    def standing_for(self, node: fx.Node) -> nn.Module | None:
        """The module in the place of a call of the source; None where a function is called.

        A neuron is in a :class:`Folded`.
        """
        place = self.places[node][0]
        return self.body.get_submodule(str(place.target)) if place.op == "call_module" else None


class Weaver:
    """Copies a traced graph into one that takes ``(values, time_steps)`` and gives ``[time * batch, *unit]``.

    A tensor lives in one of three worlds, or in several. Still, it is ``[batch, *unit]``: the input, and whatever is
    computed from it before the first neuron; it is computed once. As steps it is ``[time * batch, *unit]``, what is
    sent in each step; as means it has the same shape and holds what has been sent so far, divided by the steps. Linear
    calls run in whichever world their arguments are in, weights and neurons on steps, all else on means, and what is
    needed in another world is carried over: repeated, averaged or differenced. All three are the same at T = 1.

    Sizes are computed anew from folded tensors, so ``x.view(x.size(0), -1)`` holds.

    Args:
        traced: the network.
        plan: the way every call runs.
        replacements: what stands in for a call: a neuron, or a module.
        offsets: modules that a neuron's current passes first.
    """

    def __init__(
        self,
        traced: fx.GraphModule,
        plan: Plan,
        *,
        replacements: Mapping[fx.Node, nn.Module],
        offsets: Mapping[fx.Node, nn.Module],
    ) -> None:
        self.source, self.plan, self.replacements, self.offsets = traced, plan, replacements, offsets
        self.batchless, self.host = batchless_nodes(traced.graph), host_nodes(traced.graph)
        self.names = call_names(traced.graph)
        self.calls = Counter(str(node.target) for node in traced.graph.nodes if node.op == "call_module")
        self.graph = fx.Graph()
        self.modules: dict[str, nn.Module] = dict(traced.named_modules())
        self.repeat = self._add("repeat_over_time", RepeatOverTime())
        self.worlds: dict[str, dict[fx.Node, fx.Node]] = {"still": {}, "steps": {}, "means": {}}
        self.places: dict[fx.Node, tuple[fx.Node, str]] = {}

    def weave(self) -> Woven:
        """The graph with time in it."""
        still = self.worlds["still"]
        nodes = list(self.source.graph.nodes)
        for node in nodes:
            if node.op == "placeholder":
                still[node] = self.graph.node_copy(node, still.__getitem__)
        self.time_steps = self.graph.placeholder("time_steps")
        for node in nodes:
            if node.op == "output":
                self.graph.output(self._in("steps", node.args[0]))
            elif node in self.batchless or node in self.host:
                still[node] = self.graph.node_copy(node, self._in_still)
            elif node.op != "placeholder":
                self._place(node)
        return Woven(
            fx.GraphModule(attached(self.graph, self.modules, self.source), self.graph, class_name="SpikingBody"),
            self.places,
        )

    def _place(self, node: fx.Node) -> None:
        entry = self.plan[node]
        replacement = self.replacements.get(node)
        if entry.way == "neuron":
            assert isinstance(replacement, Neuron)
            world, place = "steps", self._neuron(node, replacement)
        else:
            has_choice = entry.way == "steps" and not entry.rule.has_weights
            world = self._world_of(entry.site.data) if has_choice else entry.way
            place = self._copy(node, replacement, world)
        self.worlds[world][node] = place
        self.places[node] = place, world

    def _neuron(self, node: fx.Node, neuron: Neuron[Any]) -> fx.Node:
        current = node.all_input_nodes[0]
        if self._is_analog(node):
            world = "means" if self.plan[node].site.timed else "still"
            self.worlds[world][node] = self._copy(node, None, world)
            current = node  # the function itself, before its neuron
        arrives = self._in("steps", current)
        if node in self.offsets:
            name = self._add(f"{self._label(node)}_bias", self.offsets[node])
            arrives = self.graph.call_module(name, (arrives,))
        for known in self.worlds.values():
            known.pop(node, None)  # from here on the node is what its neuron sends
        return self._over_time(self._module_name(node, Folded(neuron)), arrives)

    def _world_of(self, data: tuple[fx.Node, ...]) -> str:
        steps = any(node in self.worlds["steps"] for node in data if node not in self.worlds["still"])
        return "steps" if steps else "means"

    def _copy(self, node: fx.Node, replacement: nn.Module | None, world: str) -> fx.Node:
        lookup: Callable[[Any], Any] = lambda other: self._in(world, other)  # noqa: E731
        if replacement is None:
            return self.graph.node_copy(node, lookup)
        return self.graph.call_module(self._module_name(node, replacement), (lookup(node.all_input_nodes[0]),))

    def _in(self, world: str, node: fx.Node) -> fx.Node:
        """The node as it is in a world, carried over from another if need be."""
        if world == "still":
            return self._in_still(node)
        here = self.worlds[world]
        if node not in here:
            here[node] = self._carried(world, node)
        return here[node]

    def _carried(self, world: str, node: fx.Node) -> fx.Node:
        still, other = self.worlds["still"], "means" if world == "steps" else "steps"
        if node in self.batchless:
            return still[node]
        if node in self.host:
            return self.graph.node_copy(node, lambda argument: self._in(world, argument))
        if node not in still:
            module: TimeAxis = PrefixMeans() if world == "means" else Increments()
            label = f"{self._label(node)}_as_{world}"
            return self._over_time(self._add(label, Folded(module)), self.worlds[other][node])
        if node not in self.worlds[other]:
            repeated = self.graph.call_module(self.repeat, (still[node], self.time_steps))
            self.worlds[other][node] = repeated  # repeated values are their own means
        return self.worlds[other][node]

    def _in_still(self, node: fx.Node) -> fx.Node:
        if node in self.worlds["still"]:
            return self.worlds["still"][node]
        # A size of what varies over time: it is as large as any of its steps, folded.
        return self._in("steps" if node in self.worlds["steps"] else "means", node)

    def _over_time(self, name: str, argument: fx.Node) -> fx.Node:
        return self.graph.call_module(name, (argument, self.time_steps))

    def _module_name(self, node: fx.Node, module: nn.Module) -> str:
        # What replaces a module's only call takes over its name; other calls, and functions, get their own.
        name = str(node.target)
        if node.op == "call_module" and self.calls[name] == 1 and not self._is_analog(node):
            self.modules[name] = module
            return name
        return self._add(
            f"{name}_neuron" if node.op == "call_module" and self._is_analog(node) else self._label(node), module
        )

    def _is_analog(self, node: fx.Node) -> bool:
        """Whether the call stays, and its neuron comes after it."""
        activation = self.plan[node].site.activation
        return activation is not None and activation.analog

    def _label(self, node: fx.Node) -> str:
        return self.names.get(node, node.name).replace("#", "_call").replace(".", "_")

    def _add(self, name: str, module: nn.Module) -> str:
        while name in self.modules:
            name += "_"
        self.modules[name] = module
        return name
