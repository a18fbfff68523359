"""Calibration data in, what every activation produces out; and the proofs that time can enter the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from .channels import as_setting, by_channel, channel_axis
from .errors import ConversionError, not_one_tensor
from .histogram import Histogram
from .lockstep import Lockstep
from .nodes import batchless_nodes, call_names, host_nodes, location
from .plan import Entry

TOLERANCE = 1e-4
"""Largest difference, relative to the largest entry, that kernels may make of the same sum in another order."""

OTHERS = 3
"""Samples put beside two, to see whether they matter; of a single one an activation might make nothing. Odd, so that
the batch is not doubled."""


def agree(output: Tensor, expected: Tensor) -> bool:
    """Whether two results are the same computation, to rounding."""
    if output.shape != expected.shape:
        return False
    if not output.is_floating_point():
        return torch.equal(output, expected)
    return bool((output - expected).abs().max() <= TOLERANCE * expected.abs().max()) if expected.numel() else True


class Observer(fx.Interpreter):
    """Runs the traced network on values, refuses what is not finite, and counts what neurons will have to send.

    Args:
        traced: the network.
        watched: the activations whose output is to be counted.

    Attributes:
        box: the lowest and highest input so far, per element.
    """

    def __init__(self, traced: fx.GraphModule, watched: Mapping[fx.Node, Entry]) -> None:
        super().__init__(traced)
        self.extra_traceback = False  # our errors name the line already
        self.watched = watched
        self.box: tuple[Tensor, Tensor] | None = None
        self._histograms: dict[fx.Node, Histogram] = {}
        self._shapes: dict[fx.Node, tuple[int | None, int]] = {}
        self._names = call_names(traced.graph)
        self._unchecked = host_nodes(traced.graph) | batchless_nodes(traced.graph)
        self._device = torch.device("cpu")

    def observe(self, values: Tensor) -> Tensor:
        """Run one batch; return the network's output."""
        self._device = values.device
        self.widen(values)
        output = self.run(values)
        if not isinstance(output, Tensor) or not output.is_floating_point():
            raise not_one_tensor(f"{output.dtype} numbers" if isinstance(output, Tensor) else type(output).__name__)
        return output

    def widen(self, values: Tensor) -> None:
        """Let the box reach these inputs."""
        low, high = values.amin(0), values.amax(0)
        self.box = (low, high) if self.box is None else (self.box[0].minimum(low), self.box[1].maximum(high))

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.op != "output" and n not in self._unchecked:
            self.check_finite(n, result)
        if n in self.watched:
            self._count(n, result)
        return result

    def check_finite(self, node: fx.Node, result: Any) -> None:
        """Refuse NaN and infinities, and name where they arose."""
        for part in result if isinstance(result, tuple | list) else (result,):
            if isinstance(part, Tensor) and part.is_floating_point() and not bool(torch.isfinite(part).all()):
                raise ConversionError(
                    f"Calibration produced NaN or infinite values in {self.where(node)}. Check the data "
                    f"(torch.isfinite) and the weights; no threshold can be chosen from them."
                )

    def where(self, node: fx.Node) -> str:
        """A node by name and line."""
        assert isinstance(self.module, nn.Module)
        return f"'{self._names.get(node, node.name)}' at {location(node, self.module)}"

    def percentile(self, node: fx.Node, percent: float) -> Tensor:
        """[channels] a percentile of what a watched node has produced; 0 for channels that were never active."""
        return self._histograms[node].percentile(percent).to(self._device)

    def setting(self, node: fx.Node, numbers: Tensor) -> Tensor:
        """Numbers per channel in the form a neuron at this node takes."""
        axis, rank = self._shapes[node]
        return as_setting(numbers, axis, rank)

    def axis(self, entry: Entry, value: Tensor) -> int | None:
        """The axis of its channels, where the recipe asks for one threshold per channel."""
        assert isinstance(self.module, nn.Module)
        node, by_layer = entry.site.node, entry.site.recipe.granularity == "layer"
        axis = None if by_layer else channel_axis(node, self.module, value)
        self._shapes[node] = axis, value.ndim
        return axis

    def _count(self, node: fx.Node, result: Tensor) -> None:
        rows = by_channel(result.abs(), self.axis(self.watched[node], result))
        self._histograms.setdefault(node, Histogram(len(rows))).add(rows)


def check_batch_axis(observer: Observer, values: Tensor) -> None:
    """Prove that every tensor keeps its samples apart and in order, which is what folding time into the batch needs.

    Samples beside the first must leave their results as they were, whether they come after or before. A result may
    have another leading axis than the batch (windows of an image, say), as long as all that belongs to one sample stays
    together.

    Raises:
        ConversionError: names the first call that mixes samples, or moves the batch axis.
    """
    assert isinstance(observer.module, fx.GraphModule)
    few, others = values[:2], values[-OTHERS if len(values) >= OTHERS else -1 :].flip(-1)
    steps = Lockstep(observer.module, [few.clone(), torch.cat([few, others]), torch.cat([others, few])])
    unchecked = host_nodes(observer.module.graph) | batchless_nodes(observer.module.graph)
    for node, run in steps:
        results = run(0), *(_quietly(run, index, observer, node) for index in (1, 2))
        if node.op != "output" and node not in unchecked:
            for less, after, before in zip(*(_parts(result) for result in results), strict=True):
                _check_apart(observer, node, less, after, before, sizes=(len(few), len(few) + len(others)))


def _quietly(run: Any, index: int, observer: Observer, node: fx.Node) -> Any:
    try:
        return run(index)
    except Exception as error:  # whatever another batch size makes of a network that counts on one
        raise ConversionError(
            f"{observer.where(node)}: cannot run with another batch size: {error}. Time is folded into the batch; "
            f"write sizes as x.size(0) or -1."
        ) from error


def _parts(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, tuple | list) else (result,)


def _check_apart(
    observer: Observer, node: fx.Node, less: Any, after: Any, before: Any, *, sizes: tuple[int, int]
) -> None:
    if less is None:
        return
    if not isinstance(less, Tensor):
        raise ConversionError(
            f"{observer.where(node)} gives {type(less).__name__} instead of a tensor; keep to tensors."
        )
    samples, more = sizes
    if less.ndim == 0 or less.shape[0] % samples or after.shape[0] * samples != less.shape[0] * more:
        raise ConversionError(
            f"{observer.where(node)} turns a batch of {samples} into shape {tuple(less.shape)}. Time is folded into "
            f"the batch, so every tensor must keep the batch axis first; rewrite the call so that it does."
        )
    if not agree(after[: len(less)], less) or not agree(before[len(after) - len(less) :], less):
        raise ConversionError(
            f"{observer.where(node)} mixes the samples of a batch: its result for a sample changes when the batch "
            f"grows. Time is folded into the batch, so every tensor must keep its samples apart, batch first."
        )
