"""How far the mean output of a Group Neuron can be from the activation it replaces."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .intervals import ERROR, MEAN, REACH, STEP, VALUE, Bounds, Interval, sent_only

_TIE = 1e-9
"""Levels: whole numbers computed in double precision are taken for whole within this."""


@dataclass(frozen=True)
class Clip:
    """An activation:  clip(z, low, high),  up to ``half`` more or less where it is rounded to levels itself."""

    low: float
    high: Tensor | float
    half: Tensor | float = 0.0

    @property
    def is_rounded(self) -> bool:
        """Whether it has levels of its own."""
        return not isinstance(self.half, float)

    def least(self, values: Tensor) -> Tensor:
        """The least it can be."""
        return self._clip(values - self.half)

    def most(self, values: Tensor) -> Tensor:
        """The most it can be."""
        return self._clip(values + self.half)

    def _clip(self, values: Tensor) -> Tensor:
        return values.clamp(min=self.low).minimum(torch.as_tensor(self.high, dtype=values.dtype, device=values.device))


@dataclass(frozen=True)
class Staircase:
    """What a Group Neuron sends on average over T steps, given the mean X of its currents and bounds of each.

    Let u = threshold / m be a level, x(t) in [a, b], S(t) = (x(1) + ... + x(t)) / u and R(t) = floor(S(t) + 1/2). The
    count is

        N(t) = clip(R(t), lowest, N(t - 1) + m),    N(0) = 0,

    where lowest is N(t - 1) (plain), max(0, N(t - 1) - m) (signed) or N(t - 1) - m (negative). The mean is u N(T) / T.

    Above. Let t be the last step with N(t) <= R(t). After it the count is held up by ``lowest``: it stays (plain) or
    falls by m a step, to 0 or further (signed, negative). So with f = 0 or f = threshold, N(T) is 0 (or -T m), or

        u N(T) <= u N(t) - (T - t) f,    N(t) <= min(m t, R(t)),    R(t) <= min(t b / u, S(T) - (T - t) a / u) + 1/2.

    Below. Let t be the last step with N(t) >= R(t). After it the count rises by m a step. So N(T) = T m, or

        u N(T) >= u N(t) + (T - t) m u,    N(t) >= max(0 or -m t, R(t)),
        R(t) > max(t a / u, S(T) - (T - t) b / u) - 1/2.

    Both bounds are, for every t, of the form min(A, X + B) and max(C, X - D): they rise with X, and N(T) is whole, so
    they may be rounded to whole counts. In particular the mean is within u / (2 T) of clip(X, 0, threshold), plus
    (T - 1) / T times

        max(0, -a) above (max(0, -a - threshold) if signed),    max(0, b - threshold) below.

    A constant current, as at T = 1, leaves u / (2 T) alone:  N(T) = clip(floor(T x / u + 1/2), 0, T m).  An IF at rest
    1/2 whose spikes carry its threshold is the neuron with m = 1.

    Args:
        level: u, broadcasting over one sample.
        members: m.
        time_steps: T.
        signed: spikes may be taken back.
        negative: counts below zero exist.
        current: bounds of what arrives.
        unit: spacing of floating-point numbers at 1; the membrane's rounding moves S by less than ``slack``.
    """

    level: Tensor
    members: int
    time_steps: int
    signed: bool
    negative: bool
    current: Bounds
    unit: float

    @property
    def threshold(self) -> Tensor:
        """Where all members fire."""
        return self.level * self.members

    @property
    def bottom(self) -> Tensor:
        """The least mean there is."""
        return -self.threshold if self.negative else torch.zeros_like(self.level)

    @property
    def slack(self) -> Tensor:
        """Levels by which rounding can move the membrane."""
        steps = self.time_steps
        highest = steps * (self.current.magnitudes[1] / self.level + self.members) + 2
        return 4 * self.unit * steps * highest

    def ceilings(self) -> list[Interval]:
        """(A, B) of every t."""
        steps, half = self.time_steps, self.level * (0.5 + self.slack)
        low, high = self.current.row(STEP)
        if self.current.constant:
            return [(self.threshold, half / steps)]
        fall = self.threshold if self.signed or self.negative else torch.zeros_like(self.level)
        pieces = []
        for t in range(1, steps + 1):
            reached = (self.threshold * t).minimum(high * t + half)
            pieces.append(((reached - (steps - t) * fall) / steps, (half - (steps - t) * (low + fall)) / steps))
        return pieces

    def floors(self) -> list[Interval]:
        """(C, D) of every t."""
        steps, half = self.time_steps, self.level * (0.5 + self.slack)
        low, high = self.current.row(STEP)
        if self.current.constant:
            return [(self.bottom, half / steps)]
        pieces = []
        for t in range(1, steps + 1):
            reached = (self.bottom * t).maximum(low * t - half)
            after = steps - t
            pieces.append(
                ((reached + after * self.threshold) / steps, (half + after * (high - self.threshold)) / steps)
            )
        return pieces

    def mean(self) -> Interval:
        """Between which whole counts, as means, the output lies."""
        low, high = self.current.row(MEAN)
        most = torch.stack([(high + b).minimum(a) for a, b in self.ceilings()]).amax(0).maximum(self.bottom)
        least = torch.stack([(low - d).maximum(c) for c, d in self.floors()]).amin(0).minimum(self.threshold)
        count = self.time_steps / self.level
        return torch.ceil(least * count - _TIE) / count, torch.floor(most * count + _TIE) / count

    def step(self) -> Interval:
        """Between which levels the output of one step lies: a membrane is in [0, 1) unless a limit was met."""
        low, high = (end / self.level for end in self.current.row(STEP))
        lowest = float(-self.members if self.signed or self.negative else 0)
        most = torch.floor(1 + high + self.slack)
        if not self.negative:
            most = most.minimum(torch.floor(self.time_steps * high + 0.5 + self.slack)).clamp(min=0.0)
        most = most.clamp(min=lowest, max=float(self.members))
        return torch.floor(low - self.slack).clamp(min=lowest, max=float(self.members)) * self.level, most * self.level

    def error(self, activation: Clip, values: Interval, errors: Interval) -> Interval:
        """Between which numbers  y - activation(z)  lies for z in ``values`` and X - z in ``errors``.

        As a function of z,  min(A, z + e + B) - activation(z)  rises, then does not, then rises: its maximum is where
        the activation leaves ``low``, or at the right end. The minimum below is at the left end, or where it reaches
        ``high``.
        """
        (low, high), (under, over) = values, errors
        least, most = self.mean()
        kink = _within(low, high, activation.low + activation.half)
        above = self.bottom - activation.least(low)
        for a, b in self.ceilings():
            for z in (kink, high):
                above = above.maximum((z + over + b).minimum(a.minimum(most)) - activation.least(z))
        kink = _within(low, high, activation.high - activation.half)
        below = self.threshold - activation.most(high)
        for c, d in self.floors():
            for z in (low, kink):
                below = below.minimum((z + under - d).maximum(c.maximum(least)) - activation.most(z))
        return below, above


def neuron_bounds(
    stairs: Staircase, activation: Clip, source: Bounds, *, is_identical: bool
) -> tuple[Bounds, Interval]:
    """Bounds after a neuron that replaces an activation, and of what the neuron itself adds to the error.

    Args:
        stairs: the neuron; its current is the source's with what calibration adds.
        activation: what it replaces.
        source: what arrives at the activation.
        is_identical: they are the same function of the same numbers, computed alike.
    """
    low, high = (activation.least(source.low[VALUE]), activation.most(source.high[VALUE]))
    if is_identical:
        least, most = stairs.mean()
        return Bounds.identical(low.maximum(least), high.minimum(most)), (torch.zeros_like(low), torch.zeros_like(low))
    current = stairs.current
    rows: list[Interval] = [(low, high)] * (ERROR + 1)
    rows[REACH] = stairs.bottom, stairs.threshold
    rows[MEAN], rows[STEP] = stairs.mean(), stairs.step()
    rows[ERROR] = stairs.error(activation, source.row(VALUE), current.row(ERROR))
    local = stairs.error(activation, current.row(MEAN), (torch.zeros_like(low), torch.zeros_like(low)))
    bounds = Bounds(
        torch.stack([torch.broadcast_to(row[0], low.shape) for row in rows]),
        torch.stack([torch.broadcast_to(row[1], low.shape) for row in rows]),
        stairs.time_steps == 1,
        exact=False,
    )
    margin = (stairs.time_steps + 4) * stairs.unit * bounds.magnitudes
    return bounds.widened(margin if activation.is_rounded else sent_only(margin)), local


def _within(low: Tensor, high: Tensor, place: Tensor | float) -> Tensor:
    return low.maximum(torch.as_tensor(place, dtype=low.dtype, device=low.device)).minimum(high)
