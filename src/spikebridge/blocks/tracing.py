"""The graph of a network of trains, as torch.fx sees it."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from torch import fx, nn

from ..core.time import TimeAxis

IN_PLACE = (operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.iand, operator.ior)


class _Proxy(fx.Proxy):
    """torch.fx writes x = x + y for x += y, which is another thing where x has a second name."""


def _in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: self.tracer.create_proxy("call_function", function, (self, other), {})


for _function in IN_PLACE:
    setattr(_Proxy, f"__{_function.__name__}__", _in_place(_function))


class TrainTracer(fx.Tracer):
    """Does not look into what takes trains; changes in place stay what they are."""

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
        return fx.GraphModule(network, TrainTracer().trace(network))
    except Exception as error:  # a forward may raise anything when it is run on proxies
        raise ValueError(
            f"{owner} expects a network that torch.fx can trace; {type(network).__name__} is not: {error}. {advice}"
        ) from error
