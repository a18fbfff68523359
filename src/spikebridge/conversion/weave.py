"""Time enters a graph: what does not depend on a neuron runs once per sample, all else on the folded batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from torch import fx, nn

from ..core.time import Folded, RepeatOverTime, TimeAxis
from .nodes import batchless_nodes, call_names, host_nodes


class Weaver:
    """Copies a traced graph into one that takes ``(values, time_steps)`` and gives ``[time * batch, *unit]``.

    Every node lives in one of two worlds, or in both. In the still world a tensor is ``[batch, *unit]``: the input,
    and whatever is computed from it before the first neuron; it is computed once. In the timed world it is
    ``[time * batch, *unit]``. A still tensor that a timed node needs is repeated; a still *size* that a timed node
    needs is computed again from the repeated tensor, so ``x.view(batch, -1)`` holds in both.

    Args:
        graph: the traced network.
        replacements: what stands in for a node; a module with a time axis makes its node timed.
    """

    def __init__(self, graph: fx.GraphModule, *, replacements: Mapping[fx.Node, nn.Module]) -> None:
        self.source, self.replacements = graph, replacements
        self.batchless, self.host = batchless_nodes(graph.graph), host_nodes(graph.graph)
        self.names = call_names(graph.graph)
        self.calls = Counter(str(node.target) for node in graph.graph.nodes if node.op == "call_module")
        self.graph = fx.Graph()
        self.modules: dict[str, nn.Module] = dict(graph.named_modules())
        self.repeat = self._free_name("repeat_over_time")
        self.modules[self.repeat] = RepeatOverTime()
        self.still: dict[fx.Node, fx.Node] = {}
        self.timed: dict[fx.Node, fx.Node] = {}

    def weave(self) -> fx.GraphModule:
        """The graph with time in it."""
        nodes = list(self.source.graph.nodes)
        for node in nodes:
            if node.op == "placeholder":
                self.still[node] = self.graph.node_copy(node, lambda other: self.still[other])
        self.time_steps = self.graph.placeholder("time_steps")
        for node in nodes:
            if node.op == "output":
                self.graph.output(self._in_time(node.args[0]))
            elif node.op != "placeholder":
                self._place(node)
        return fx.GraphModule(self._root(), self.graph, class_name="SpikingBody")

    def _place(self, node: fx.Node) -> None:
        replacement = self.replacements.get(node)
        if isinstance(replacement, TimeAxis):
            name = self._add_module(node, Folded(replacement))
            self.timed[node] = self.graph.call_module(name, (self._in_time(node.all_input_nodes[0]), self.time_steps))
        else:
            is_timed = any(other in self.timed and other not in self.still for other in node.all_input_nodes)
            world, lookup = (self.timed, self._in_time) if is_timed else (self.still, self.still.__getitem__)
            world[node] = self._copy(node, replacement, lookup)

    def _copy(self, node: fx.Node, replacement: nn.Module | None, lookup: Callable[[Any], Any]) -> fx.Node:
        if replacement is None:
            return self.graph.node_copy(node, lookup)
        return self.graph.call_module(self._add_module(node, replacement), (lookup(node.all_input_nodes[0]),))

    def _in_time(self, node: Any) -> fx.Node:
        if node not in self.timed:
            if node in self.batchless:
                self.timed[node] = self.still[node]
            elif node in self.host:
                self.timed[node] = self.graph.node_copy(node, self._in_time)
            else:
                self.timed[node] = self.graph.call_module(self.repeat, (self.still[node], self.time_steps))
        return self.timed[node]

    def _add_module(self, node: fx.Node, module: nn.Module) -> str:
        # What replaces a module's only call takes over its name; other calls, and functions, get their own.
        name = str(node.target)
        if node.op != "call_module" or self.calls[name] > 1:
            name = self._free_name(self.names[node].replace("#", "_call"))
        self.modules[name] = module
        return name

    def _free_name(self, name: str) -> str:
        while name in self.modules:
            name += "_"
        return name

    def _root(self) -> dict[str, Any]:
        targets = {str(node.target) for node in self.graph.nodes if node.op == "call_module"}
        tensors = {str(node.target) for node in self.graph.nodes if node.op == "get_attr"}
        return {**{name: self.modules[name] for name in targets}, **{name: self._tensor(name) for name in tensors}}

    def _tensor(self, name: str) -> Any:
        owner, _, attribute = name.rpartition(".")
        return getattr(self.source.get_submodule(owner), attribute)
