"""One graph run on many inputs at once, call by call, so that what one call gives can be looked at for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, fx


class Lockstep:
    """Runs a graph on several inputs, one node after another on all of them, and forgets what is no longer needed.

    Memory: what is alive between two calls, for all inputs together.

    Args:
        traced: the graph, of one input.
        inputs: what to run it on.
        also: nodes that are still wanted when another is run, though it does not use them.
    """

    def __init__(
        self, traced: fx.GraphModule, inputs: Sequence[Tensor], also: Mapping[fx.Node, Sequence[fx.Node]] | None = None
    ) -> None:
        self.traced = traced
        self.runs = [fx.Interpreter(traced, garbage_collect_values=False) for _ in inputs]
        for run, values in zip(self.runs, inputs, strict=True):
            run.args_iter = iter((values,))
        self._last: dict[fx.Node, list[fx.Node]] = _last_uses(traced.graph, also or {})

    def __iter__(self) -> Iterator[tuple[fx.Node, Callable[[int], Any]]]:
        """Every node in order, and a function that runs it on the input of an index.

        What the function returns is what later nodes see, unless :meth:`put` says otherwise.
        """
        for node in self.traced.graph.nodes:
            yield node, lambda index, node=node: self._run(node, index)  # type: ignore[misc]
            for used in self._last.get(node, ()):
                for run in self.runs:
                    run.env.pop(used, None)

    def _run(self, node: fx.Node, index: int) -> Any:
        run = self.runs[index]
        run.env[node] = run.run_node(node)
        return run.env[node]

    def put(self, node: fx.Node, index: int, value: Any) -> None:
        """What later nodes are to see of a node."""
        self.runs[index].env[node] = value

    def get(self, node: fx.Node, index: int) -> Any:
        """What later nodes see of a node."""
        return self.runs[index].env[node]


def _last_uses(graph: fx.Graph, also: Mapping[fx.Node, Sequence[fx.Node]]) -> dict[fx.Node, list[fx.Node]]:
    last: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        last[node] = node
        for used in (*node.all_input_nodes, *also.get(node, ())):
            last[used] = node
    uses: dict[fx.Node, list[fx.Node]] = {}
    for used, node in last.items():
        uses.setdefault(node, []).append(used)
    return uses
