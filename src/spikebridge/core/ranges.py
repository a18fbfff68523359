"""Where the values of a code lie: a range that is given, or one that is measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor, nn

from .shapes import Value

Measured: TypeAlias = Literal["running", "sample", "channel", "batch", "reference"]
MEASURED: tuple[Measured, ...] = get_args(Measured)
OWN_AXES = {"sample": 1, "channel": 2}
"""How many leading axes have a range of their own."""


class Bounds(NamedTuple):
    """The ends of a range, low < high, broadcast over values."""

    low: Tensor | float
    high: Tensor | float

    @property
    def span(self) -> Tensor | float:
        """The distance high - low."""
        return self.high - self.low


UNIT = Bounds(0.0, 1.0)


class MeasuredRange(nn.Module):
    """The smallest and the largest of some values: of those at hand, or of those seen in training.

    - ``running``: a moving average over training batches, as BatchNorm keeps its mean; frozen in eval mode, and
      [0, 1] while no batch has been seen. The only one that lets a value lie outside; it is clipped then.
    - ``sample``: of each sample; ``channel``: of each channel of each sample.
    - ``batch``: of the whole tensor, so that a sample's code depends on its batch-mates, in eval mode as well.
    - ``reference``: as ``batch``, but [0, 1] for a tensor that lies there already, and a constant that does not is
      the upper end.

    Equal values have a range that starts with them. Gradient: all but ``running`` pass it to the values that are the
    ends, shared evenly by those that tie.

    Args:
        of: which of them.
        momentum: share of the newest batch in the moving average, in (0, 1].

    Raises:  ValueError: an unknown name; a momentum outside (0, 1]; samples or channels of one value each.

    >>> measured = MeasuredRange("running", momentum=0.5)
    >>> for batch in (torch.tensor([0.0, 4.0]), torch.tensor([-2.0, 8.0])):
    ...     bounds = measured(batch)
    >>> bounds.low.item(), bounds.high.item()
    (-1.0, 6.0)
    """

    low: Tensor
    high: Tensor
    batches: Tensor

    def __init__(self, of: Measured, *, momentum: float = 0.1) -> None:
        super().__init__()
        if of not in MEASURED:
            raise ValueError(f"MeasuredRange expects one of {', '.join(MEASURED)}; got {of!r}.")
        if not 0 < momentum <= 1:
            raise ValueError(f"MeasuredRange expects momentum in (0, 1]; got {momentum}. Pass 0.1, as BatchNorm has.")
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
            return self.kept(values.dtype)
        own = OWN_AXES.get(self.of, 0)
        if own and math.prod(values.shape[own:]) < 2:
            shape, other = ("*unit", "") if own == 1 else ("channel, *unit", " or 'sample'")
            raise ValueError(
                f"value_range='{self.of}' expects a {self.of} to have several values, [batch, {shape}]; got shape "
                f"{tuple(values.shape)}, one value each, which is a range by itself. Pass 'running'{other}."
            )
        axes = tuple(range(own, values.ndim))
        low, high = values.amin(axes, keepdim=True), values.amax(axes, keepdim=True)
        return _as_published(values, low, high) if self.of == "reference" else _apart(low, high)

    def kept(self, dtype: torch.dtype) -> Bounds:
        """The bounds that ``running`` has come to, as a copy: the next batch moves the originals."""
        return _apart(self.low.to(dtype, copy=True), self.high.to(dtype, copy=True))

    @torch.no_grad()
    def _take_in(self, values: Value) -> None:
        share = torch.where(self.batches == 0, 1.0, self.momentum).to(self.low)
        self.low.lerp_(values.amin().to(self.low), share)
        self.high.lerp_(values.amax().to(self.high), share)
        self.batches.add_(1)

    def extra_repr(self) -> str:
        return f"{self.of}, momentum={self.momentum}" if self.of == "running" else self.of


ValueRange: TypeAlias = "tuple[float, float] | Measured | MeasuredRange"


def checked_range(value_range: ValueRange, *, owner: str) -> tuple[float, float] | MeasuredRange:
    """A range from a setting.

    Raises:  ValueError: neither (low, high), finite and low < high, nor a measured one or its name.
    """
    if isinstance(value_range, MeasuredRange):
        return value_range
    if isinstance(value_range, str) and value_range in MEASURED:
        return MeasuredRange(value_range)
    is_word = isinstance(value_range, str) or not isinstance(value_range, Sequence)
    ends: tuple[float, ...] = () if is_word else tuple(value_range)  # type: ignore[arg-type]
    if len(ends) != 2 or not -math.inf < ends[0] < ends[1] < math.inf:
        between = "" if value_range is None else " and low < high"
        raise ValueError(
            f"{owner} expects value_range = (low, high), finite{between}; got {value_range!r}. Or pass one that is "
            f"measured: {', '.join(MEASURED)}."
        )
    return float(ends[0]), float(ends[1])


def _apart(low: Tensor, high: Tensor) -> Bounds:
    """Ends that can be divided by their distance, and by its square in the gradient; equal ones are moved apart."""
    least = math.sqrt(torch.finfo(low.dtype).tiny)
    return Bounds(low, torch.where(high - low > least, high, (low + 1.0 + low.abs() / 8.0).detach()))


def _as_published(values: Value, low: Tensor, high: Tensor) -> Bounds:
    is_unit, is_constant = (low >= 0) & (high <= 1), low == high
    # A constant is sent as ones and has no gradient: each value is the upper end of a range of its own. The size of
    # that range is a power of 2 above the value's, so that both ends are exact.
    size = torch.ldexp(torch.ones_like(high), torch.frexp(high.detach())[1].clamp(min=0))
    ends = _apart(torch.where(is_constant, values - size, low), torch.where(is_constant, values, high))
    return Bounds(torch.where(is_unit, 0.0, ends.low), torch.where(is_unit, 1.0, ends.high))
