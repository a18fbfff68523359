"""What counts as an activation, written as a module, as a function or as a method of a tensor."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from ..measure.activity import ACTIVATIONS

ACTIVATION_TYPES = (
    *ACTIVATIONS,
    *(nn.RReLU, nn.LogSigmoid, nn.Softsign, nn.Softshrink, nn.Hardshrink, nn.Tanhshrink),
)
"""Modules that a neuron takes the place of, and their subclasses."""

_NAMES = (
    "relu relu6 leaky_relu prelu rrelu elu celu selu gelu silu mish hardswish hardsigmoid hardtanh sigmoid logsigmoid "
    "tanh softplus softsign threshold softshrink hardshrink tanhshrink"
).split()
_SPELLINGS = [name + ending for name in _NAMES for ending in ("", "_")]
_FUNCTIONS = frozenset(getattr(owner, name) for owner in (torch, F) for name in _SPELLINGS if hasattr(owner, name))
_METHODS = frozenset(name for name in _SPELLINGS if hasattr(Tensor, name))

_SIGMOIDS = (torch.sigmoid, F.sigmoid, F.hardsigmoid, "sigmoid", "sigmoid_")
_PRODUCTS = (operator.mul, operator.imul, torch.mul, torch.multiply, "mul", "mul_", "multiply")
_RESHAPES = (operator.getitem, torch.reshape, torch.unsqueeze, "view", "reshape", "expand", "expand_as", "unsqueeze")


@dataclass(frozen=True)
class Activation:
    """An activation in a graph.

    Attributes:
        operand: what it is applied to.
        calls: the calls that it consists of, the last first.
    """

    operand: fx.Node
    calls: tuple[fx.Node, ...]

    @property
    def result(self) -> fx.Node:
        """The call that gives what it computes."""
        return self.calls[0]


def activations_in(graph: fx.Graph, modules: Mapping[str, nn.Module]) -> list[Activation]:
    """All activations of a graph, but for gates: sigmoids that only scale other numbers.

    Args:
        graph: of a forward in which nothing works in place.
        modules: what it calls, by name.
    """
    found = []
    for node in graph.nodes:
        module = modules[str(node.target)] if node.op == "call_module" else None
        if not _is_activation(node, module):
            continue
        operand, product = node.all_input_nodes[0], next(iter(node.users), None)
        if not _is_gate(node, module):
            found.append(Activation(operand, (node,)))
        elif product is not None and len(node.users) == 1 and set(product.all_input_nodes) == {node, operand}:
            found.append(Activation(operand, (product, node)))  # x * sigmoid(x)
    return found


def _is_activation(node: fx.Node, module: nn.Module | None) -> bool:
    if node.op == "call_module":
        return isinstance(module, ACTIVATION_TYPES)
    known = _FUNCTIONS if node.op == "call_function" else _METHODS if node.op == "call_method" else ()
    return node.target in known


def _is_gate(node: fx.Node, module: nn.Module | None) -> bool:
    is_sigmoid = isinstance(module, nn.Sigmoid | nn.Hardsigmoid) if module is not None else node.target in _SIGMOIDS
    return is_sigmoid and _only_multiplies(node)


def _only_multiplies(node: fx.Node) -> bool:
    reshaped = [user for user in node.users if user.target not in _PRODUCTS]
    return bool(node.users) and all(
        user.target in _RESHAPES and user.args[0] is node and _only_multiplies(user) for user in reshaped
    )
