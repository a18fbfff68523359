"""The distribution of values, in one pass and bounded memory."""

from __future__ import annotations

import torch
from torch import Tensor

_SCALES = {True: (256, 80), False: (64, 40)}
"""Bins to an octave, and octaves about 1: for one row, and for many."""


class Histogram:
    """Distributions of non-negative values, one per row, in one pass and bounded memory.

    Bins are equal on a logarithmic scale, with zeros apart: a percentile is known to 0.3 % for one row, to 1.1 % for
    many, whether or not an outlier a thousand times larger came along, and the result depends on the values alone, not
    on the order or the size of the batches they came in.

    >>> h = Histogram(rows=1); h.add(torch.linspace(0, 10, 1001)[None])
    >>> h.percentile(100.0).item(), round(h.percentile(50.0).item(), 1)
    (10.0, 5.0)
    """

    def __init__(self, rows: int) -> None:
        self.per_octave, octaves = _SCALES[rows == 1]
        self.counts = torch.zeros(rows, self.per_octave * octaves, dtype=torch.int64)
        self.zeros = torch.zeros(rows, dtype=torch.int64)
        self.largest = torch.zeros(rows, dtype=torch.float64)

    def add(self, values: Tensor) -> None:
        """Count more values [rows, n]; negative ones count as zeros."""
        rows, bins = self.counts.shape
        positive = values > 0
        self.zeros += (~positive).sum(1).cpu()
        if values.numel():
            self.largest = torch.maximum(self.largest, values.clamp(min=0).amax(1).double().cpu())
        row = torch.arange(rows, device=values.device)[:, None].expand_as(values)[positive]
        place = (values[positive].double().log2() * self.per_octave).floor().long() + bins // 2
        found = torch.bincount(row * bins + place.clamp(0, bins - 1), minlength=rows * bins)
        self.counts += found.reshape(rows, bins).cpu()

    def percentile(self, percent: float) -> Tensor:
        """The value that ``percent`` % of a row's values do not exceed, to within a bin; 100 is the largest, exactly.

        Shapes:  [rows].
        """
        if percent >= 100.0:
            return self.largest.clone()
        cumulative = self.counts.cumsum(1) + self.zeros[:, None]
        target = percent / 100.0 * cumulative[:, -1:].double()
        edge = torch.searchsorted(cumulative.double(), target)[:, 0] + 1 - self.counts.shape[1] // 2
        found = torch.minimum(torch.exp2(edge.double() / self.per_octave), self.largest)
        return torch.where(target[:, 0] <= self.zeros, 0.0, found)
