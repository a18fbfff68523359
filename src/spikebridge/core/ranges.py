"""Where the values of a code lie: a range that is given, or one that is measured."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor, nn

from .shapes import Value

Measured: TypeAlias = Literal["running", "sample", "channel", "batch", "reference"]
ValueRange: TypeAlias = "tuple[float, float] | Measured"


class Bounds(NamedTuple):
    """The ends of a range, broadcast over values."""

    low: Tensor | float
    high: Tensor | float

    @property
    def span(self) -> Tensor | float:
        """The distance high - low, or 1 where they are equal, so that it can be divided by."""
        span = self.high - self.low
        return torch.where(span > 0, span, 1.0) if isinstance(span, Tensor) else span


UNIT = Bounds(0.0, 1.0)


class MeasuredRange(nn.Module):
    """The smallest and the largest of some values: of those at hand, or of those seen in training.

    - ``running``: a moving average over training batches, as BatchNorm keeps its mean; frozen in eval mode, and
      [0, 1] while no batch has been seen. The only one that lets a value lie outside; it is clipped then.
    - ``sample``: of each sample; ``channel``: of each channel of each sample.
    - ``batch``: of the whole tensor, so that a sample's code depends on its batch-mates, in eval mode as well.
    - ``reference``: as ``batch``, but [0, 1] for a tensor that lies there already, and the upper end for a constant.

    Gradient: all but ``running`` pass it to the values that are the ends.

    Args:
        of: which of them.
        momentum: share of the newest batch in the moving average, in (0, 1].

    Raises:  ValueError: an unknown name; values without positions, for ``channel``.
    """

    low: Tensor
    high: Tensor
    batches: Tensor

    def __init__(self, of: Measured, *, momentum: float = 0.1) -> None:
        super().__init__()
        if not 0 < momentum <= 1:
            raise ValueError(f"MeasuredRange expects momentum in (0, 1]; got {momentum}.")
        self.of, self.momentum = of, momentum
        if of == "running":
            self.register_buffer("low", torch.tensor(0.0))
            self.register_buffer("high", torch.tensor(1.0))
            self.register_buffer("batches", torch.tensor(0))

    def forward(self, values: Value) -> Bounds:
        """The bounds for these values; in training mode, ``running`` takes them in first."""
        if self.of == "running" and self.training:
            self._take_in(values)
        return self.look(values)

    def look(self, values: Value) -> Bounds:
        """The bounds for these values, with nothing learned from them."""
        if self.of == "running":
            return Bounds(self.low.to(values.dtype, copy=True), self.high.to(values.dtype, copy=True))
        if self.of == "sample":
            return _ends(values, tuple(range(1, values.ndim)))
        if self.of == "channel":
            if values.ndim < 3:
                raise ValueError(
                    f"value_range='channel' expects values [batch, channel, *positions]; got shape "
                    f"{tuple(values.shape)}, whose channels have one value each. Pass 'sample' or 'running'."
                )
            return _ends(values, tuple(range(2, values.ndim)))
        bounds = _ends(values, tuple(range(values.ndim)))
        return bounds if self.of == "batch" else _as_published(bounds)

    @torch.no_grad()
    def _take_in(self, values: Value) -> None:
        share = torch.where(self.batches == 0, 1.0, self.momentum)
        self.low.lerp_(values.amin().to(self.low), share)
        self.high.lerp_(values.amax().to(self.high), share)
        self.batches.add_(1)

    def extra_repr(self) -> str:
        return self.of


def _ends(values: Value, axes: tuple[int, ...]) -> Bounds:
    if not axes:
        return Bounds(values, values)
    return Bounds(values.amin(axes, keepdim=True), values.amax(axes, keepdim=True))


def _as_published(bounds: Bounds) -> Bounds:
    low, high = torch.as_tensor(bounds.low), torch.as_tensor(bounds.high)
    is_unit = (low >= 0) & (high <= 1)
    # A constant is sent as ones: it lies a whole span above this lower end.
    low, high = torch.where(is_unit, 0.0, torch.where(low == high, low - 1.0, low)), torch.where(is_unit, 1.0, high)
    return Bounds(low, high)


def checked_range(value_range: ValueRange, *, owner: str) -> tuple[float, float] | MeasuredRange:
    """A range from a setting.

    Raises:  ValueError: neither (low, high), finite and low < high, nor the name of a measured one.
    """
    if isinstance(value_range, str):
        if value_range not in get_args(Measured):
            raise ValueError(
                f"{owner} expects value_range = (low, high), or one of {', '.join(get_args(Measured))}; got "
                f"{value_range!r}."
            )
        return MeasuredRange(value_range)
    if value_range is None or not -math.inf < value_range[0] < value_range[1] < math.inf:
        between = "" if value_range is None else " and low < high"
        raise ValueError(f"{owner} expects value_range = (low, high), finite{between}; got {value_range}.")
    return value_range
