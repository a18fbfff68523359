"""The value as the time of a single spike."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from ..core.gradient import Rectangular, substitute
from ..core.ranges import Bounds, ValueRange
from ..core.shapes import SpikeTrain, Value
from .thresholds import IntervalCode, equal_mass, given_thresholds, uniform

Thresholds = Literal["uniform", "equal-mass", "standardised"] | Sequence[float] | Tensor


class Latency(IntervalCode):
    """Spike once, the earlier the larger the value.

    s_t = 1 when the value first reaches theta_t;   w_t = theta_t, the least value that spikes then.

    A value that reaches none is decoded as 0. With uniform thresholds, 1 - (t + 1) / T, every value spikes, a dark one
    at the last step, whose weight is 0. A threshold is rounded as the values are, so every byte k / 255 spikes at the
    step that whole numbers say:  the first with k T >= 255 (T - 1 - t).

    A "standardised" code sends where a value lies among the others of its sample. That is what is decoded; of the value
    itself it tells nothing, so ``value_error`` is the whole range. In a ``Hybrid`` the analog frame stays as it is.

    Gradient: a rectangle around each threshold, from half way to the next one below to half way to the one above. They
    tile the range; of uniform thresholds all are 1 / T wide, and decoding has gradient 1 on [1 / 2T, 1 - 1 / 2T] and 0
    beyond.

    Args:
        time_steps: T, number of steps (>= 1); None is 8, or as many as there are thresholds.
        thresholds: theta_t in [0, 1]: "uniform"; "equal-mass", the same share of values at each step if they are
            sigmoid(z) with z standard normal; "standardised", the same for values x of any mean and spread, of which
            :func:`standardised` makes such; or T numbers that descend, such as quantiles of the training data.
        levels: number of levels that named thresholds tell apart: T (None), or T + 1, where what lies below the last
            of T thresholds is silent.
        last_frame: at the last step, if its threshold is 0, spikes "strict"ly what has not spiked before; everything,
            as in the published code ("reference"); or nothing ("silent"), whatever the threshold.
        value_range: (low, high) mapped to [0, 1], or how it is measured.
        outside: "error" or "clip", for values outside a given range.

    Shapes:  values [batch, *unit] -> train [time, batch, *unit], binary, at most one spike per value but for
        "reference".
    Raises:
        TypeError: thresholds that are no numbers.
        ValueError: thresholds that do not descend, lie outside [0, 1] or are not T; an unknown name; levels other than
            T and T + 1; values that are NaN, infinite or outside ``value_range``; samples of one value, "standardised".
    Source:  He, arXiv 2408.12407, "time" code, as the published code has it; its equal-mass thresholds.
    Deviates:  fires once, unless ``last_frame="reference"``; ties are exact; the reference passes no gradient to the
        values and finds equal-mass thresholds by drawing numbers.

    >>> Latency(time_steps=4).encode(torch.tensor([0.8])).flatten().tolist()
    [1.0, 0.0, 0.0, 0.0]
    >>> code = Latency(thresholds=(0.9, 0.5, 0.1))
    >>> low, high = code.interval(code.encode(torch.tensor([0.8])))
    >>> round(low.item(), 3), round(high.item(), 3)
    (0.5, 0.9)
    """

    def __init__(
        self,
        *,
        time_steps: int | None = None,
        thresholds: Thresholds = "uniform",
        levels: int | None = None,
        last_frame: Literal["strict", "reference", "silent"] = "strict",
        value_range: ValueRange = (0.0, 1.0),
        outside: Literal["error", "clip"] = "error",
    ) -> None:
        given = None if isinstance(thresholds, str) else given_thresholds(thresholds, owner="Latency")
        if time_steps is None:
            time_steps = 8 if given is None else len(given)
        super().__init__(time_steps=time_steps, value_range=value_range, outside=outside)
        if last_frame not in ("strict", "reference", "silent"):
            raise ValueError(f"Latency expects last_frame to be 'strict', 'reference' or 'silent'; got {last_frame!r}.")
        self.last_frame = last_frame
        self.named = thresholds if isinstance(thresholds, str) else "given"
        self.thresholds = _named(self.named, time_steps, levels) if given is None else _row(given, time_steps, levels)

    def emit(self, values: Value) -> SpikeTrain:
        values = standardised(values) if self.named == "standardised" else values
        # Where each rectangle ends; the last is as wide to both sides of its threshold if that is 0.
        halves = [(upper + lower) / 2 for upper, lower in pairwise((1.0, *self.thresholds))]
        halves.append(-halves[-1] if self.thresholds[-1] == 0.0 else self.thresholds[-1] / 2)
        by_now = [
            _reached(values, threshold, start=low, end=high)
            for threshold, (high, low) in zip(self.thresholds, pairwise(halves), strict=True)
        ]
        frames = [by_now[0], *(later - earlier for earlier, later in pairwise(by_now))]
        if self.last_frame == "silent":
            frames[-1] = torch.zeros_like(values)
        elif self.last_frame == "reference" and self.thresholds[-1] == 0.0:
            frames[-1] = torch.ones_like(values)
        return torch.stack(frames)

    @property
    def step_weights(self) -> Tensor:
        return torch.tensor(self.thresholds)

    @property
    def unit_error(self) -> float:
        return 1.0 if self.named == "standardised" else max(upper - lower for upper, lower in pairwise(self._edges))

    def unit_interval(self, train: SpikeTrain) -> Bounds:
        if self.named == "standardised":
            return Bounds(torch.zeros_like(train[0]), torch.ones_like(train[0]))
        edges, spikes = train.new_tensor(self._edges), train > 0
        # argmax finds the first of the largest; what never spikes lies between the last two edges.
        first = spikes.to(torch.uint8).argmax(0)
        first = torch.where(spikes.any(0), first, self.time_steps).clamp(max=len(self._edges) - 2)
        return Bounds(edges[first + 1], edges[first])

    @property
    def _edges(self) -> tuple[float, ...]:
        """The ends of the intervals that the code tells apart, from 1 down to 0."""
        reached = self.thresholds[:-1] if self.last_frame == "silent" else self.thresholds
        return (1.0, *reached) if reached and reached[-1] == 0.0 else (1.0, *reached, 0.0)

    def extra_repr(self) -> str:
        row = self.named if self.named != "given" else ", ".join(f"{threshold:.4g}" for threshold in self.thresholds)
        return f"{super().extra_repr()}, thresholds={row}, last_frame={self.last_frame}"


def _reached(values: Value, threshold: float, *, start: float, end: float) -> Tensor:
    """1 where the values have reached a threshold, with a gradient of 1 / (end - start) between start and end."""
    slope = 1.0 / (end - start)
    return substitute(
        values,
        lambda values: (values >= threshold).to(values.dtype),
        lambda values: slope * Rectangular().derivative((values - (start + end) / 2) * slope),
    )


def standardised(values: Value) -> Value:
    """Where each value lies among those of its sample:  sigmoid((x - mean) / sqrt(var + 1e-5)).

    mean and var are of all values of a sample. Where these are normal, the result has equal shares between the
    thresholds of :func:`equal_mass`.

    Shapes:  values [batch, *unit] -> the same, in (0, 1).
    Raises:  ValueError: samples of one value, whose only value is its mean.
    Source:  "fenge" of the code released with He, arXiv 2408.12407, whose forward never calls it.
    Deviates:  no affine parameters, which no gradient would reach there.

    >>> standardised(torch.tensor([[0.1, 0.2, 0.3]]))[0, 1].item()
    0.5
    """
    if values[0].numel() < 2:
        raise ValueError(
            f"Latency(thresholds='standardised') expects samples of several values, such as images; got shape "
            f"{tuple(values.shape)}. Pass thresholds='equal-mass'."
        )
    return torch.sigmoid(layer_norm(values, values.shape[1:]))


def _named(name: str, time_steps: int, levels: int | None) -> tuple[float, ...]:
    kinds = {"uniform": uniform, "equal-mass": equal_mass, "standardised": equal_mass}
    if name not in kinds:
        known = ", ".join(map(repr, kinds))
        raise ValueError(f"Latency expects thresholds to be one of {known}, or T numbers; got {name!r}.")
    if levels not in (None, time_steps, time_steps + 1):
        raise ValueError(
            f"Latency tells apart as many levels as it has steps, or one more with silence; got {levels} levels and "
            f"time_steps = {time_steps}. Pass levels={time_steps} or levels={time_steps + 1}."
        )
    return kinds[name](levels or time_steps)[:time_steps]


def _row(thresholds: tuple[float, ...], time_steps: int, levels: int | None) -> tuple[float, ...]:
    if levels is not None:
        raise ValueError(
            f"Latency expects levels for named thresholds only; got {levels} beside {len(thresholds)} given ones. "
            f"Leave levels out."
        )
    if len(thresholds) != time_steps:
        raise ValueError(
            f"Latency expects a threshold for each of time_steps = {time_steps}; got {len(thresholds)}. Pass "
            f"{time_steps} thresholds, or time_steps={len(thresholds)}. Within a Hybrid these are the steps of its "
            f"rest, as a rule one less than its own."
        )
    return thresholds
