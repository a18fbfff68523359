"""A converted network step by step: what it carries from one step to the next is a value in the caller's hands."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_aggregate

from ..core.shapes import Value
from ..core.time import Folded
from .nodes import batchless_nodes, host_nodes


@dataclass(frozen=True, eq=False)
class StreamState:
    """What a converted network carries from step to step. Nothing in it is ever changed; a step makes a new one.

    Attributes:
        steps: how many steps have been taken.
        modules: the state of every module that knows time, by its name.
        values: what the last step was given.
        still: what the network computed from it before the first neuron, by node.
        key: the network it belongs to.
        version: what ``values`` was like when ``still`` was computed; None where that cannot be told.
    """

    steps: int
    modules: Mapping[str, tuple[Any, ...]]
    values: Value
    still: Mapping[str, Any]
    key: str
    version: tuple[int, bool] | None

    def take(self, samples: Tensor) -> StreamState:
        """The state of some of the samples: indices, or a mask over the batch."""

        def taken(part: Any) -> Any:
            return part[samples.to(part.device)] if isinstance(part, Tensor) else part

        return dataclasses.replace(
            self,
            modules={name: map_aggregate(state, taken) for name, state in self.modules.items()},
            values=(values := taken(self.values)),
            still={name: map_aggregate(value, taken) for name, value in self.still.items()},
            version=None if self.version is None else _version(values),
        )


def advance(
    body: fx.GraphModule,
    values: Value,
    state: StreamState | None,
    *,
    key: str,
    watch: Callable[[fx.Node, Any], None] | None = None,
) -> tuple[Tensor, StreamState]:
    """One step: what the network sends, and the state after it.

    What does not depend on a neuron is taken from the state if ``values`` is the very tensor it was computed from,
    unchanged since.

    Raises:
        ValueError: the state of another network, or of values of another shape.
    """
    if state is not None:
        _check(state, values, key=key)
    version = _version(values)
    is_same = state is not None and values is state.values and version is not None and version == state.version
    step = Step(body, before={} if state is None else state.modules, watch=watch)
    sent: Tensor = step.take(values, state.still if state is not None and is_same else {})
    steps = 1 if state is None else state.steps + 1
    return sent, StreamState(steps, step.after, values, step.still, key, version)


class Step(fx.Interpreter):
    """Runs the body of a converted network for one step, from states to states.

    Args:
        body: the graph.
        before: the states before the step, by module; empty for the first.
        watch: looks at every node's result.

    Attributes:
        after: the states after the step.
        still: the results that later steps on the same values need no more than look up.
    """

    def __init__(
        self,
        body: fx.GraphModule,
        *,
        before: Mapping[str, tuple[Any, ...]],
        watch: Callable[[fx.Node, Any], None] | None = None,
    ) -> None:
        super().__init__(body)
        self.extra_traceback = False  # a refused state is the caller's doing, and its message says so
        self.before, self.watch = before, watch
        self.after: dict[str, tuple[Any, ...]] = {}
        self.still: dict[str, Any] = {}
        self.placeholders = [node for node in body.graph.nodes if node.op == "placeholder"]
        self.edge, self.inner = _before_time(body.graph, self.placeholders[1])

    def take(self, values: Value, still: Mapping[str, Any]) -> Any:
        """Take the step, with what is known of the part before the first neuron."""
        known: dict[fx.Node, Any] = dict(zip(self.placeholders, (values, 1), strict=True))
        if still.keys() == {node.name for node in self.edge}:
            known |= dict.fromkeys(self.inner) | {node: still[node.name] for node in self.edge}
            self.still = dict(still)
        return self.run(initial_env=known)

    def run_node(self, n: fx.Node) -> Any:
        result = self._result(n)
        if n in self.edge:
            self.still[n.name] = result
        if self.watch is not None:
            self.watch(n, result)
        return result

    def _result(self, node: fx.Node) -> Any:
        module = self.fetch_attr(str(node.target)) if node.op == "call_module" else None
        if not isinstance(module, Folded):
            return super().run_node(node)
        (folded, time_steps), _ = self.fetch_args_kwargs_from_env(node)
        name = str(node.target)
        sent, self.after[name] = module.resume(folded, time_steps, self.before.get(name))
        return sent


def _before_time(graph: fx.Graph, time_steps: fx.Node) -> tuple[set[fx.Node], set[fx.Node]]:
    """Of the nodes that do not vary over time, those that others look at, and those that none does.

    Parameters and sizes are not among them: the ones cost nothing, the others change with the batch.
    """
    varying = {time_steps}
    for node in graph.nodes:
        if not varying.isdisjoint(node.all_input_nodes):
            varying.add(node)
    again = varying | host_nodes(graph) | batchless_nodes(graph)
    still = {node for node in graph.nodes if node not in again and node.op != "placeholder"}
    edge = {node for node in still if not again.isdisjoint(node.users)}
    return edge, still - edge


def _version(values: Tensor) -> tuple[int, bool] | None:
    # Tensors of inference mode do not count their changes.
    return None if values.is_inference() else (values._version, torch.is_grad_enabled())


def _check(state: StreamState, values: Value, *, key: str) -> None:
    if state.key != key:
        raise ValueError(
            "ConvertedNetwork.step expects a state that this network made; got one of another network. "
            "Pass state=None to start afresh."
        )
    if values.shape != state.values.shape:
        raise ValueError(
            f"ConvertedNetwork.step expects values of shape {tuple(state.values.shape)}, as in the steps before; got "
            f"{tuple(values.shape)}. Pass state=None to start afresh, or state.take(samples) to go on with some."
        )
