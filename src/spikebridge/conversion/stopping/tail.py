"""The linear end of a converted network: how its output depends on what the last neurons send, and on nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx

from ...core.neuron import Neuron
from ...core.shapes import Value
from ...core.time import Folded, RepeatOverTime
from ..errors import ConversionError
from ..nodes import batchless_nodes, called, host_nodes, location, operation_name
from ..recipe import Recipe
from ..rule import Site
from ..rules import RULES
from ..stream import Step


@dataclass(frozen=True)
class Tail:
    """The output of every step as a sum over the last neurons:  y_j = c_j + sum over units u of rows_ju s_u.

    Attributes:
        neurons: the last neurons on every way to the output, by name, in the order of the columns of ``rows``.
        rows: [classes, units], float64; c_j depends on the sample and is not part of it.
        roundings: how many roundings a computed y_j may pass, at most, from spikes to output.
    """

    neurons: dict[str, Neuron[Any]]
    rows: Tensor
    roundings: int


def find_tail(body: fx.GraphModule, values: Value) -> Tail:
    """What lies between the last neurons and the output.

    The rows are derivatives: of an affine function they are its matrix, with no more error than its rounding.

    Args:
        body: the graph of a converted network.
        values: any sample, [1, *unit].

    Raises:
        ConversionError: the tail is not linear; the output is not [batch, classes].
    """
    sources, inside = _walk(body)
    edge = {node for user in inside for node in user.all_input_nodes} | set(sources)
    seen: dict[fx.Node, Any] = {}
    step = Step(body, before={}, watch=lambda node, result: seen.update({node: result} if node in edge else {}))
    sent = step.take(values, {})
    if sent.ndim != 2:
        raise ConversionError(
            f"decide expects a classifier, of outputs [batch, classes]; got an output of shape {tuple(sent.shape)}. "
            f"Use step or readouts."
        )
    rows = _rows(body, sources, inside, seen)
    neurons = {str(node.target): cast(Neuron[Any], cast(Folded, called(node, body)).module) for node in sources}
    return Tail(neurons, rows, roundings=rows.shape[1] + len(inside) + 2)


@torch.enable_grad()
def _rows(body: fx.GraphModule, sources: list[fx.Node], inside: set[fx.Node], seen: dict[fx.Node, Any]) -> Tensor:
    leaves = [torch.zeros_like(seen[node]).requires_grad_() for node in sources]
    known = {node: seen.get(node) for node in body.graph.nodes if node not in inside and node.op != "output"}
    output = fx.Interpreter(body, garbage_collect_values=False).run(
        initial_env={**known, **dict(zip(sources, leaves, strict=True))}
    )
    rows = [
        torch.autograd.grad(each, leaves, retain_graph=True, allow_unused=True, materialize_grads=True)
        for each in output[0]
    ]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows]).double()


def _walk(body: fx.GraphModule) -> tuple[list[fx.Node], set[fx.Node]]:
    """The neurons nearest to the output, and the calls between them and the output."""
    still = host_nodes(body.graph) | batchless_nodes(body.graph)
    sources: dict[fx.Node, None] = {}
    inside: set[fx.Node] = set()
    ahead = list(next(node for node in body.graph.nodes if node.op == "output").all_input_nodes)
    while ahead:
        node = ahead.pop()
        target = called(node, body) if node.op.startswith("call") else None
        if isinstance(target, Folded) and isinstance(target.module, Neuron):
            sources[node] = None
        elif target is not None and not isinstance(target, RepeatOverTime) and node not in still | inside:
            _require_linear(node, body, still)
            inside.add(node)
            ahead.extend(node.all_input_nodes)
    if not sources:
        raise ConversionError("decide found no neuron on the way to the output; all steps are the same.")
    return list(sources), inside


def _require_linear(node: fx.Node, body: fx.GraphModule, still: set[fx.Node]) -> None:
    target = called(node, body)
    name = str(node.target) if node.op == "call_module" else node.name
    if isinstance(target, Folded):
        what = f"'{name}' ({type(target.module).__name__})"
    else:
        data = tuple(argument for argument in node.all_input_nodes if argument not in still)
        module = target if isinstance(target, torch.nn.Module) else None
        site = Site(name, operation_name(node, body), location(node, body), node, module, Recipe(), data, timed=True)
        if any(rule.covers(target) and rule.linear(site) and rule.activation is None for rule in RULES):
            return
        what = str(site)
    raise ConversionError(
        f"decide proves its bound for networks that are linear after their last neurons; got {what} there, which is "
        f"not, or not known to be. Use step or readouts, which hold for every network, or convert with "
        f"max_pool='pre' or 'average' if it is a max pool."
    )
