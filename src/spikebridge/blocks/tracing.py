"""The graph of a network of trains, as torch.fx sees it."""

from __future__ import annotations

import copy
import inspect
import operator
from collections.abc import Callable
from typing import Any

from torch import Tensor, fx, nn

from ..core.time import TimeAxis

IN_PLACE = (operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.iand, operator.ior)


class _Proxy(fx.Proxy):
    """torch.fx writes x = x + y for x += y, which is another thing where x has a second name."""


def _in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: self.tracer.create_proxy("call_function", function, (self, other), {})


for _function in IN_PLACE:
    setattr(_Proxy, f"__{_function.__name__}__", _in_place(_function))


class TrainTracer(fx.Tracer):
    """Does not look into what takes trains; changes in place stay what they are.

    What is traced is the call with one input: other arguments have their defaults. It is traced on a copy, as a forward
    may keep what it sees.
    """

    def trace(self, root: nn.Module | Callable[..., Any], concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        parts = root.modules() if isinstance(root, nn.Module) else ()
        held = [value for part in parts for value in vars(part).values() if isinstance(value, Tensor)]
        memo = {id(value): value.detach() for value in held if not value.is_leaf}  # which cannot be copied
        return super().trace(copy.deepcopy(root, memo), concrete_args)

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        name = list(inspect.signature(root_fn).parameters)[int(is_module)]
        return root_fn, [*[self.root] * is_module, self.create_proxy("placeholder", name, (), {})]

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, TimeAxis) or super().is_leaf_module(m, module_qualified_name)


def traced(network: nn.Module, *, owner: str, advice: str) -> fx.GraphModule:
    """The network as a graph whose calls are the parts that take trains, and what lies between them.

    Raises:
        ValueError: torch.fx cannot trace it; names who asked, and what to do instead.
    """
    try:
        tracer = TrainTracer()
        graph = tracer.trace(network)
    except Exception as error:  # a forward may raise anything when it is run on proxies
        raise ValueError(
            f"{owner} expects a network that torch.fx can trace; {type(network).__name__} is not: {error}. {advice}"
        ) from error
    # Parts are the network's own; constants that only the forward knows are the traced copy's.
    targets = {str(node.target) for node in graph.nodes if node.op in ("call_module", "get_attr")}
    made = fx.GraphModule({target: _found(target, network, tracer.root) for target in targets}, graph)
    made.training = network.training
    return made


def _found(target: str, *roots: Any) -> Any:
    for root in roots:
        try:
            return operator.attrgetter(target)(root)
        except AttributeError:
            continue
    raise AttributeError(target)
