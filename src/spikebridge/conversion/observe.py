"""One pass over calibration data: what each activation produces, and whether time can enter the graph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, fx, nn

from .errors import ConversionError
from .trace import batchless_nodes, host_nodes, location


class Histogram:
    """The distribution of non-negative values, in one pass and bounded memory.

    The range grows by doubling and always ends at a power of two, so its bins nest: the result depends on the values
    alone, not on the order or the size of the batches they came in.

    >>> h = Histogram(); h.add(torch.linspace(0, 10, 1001)); h.percentile(100.0), round(h.percentile(50.0), 1)
    (10.0, 5.0)
    """

    bins = 4096

    def __init__(self) -> None:
        self.counts = torch.zeros(self.bins, dtype=torch.float64)
        self.upper, self.largest = 0.0, 0.0

    def add(self, values: Tensor) -> None:
        """Count more values; negative ones are not counted."""
        largest = values.max().item()
        self.largest = max(self.largest, largest)
        if largest > self.upper:
            self._grow(2.0 ** math.ceil(math.log2(largest)))
        if self.upper > 0.0:
            self.counts += torch.histc(values.float(), self.bins, 0.0, self.upper).cpu()
        else:
            self.counts[0] += values.numel()

    def percentile(self, percent: float) -> float:
        """The value that ``percent`` % of all values do not exceed, to within a bin; 100 is the largest, exactly."""
        if percent >= 100.0:
            return self.largest
        cumulative = self.counts.cumsum(0)
        target = percent / 100.0 * cumulative[-1].item()
        index = int(torch.searchsorted(cumulative, target))
        if index == 0 and self.counts[0] >= target:
            return 0.0
        return min((index + 1) * self.upper / self.bins, self.largest)

    def _grow(self, upper: float) -> None:
        if self.upper > 0.0:
            factor = min(round(upper / self.upper), self.bins)
            merged = self.counts.reshape(-1, factor).sum(1)
            self.counts = torch.cat([merged, torch.zeros(self.bins - len(merged), dtype=torch.float64)])
        self.upper = upper


class Observer(fx.Interpreter):
    """Runs the traced network on values and watches every node.

    Attributes:
        histograms: what the nodes of ``watched`` have produced so far.
    """

    def __init__(self, traced: fx.GraphModule, watched: Iterable[fx.Node]) -> None:
        super().__init__(traced)
        self.histograms = {node: Histogram() for node in watched}
        self._unchecked = host_nodes(traced.graph) | batchless_nodes(traced.graph)
        self._batch, self._device = 0, torch.device("cpu")

    def observe(self, values: Tensor) -> Tensor:
        """Run one batch; return the network's output."""
        self._batch, self._device = values.shape[0], values.device
        output = self.run(values)
        if not isinstance(output, Tensor):
            raise ConversionError(
                f"The network returns {type(output).__name__}; convert handles networks that return one tensor. "
                f"Wrap it in a module that returns the tensor you need."
            )
        return output

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.op != "output" and n not in self._unchecked:
            self._check(n, result)
        if n in self.histograms:
            self.histograms[n].add(result)
        return result

    def threshold(self, node: fx.Node, percentile: float) -> Tensor:
        """A percentile of what a watched node has produced, as a tensor beside the data."""
        return torch.tensor(self.histograms[node].percentile(percentile), device=self._device)

    def _check(self, node: fx.Node, result: Any) -> None:
        assert isinstance(self.module, nn.Module)
        where = f"'{node.name}' at {location(node, self.module)}"
        if not isinstance(result, Tensor):
            raise ConversionError(f"{where} gives {type(result).__name__} instead of a tensor; keep to tensors.")
        if not bool(torch.isfinite(result).all()):
            raise ConversionError(
                f"Calibration produced NaN or infinite values in {where}. Check the data (torch.isfinite) and the "
                f"weights; no threshold can be chosen from them."
            )
        if result.ndim == 0 or result.shape[0] != self._batch:
            raise ConversionError(
                f"{where} turns a batch of {self._batch} into shape {tuple(result.shape)}. Time is folded into the "
                f"batch, so every tensor must keep the batch axis first; rewrite the call so that it does."
            )


def calibration_batches(batches: Tensor | Iterable[Any], model: nn.Module) -> Iterator[Tensor]:
    """The input tensors of ``batches``, each checked against the model.

    Raises:
        TypeError: a batch that is neither a tensor nor a tuple or list that starts with one.
        ConversionError: no batch at all, an empty one, another device than the model's, NaN or infinite values.
    """
    device = next((tensor.device for tensor in chain(model.parameters(), model.buffers())), None)
    count = 0
    for batch in [batches] if isinstance(batches, Tensor) else batches:
        values = batch[0] if isinstance(batch, tuple | list) and batch else batch
        if not isinstance(values, Tensor):
            raise TypeError(
                f"convert expects batches of tensors, or of (tensor, ...); batch {count} is {type(batch).__name__}."
            )
        _check_batch(values, device, count)
        count += 1
        yield values
    if count == 0:
        raise ConversionError("convert got no calibration batch: batches is empty. Pass at least one batch of inputs.")


def _check_batch(values: Tensor, device: torch.device | None, index: int) -> None:
    if values.ndim < 2 or values.shape[0] == 0:
        raise ConversionError(
            f"Calibration batch {index} has shape {tuple(values.shape)}; expected [batch, *unit] with batch >= 1. "
            f"For a single sample: values[None]."
        )
    if device is not None and values.device != device:
        raise ConversionError(
            f"Calibration batch {index} is on {values.device}, the model on {device}. "
            f"Move one of them: model.to('{values.device}') or batch.to('{device}')."
        )
    if not bool(torch.isfinite(values).all()):
        raise ConversionError(
            f"Calibration batch {index} holds NaN or infinite values. Clean the data; torch.isfinite finds them."
        )
