"""What one inference costs in operations: counted from the spikes that were sent, not assumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from ..blocks.differential import Differential
from ..core.neuron import Neuron
from ..core.time import Folded, TimeAxis, fold, require_steps, unfold
from .spikes import spike_counts

_CONNECTIONS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_REARRANGE = (nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


_PRODUCTS = (
    *("linear", "bilinear", "matmul", "mm", "bmm", "einsum", "scaled_dot_product_attention"),
    *(f"conv{kind}{rank}d" for kind in ("", "_transpose") for rank in (1, 2, 3)),
)
"""Functions and methods that multiply weights or activations; a count that left them out would be too low."""


@dataclass(frozen=True)
class LayerOperations:
    """The operations of one layer of weights.

    Attributes:
        layer: the layer's name in the network.
        kind: "AC" (accumulate) where spikes arrive: one per spike and connection, so a Group Neuron's count of k is
            k of them; "MAC" (multiply and accumulate) where analog numbers arrive: one per connection.
        per_step: operations per sample, at each step. A layer that runs once for all steps has a single entry.
        connections: operations of one run of the layer if every input were one spike: the MACs of the dense layer.
        weights: numbers that the layer stores, biases included; 0 for a product of two activations.
    """

    layer: str
    kind: Literal["AC", "MAC"]
    per_step: tuple[float, ...]
    connections: float = 0.0
    weights: int = 0

    def until(self, step: int) -> float:
        """Operations per sample in the first ``step`` steps."""
        return sum(self.per_step[:step])


def count_operations(network: nn.Module, values: Tensor, *, time_steps: int | None = None) -> list[LayerOperations]:
    """Count the operations of every layer of weights during one forward.

    Spikes are followed from the neuron that sent them through pooling, sums and reshapes to the layer that receives
    them; an average pool hands each spike on (it folds into the next layer's weights), a sum of two trains hands on
    both. Where spikes cannot be followed, arriving numbers are taken for analog. Padding connects to nothing and
    counts nothing.

    Args:
        network: a converted network (``conversion.model``), or an ordinary one, which is all MACs.
        values: one batch, [batch, *unit].
        time_steps: T for a converted network; None is its own.

    Raises:  ValueError: a call with weights, or of two activations, that cannot be counted.
    Source:  the counting rule of NeuroBench's effective synaptic operations (Yik et al., arXiv 2304.04640).
    Deviates:  a zero input to an analog layer still counts as a MAC: a dense layer does multiply by it.
    """
    body = getattr(network, "body", None)
    is_converted = isinstance(body, fx.GraphModule)
    steps = time_steps if time_steps is not None else int(getattr(network, "time_steps", 1)) if is_converted else 1
    require_steps(steps, owner="count_operations")
    if not is_converted and any(isinstance(module, TimeAxis) for module in network.modules()):
        raise ValueError(
            f"count_operations counts converted networks and ordinary ones; {type(network).__name__} is spiking but "
            f"was not converted. record_spikes counts its spikes."
        )
    graph = body if isinstance(body, fx.GraphModule) else _trace(network)
    counter = _Counter(graph, batch=values.shape[0], time_steps=steps)
    with torch.no_grad():
        counter.run(values, *((steps,) if is_converted else ()))
    return counter.layers


def _trace(network: nn.Module) -> fx.GraphModule:
    whole = network if any(network.children()) else nn.Sequential(network)
    return fx.GraphModule(whole, _Tracer().trace(whole))


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not any(m.children()) or super().is_leaf_module(m, module_qualified_name)


class _Counter(fx.Interpreter):
    def __init__(self, body: fx.GraphModule, *, batch: int, time_steps: int) -> None:
        super().__init__(body)
        self.extra_traceback = False
        self.batch, self.time_steps = batch, time_steps
        self.callees = dict(body.named_modules())
        self.spikes: dict[fx.Node, Tensor] = {}
        self.layers: list[LayerOperations] = []

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        module = self.callees.get(str(n.target)) if n.op == "call_module" else None
        source = n.all_input_nodes[0] if n.all_input_nodes else None
        if isinstance(module, _CONNECTIONS) and source is not None:
            self._count(str(n.target), module, source)
            return result
        if _has_uncounted_weights(n, module):
            raise ValueError(
                f"count_operations cannot count '{n.name}' ({type(module).__name__ if module else n.target}): it knows "
                f"nn.Linear and nn.Conv1d to nn.Conv3d. Use those modules for layers with weights."
            )
        spikes = self._follow(n, module, source, result)
        if spikes is not None:
            self.spikes[n] = spikes
        return result

    def _count(self, name: str, layer: nn.Module, source: fx.Node) -> None:
        arriving = self.spikes.get(source)
        kind: Literal["AC", "MAC"] = "MAC" if arriving is None else "AC"
        arriving = torch.ones_like(self.env[source]) if arriving is None else arriving.abs()
        operations = _connections(layer, arriving.to(torch.float64)).flatten(1).sum(1)
        per_step = unfold(operations, time_steps=len(operations) // self.batch).sum(1) / self.batch
        self.layers.append(LayerOperations(name, kind, tuple(per_step.tolist())))

    def _follow(self, node: fx.Node, module: nn.Module | None, source: fx.Node | None, result: Any) -> Tensor | None:
        """The spikes that leave a node, if they are known: shaped like its result, in whole spikes."""
        if isinstance(module, Folded) and isinstance(module.module, Neuron):
            return fold(spike_counts(module.module, unfold(result, time_steps=self.time_steps)))
        arriving = [self.spikes.get(other) for other in node.all_input_nodes if isinstance(self.env[other], Tensor)]
        first = arriving[0] if arriving else None
        if first is None or any(spikes is None for spikes in arriving):
            return None
        if isinstance(module, Folded) and isinstance(module.module, Differential):
            pooled: Tensor = module(first, self.time_steps)
            return pooled
        if isinstance(module, nn.Module):
            return _through_module(module, first)
        return _through_call(node, first, arriving[-1], lambda other: self._seen(other, source, first))

    def _seen(self, other: fx.Node, source: fx.Node | None, spikes: Tensor) -> Any:
        return spikes if other is source else self.env[other]


def _through_module(module: nn.Module, spikes: Tensor) -> Tensor | None:
    if isinstance(module, _NORMS):
        return spikes
    if isinstance(module, _REARRANGE):
        moved: Tensor = module(spikes)
        return moved
    if isinstance(module, _AVERAGES):
        return None if module.ceil_mode else _window(module)(spikes.abs())
    if isinstance(module, nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d | nn.AdaptiveAvgPool3d):
        return _adaptive_sum(spikes.abs(), module(spikes))
    return None


def _through_call(
    node: fx.Node, spikes: Tensor, others: Tensor | None, seen: Callable[[fx.Node], Any]
) -> Tensor | None:
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    args: Any = fx.node.map_arg(node.args, seen)
    kwargs: Any = fx.node.map_arg(node.kwargs, seen)
    if name in ("flatten", "view", "reshape", "contiguous"):
        moved: Tensor = getattr(args[0], name)(*args[1:], **kwargs)
        return moved
    if name == "dropout":
        return spikes
    if name in ("add", "iadd"):
        both = all(isinstance(arg, fx.Node) for arg in node.args[:2]) and len(node.args) >= 2
        return spikes.abs() + others.abs() if both and others is not None and spikes.shape == others.shape else None
    if name == "mean":
        return spikes.abs().sum(*args[1:], **kwargs)
    if name.startswith("avg_pool"):
        sizes = {**dict(zip(("kernel_size", "stride", "padding", "ceil_mode"), args[1:], strict=False)), **kwargs}
        return _through_module(_AVERAGES[spikes.ndim - 3](**sizes), spikes)
    if name.startswith("adaptive_avg_pool"):
        return _adaptive_sum(spikes.abs(), getattr(F, name)(*args, **kwargs))
    return None


def _connections(layer: nn.Module, counts: Tensor) -> Tensor:
    """The layer with every weight 1 and no bias: applied to counts, it counts the connections they use."""
    weight = torch.ones_like(cast(Tensor, layer.weight), dtype=counts.dtype)
    if isinstance(layer, nn.Linear):
        return F.linear(counts, weight)
    convolved: Tensor = cast(Any, layer)._conv_forward(counts, weight, None)  # as the layer pads
    return convolved


def _has_uncounted_weights(node: fx.Node, module: nn.Module | None) -> bool:
    if module is not None:
        return not isinstance(module, Folded) and any(parameter.ndim >= 2 for parameter in module.parameters())
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return node.op.startswith("call") and name in _PRODUCTS


def _window(pool: nn.Module) -> Callable[[Tensor], Tensor]:
    """Sum the spikes of each window of an average pool."""
    rank = next(rank for rank, kind in enumerate(_AVERAGES, start=1) if isinstance(pool, kind))
    kernel, stride, padding = (_tuple(getattr(pool, name), rank) for name in ("kernel_size", "stride", "padding"))
    convolve: Any = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]

    def add_up(spikes: Tensor) -> Tensor:
        weight = spikes.new_ones(spikes.shape[1], 1, *kernel)
        total: Tensor = convolve(spikes, weight, None, stride, padding, 1, spikes.shape[1])
        return total

    return add_up


def _adaptive_sum(spikes: Tensor, shaped: Tensor) -> Tensor:
    """Sum the spikes of each window of an adaptive average pool, whose windows may differ in size."""
    for axis in range(2, spikes.ndim):
        size, bins = spikes.shape[axis], shaped.shape[axis]
        bounds = [(i * size // bins, -(-(i + 1) * size // bins)) for i in range(bins)]
        spikes = torch.stack([spikes.narrow(axis, low, high - low).sum(axis) for low, high in bounds], dim=axis)
    return spikes


def _tuple(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)
