"""One pass over calibration data: what each activation produces, and whether time can enter the graph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn

from .errors import ConversionError
from .nodes import batchless_nodes, call_names, host_nodes, location


class Histogram:
    """The distribution of non-negative values, in one pass and bounded memory.

    Bins are equal on a logarithmic scale, 256 to an octave from 2^-40 to 2^40, with zeros apart: a threshold is known
    to 0.3 % whether or not an outlier a thousand times larger came along, and the result depends on the values
    alone, not on the order or the size of the batches they came in.

    >>> h = Histogram(); h.add(torch.linspace(0, 10, 1001)); h.percentile(100.0), round(h.percentile(50.0), 1)
    (10.0, 5.0)
    """

    per_octave, octaves = 256, 80

    def __init__(self) -> None:
        self.counts = torch.zeros(self.per_octave * self.octaves, dtype=torch.int64)
        self.zeros, self.largest = 0, 0.0

    def add(self, values: Tensor) -> None:
        """Count more values; negative ones count as zeros."""
        positive = values[values > 0].double()
        self.zeros += values.numel() - positive.numel()
        if positive.numel():
            self.largest = max(self.largest, positive.max().item())
            bins = (positive.log2() * self.per_octave).floor().long() + len(self.counts) // 2
            self.counts += torch.bincount(bins.clamp(0, len(self.counts) - 1), minlength=len(self.counts)).cpu()

    def percentile(self, percent: float) -> float:
        """The value that ``percent`` % of all values do not exceed, to within a bin; 100 is the largest, exactly."""
        if percent >= 100.0:
            return self.largest
        cumulative = self.counts.cumsum(0) + self.zeros
        target = percent / 100.0 * int(cumulative[-1])
        if target <= self.zeros:
            return 0.0
        edge = int(torch.searchsorted(cumulative, target)) + 1 - len(self.counts) // 2
        return min(float(2.0 ** (edge / self.per_octave)), self.largest)


class Observer(fx.Interpreter):
    """Runs the traced network on values and watches every node.

    Attributes:
        histograms: what the nodes of ``watched`` have produced so far.
    """

    def __init__(self, traced: fx.GraphModule, watched: Iterable[fx.Node]) -> None:
        super().__init__(traced)
        self.extra_traceback = False  # our errors name the line already
        self.histograms = {node: Histogram() for node in watched}
        self._names = call_names(traced.graph)
        self._unchecked = host_nodes(traced.graph) | batchless_nodes(traced.graph)
        self._batch, self._device, self._counts = 0, torch.device("cpu"), True

    def observe(self, values: Tensor, *, counts: bool = True) -> Tensor:
        """Run one batch; return the network's output. Only batches that count change the histograms."""
        self._batch, self._device, self._counts = values.shape[0], values.device, counts
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
        if self._counts and n in self.histograms:
            self.histograms[n].add(result)
        return result

    def threshold(self, node: fx.Node, percentile: float) -> Tensor:
        """A percentile of what a watched node has produced, as a tensor beside the data."""
        return torch.tensor(self.histograms[node].percentile(percentile), device=self._device)

    def _check(self, node: fx.Node, result: Any) -> None:
        assert isinstance(self.module, nn.Module)
        where = f"'{self._names.get(node, node.name)}' at {location(node, self.module)}"
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
