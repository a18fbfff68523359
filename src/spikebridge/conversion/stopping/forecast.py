"""What every neuron of a converted network may still send: intervals, carried from the input through all its layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.fx.node import map_aggregate

from ...blocks.differential import Bias
from ...core.neuron import Neuron
from ...core.time import Folded, RepeatOverTime
from .. import rules
from ..nodes import called, host_nodes
from ..stream import StreamState
from .reach import Forecast, capacity, forecast

SIGNED = (
    *(rules.ADD, rules.NEGATIVE, rules.MULTIPLY, rules.DIVIDE, rules.SUM, rules.MEAN, rules.AVERAGE_POOL),
    *(rules.BATCH_NORM, rules.FUNCTIONAL_BATCH_NORM, rules.IDENTITY, rules.DROPOUT, rules.PAD),
    *(rules.FLATTEN, rules.RESHAPE, rules.PERMUTE, rules.ATTRIBUTE, rules.CONCATENATE, rules.SLICE),
)
"""Operations that are affine, and whose every output takes all of an argument with one sign."""


@dataclass(frozen=True)
class _Unknown:
    """What nothing is known of: functions that are not linear, and what comes after them up to the next neuron."""


UNKNOWN = _Unknown()


class Forecaster(fx.Interpreter):
    """Runs a body on what the steps that are left add up to, instead of on a step.

    Args:
        body: the graph of a converted network in eval mode.
        state: after the steps taken.
        left: how many steps are left.
        wanted: the neurons to know about, by name.
    """

    def __init__(self, body: fx.GraphModule, state: StreamState, *, left: int, wanted: Mapping[str, Any]) -> None:
        super().__init__(body)
        self.extra_traceback = False
        self.state, self.left, self.wanted = state, left, wanted
        self.host = host_nodes(body.graph)
        self.found: dict[str, Forecast] = {}

    def forecasts(self) -> dict[str, Forecast]:
        """What each of the wanted neurons may still send."""
        placeholders = [node for node in self.graph.nodes if node.op == "placeholder"]
        known: dict[fx.Node, Any] = dict(zip(placeholders, (self.state.values, 1), strict=True))
        names = {node.name: node for node in self.graph.nodes}
        known |= {names[name]: value for name, value in self.state.still.items()}
        needed = self._needed(known)
        known |= {node: None for node in self.graph.nodes if node not in needed and node not in known}
        self.run(initial_env=known)
        return self.found

    def _needed(self, known: Mapping[fx.Node, Any]) -> set[fx.Node]:
        ahead = [node for node in self.graph.nodes if str(node.target) in self.wanted]
        needed: set[fx.Node] = set()
        while ahead:
            node = ahead.pop()
            if node not in needed and node not in known:
                needed.add(node)
                ahead.extend(node.all_input_nodes)
        return needed

    def run_node(self, n: fx.Node) -> Any:
        if not n.op.startswith("call"):
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        target = called(n, self.module)
        parts = _parts((args, kwargs))
        if isinstance(target, RepeatOverTime):
            return _same_at_every_step(args[0])
        if isinstance(target, Folded):
            return self._over_time(n, target.module, args[0])
        if any(part is UNKNOWN for part in parts):
            return UNKNOWN
        moving = [part for part in parts if isinstance(part, Forecast)]
        if n in self.host or not moving:
            return self._call(n, args, kwargs, lambda part: part.rate)
        return self._affine(n, target, args, kwargs, moving)

    def _over_time(self, node: fx.Node, module: nn.Module, current: Any) -> Any:
        if not isinstance(module, Neuron):
            return UNKNOWN
        state = self.state.modules[str(node.target)]
        if current is UNKNOWN:
            sends = capacity(module, state, left=self.left)
        else:
            sends = forecast(module, state, current, left=self.left)
        if str(node.target) in self.wanted:
            self.found[str(node.target)] = sends
        return sends

    def _affine(
        self, node: fx.Node, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], moving: list[Forecast]
    ) -> Any:
        if isinstance(target, nn.Module) and rules.LINEAR.covers(target):
            return _through_weights(target, moving[0])
        if not (isinstance(target, Bias) or any(rule.covers(target) for rule in SIGNED)) or _multiplies(
            target, args, moving
        ):
            return UNKNOWN

        def run(values: Callable[[Forecast], Tensor]) -> Any:
            return self._call(node, args, kwargs, values)

        nothing = run(lambda part: torch.zeros_like(part.rate))
        rate = run(lambda part: part.rate)
        shift = run(lambda part: (part.above - part.below) / 2)
        reach = [run(_only(one, lambda part: (part.above + part.below) / 2)) for one in moving]
        size = [run(_only(one, lambda part: part.size)) for one in moving]
        roundings = max(part.roundings for part in moving) + len(moving) + 2

        def merge(nothing: Tensor, rate: Tensor, shift: Tensor, reach: Any, size: Any) -> Forecast:
            radius = sum((each - nothing).abs() for each in reach)
            largest = sum((each - nothing).abs() for each in size) + nothing.abs()
            middle = shift - nothing
            return Forecast(rate, radius - middle, radius + middle, largest, roundings + _terms(rate, moving))

        if not isinstance(rate, Tensor):
            pieces = zip(nothing, rate, shift, zip(*reach, strict=True), zip(*size, strict=True), strict=True)
            return tuple(merge(*piece) for piece in pieces)
        return merge(nothing, rate, shift, reach, size)

    def _call(
        self, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any], values: Callable[[Forecast], Tensor]
    ) -> Any:
        def put(part: Any) -> Any:
            return values(part) if isinstance(part, Forecast) else part

        arguments = map_aggregate(args, put)
        return getattr(self, node.op)(node.target, arguments, map_aggregate(kwargs, put))


def _parts(arguments: Any) -> list[Any]:
    parts: list[Any] = []
    map_aggregate(arguments, lambda part: parts.append(part))
    return parts


def _only(one: Forecast, value: Callable[[Forecast], Tensor]) -> Callable[[Forecast], Tensor]:
    return lambda part: value(part) if part is one else torch.zeros_like(part.rate)


def _multiplies(target: Any, args: tuple[Any, ...], moving: list[Forecast]) -> bool:
    """Whether a product or quotient is not linear in what moves."""
    if rules.MULTIPLY.covers(target):
        return len(moving) != 1
    return rules.DIVIDE.covers(target) and (len(moving) != 1 or args[0] is not moving[0])


def _same_at_every_step(values: Tensor) -> Forecast:
    none = torch.zeros_like(values)
    return Forecast(values, none, none, values.abs(), 0)


def _through_weights(layer: nn.Module, before: Forecast) -> Forecast:
    weight = cast(Tensor, layer.weight)
    biased = {} if layer.bias is None else {"bias": torch.zeros_like(cast(Tensor, layer.bias))}
    linear, absolute = {"weight": weight, **biased}, {"weight": weight.abs(), **biased}
    rate = layer(before.rate)
    middle = functional_call(layer, linear, ((before.above - before.below) / 2,))
    radius = functional_call(layer, absolute, ((before.above + before.below) / 2,))
    largest = {"weight": weight.abs(), **({} if layer.bias is None else {"bias": cast(Tensor, layer.bias).abs()})}
    size = functional_call(layer, largest, (before.size,))
    terms = max(weight[0].numel(), weight.transpose(0, 1)[0].numel())
    return Forecast(rate, radius - middle, radius + middle, size, before.roundings + terms + 1)


def _terms(rate: Tensor, moving: list[Forecast]) -> int:
    """How many terms a sum over space may have, at most."""
    before = max(part.rate[0].numel() for part in moving)
    return before if before > rate[0].numel() else 0
