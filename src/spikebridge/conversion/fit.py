"""Thresholds without training: which levels stand best for what a site has to send."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..core.gradient import quantise
from .rule import Activation

BINS = 1024
COARSE, WIDER, FINE = 30, (1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0), 12
"""Candidates for a threshold: first over what was seen, and beyond it, then about the best."""
CORRELATED = 40
SHIFTS = torch.linspace(-2.5, 1.0, 15).tolist()
"""Candidates for a threshold and a free bias, the latter in levels."""
TAIL_SHARE, TAIL_LEAST = 0.01, 16.0
"""Which targets are a channel's tail: the largest hundredth, but at least so many."""
ROWS = 8
"""Channels that are fitted at once."""
STRIDE = 4
"""Lloyd's steps are short where levels are fine; this many are taken at once, and the best point is kept."""


@dataclass(frozen=True)
class Seen:
    """What a site saw in calibration, per channel: how its current is distributed, and what it should send for it.

    Attributes:
        centres: [channels, bins] the mean current in each bin.
        counts: [channels, bins] how often it was there.
        targets: [channels, bins] the sum of what should have been sent then.
        power: [channels] the sum of squares of all that should have been sent.
    """

    centres: Tensor
    counts: Tensor
    targets: Tensor
    power: Tensor

    @classmethod
    def of(cls, currents: list[Tensor], targets: list[Tensor], *, negative: bool = False) -> Seen:
        """Count pairs of current and target, each a list of [channels, n]."""
        low = torch.stack([part.amin(1) for part in currents]).amin(0)
        high = torch.stack([part.amax(1) for part in currents]).amax(0)
        if not negative:
            low = torch.maximum(low, -0.5 * high.clamp(min=0))  # what is further below sends nothing, wherever it is
        rows = len(low)
        width = ((high - low).clamp(min=0) / BINS).clamp(min=torch.finfo(low.dtype).tiny)
        sums = torch.zeros(3, rows, BINS, dtype=torch.float64, device=low.device)
        power = torch.zeros(rows, dtype=torch.float64, device=low.device)
        for current, target in zip(currents, targets, strict=True):
            place = ((current - low[:, None]) / width[:, None]).clamp(0, BINS - 1).long()
            for total, part in zip(sums, (torch.ones_like(current), current, target), strict=True):
                total.scatter_add_(1, place, part.double())
            power += target.double().square().sum(1)
        centres = torch.where(sums[0] > 0, sums[1] / sums[0].clamp(min=1), 0.0)
        return cls(centres, sums[0], sums[2], power)

    def in_parts(self) -> Iterator[Seen]:
        """The same, a few channels at a time, so that a search over many candidates stays in the processor's cache."""
        parts = (torch.split(tensor, ROWS) for tensor in (self.centres, self.counts, self.targets, self.power))
        return (Seen(*rows) for rows in zip(*parts, strict=True))

    @cached_property
    def tail(self) -> Tail:
        """What lies beyond the largest target that was seen."""
        sizes = (self.targets / self.counts.clamp(min=1)).abs()
        order = sizes.argsort(1, descending=True)
        sizes, counts = sizes.gather(1, order), self.counts.gather(1, order)
        above = counts.cumsum(1)
        wanted = (TAIL_SHARE * above[:, -1:]).clamp(min=TAIL_LEAST)
        last = torch.searchsorted(above, wanted).clamp(max=counts.shape[1] - 1)
        start = sizes.gather(1, last)
        in_tail = (torch.arange(counts.shape[1], device=counts.device) <= last) & (counts > 0)
        number = (counts * in_tail).sum(1)
        excess = ((sizes - start) * counts * in_tail).sum(1) / number.clamp(min=1)
        return Tail(start[:, 0], excess, number, sizes[:, 0])

    @property
    def reach(self) -> Tensor:
        """[channels] the largest size of a mean target, or of a current where that is larger."""
        mean = (self.targets / self.counts.clamp(min=1)).abs().amax(1)
        used = torch.where(self.targets != 0, self.centres.abs(), 0.0).amax(1)
        return torch.maximum(mean, used)


@dataclass(frozen=True)
class Tail:
    """The largest targets of a channel, as an exponential distribution above a start.

    Few samples say little of what is beyond the largest of them, and a threshold there clips all of it; where levels
    are fine that is the greater error. n targets that exceed the start by s on average leave, beyond a threshold,

        sum of squared excess = 2 s^2 n exp(-(threshold - start) / s)

    Attributes:
        start: [channels] where the tail begins.
        excess: [channels] s.
        number: [channels] n.
        largest: [channels] the largest target; up to it the samples speak for themselves.

    Source:  peaks over a threshold, Pickands 1975, with the exponential as the limit.
    """

    start: Tensor
    excess: Tensor
    number: Tensor
    largest: Tensor

    def clipped(self, thresholds: Tensor) -> Tensor:
        """[channels] the sum of squares that a threshold is expected to clip beyond what was seen."""
        beyond = torch.maximum(thresholds, self.largest) - self.start
        excess = self.excess.clamp(min=1e-30)
        return 2.0 * excess.square() * self.number * torch.exp(-beyond / excess)


@dataclass(frozen=True)
class Fit:
    """Settings of a site's neuron, per channel.

    Attributes:
        thresholds: [channels]; 0 where nothing was ever to be sent.
        bias: [channels] what is to be added to the current.
        error: [channels] sum of squared differences from the targets, seen and to be expected beyond them.
    """

    thresholds: Tensor
    bias: Tensor
    error: Tensor

    @classmethod
    def joined(cls, parts: Iterable[Fit]) -> Fit:
        """Fits of some channels each, one after another."""
        thresholds, bias, error = zip(*((part.thresholds, part.bias, part.error) for part in parts), strict=True)
        return cls(torch.cat(thresholds), torch.cat(bias), torch.cat(error))


def sent(currents: Tensor, level: Tensor, levels: int, *, negative: bool) -> Tensor:
    """What a neuron of ``levels`` levels sends on average for a constant current: the nearest level."""
    return quantise(currents / level + 0.5, low=float(-levels if negative else 0), high=float(levels)) * level


def least_squares(seen: Seen, levels: int, activation: Activation, *, with_bias: bool) -> Fit:
    """The thresholds with the least squared distance between what is sent and what should be:

        min over threshold of  sum (target - sent(current + bias))^2

    by search over a grid and a finer one about its best, what lies beyond the largest sample included as its
    :class:`Tail` tells. With ``with_bias``, each candidate has the bias that makes
    the sum of what is sent that of the targets.

    Source:  the same criterion as for quantised weights and activations; cf. Li et al., arXiv 2106.06984, for SNNs.
    """
    return Fit.joined(_least_squares(part, levels, activation, with_bias) for part in seen.in_parts())


def _least_squares(seen: Seen, levels: int, activation: Activation, with_bias: bool) -> Fit:
    reach = seen.reach.clamp(max=activation.ceiling)
    shares: list[float] | list[Tensor] = [*torch.linspace(0.05, 1.0, COARSE).tolist(), *WIDER]
    best = _best_of(seen, shares, reach, levels, activation, with_bias)
    share = torch.where(reach > 0, best.thresholds / reach.clamp(min=1e-30), 1.0)
    step = 0.95 / (COARSE - 1)
    offsets = torch.linspace(-step, step, FINE, dtype=torch.float64, device=share.device)
    return _better(
        best,
        _best_of(seen, [(share + offset).clamp(min=0.01) for offset in offsets], reach, levels, activation, with_bias),
    )


def by_correlation(seen: Seen, levels: int, activation: Activation) -> Fit:
    """Thresholds and biases whose levels tell most of the targets, at whatever offset and scale:

        max over threshold, bias of  cov(target, sent)^2 / var(sent)

    For sites whose followers are corrected afterwards, so that they take care of offset and scale.
    """
    return Fit.joined(_by_correlation(part, levels, activation) for part in seen.in_parts())


def _by_correlation(seen: Seen, levels: int, activation: Activation) -> Fit:
    total = seen.counts.sum(1).clamp(min=1)
    mean = seen.targets.sum(1) / total
    reach = seen.reach.clamp(max=activation.ceiling)
    best = Fit(reach, torch.zeros_like(reach), torch.full_like(reach, torch.inf))
    for share in torch.linspace(0.1, 1.1, CORRELATED).tolist():
        thresholds = (reach * share).clamp(max=activation.ceiling)
        level = (thresholds / levels)[:, None]
        for shift in SHIFTS:
            out = _sent_in_bins(seen, level, shift * level[:, 0], levels, activation)
            average = (out * seen.counts).sum(1) / total
            covariance = (out * seen.targets).sum(1) / total - mean * average
            variance = (out.square() * seen.counts).sum(1) / total - average.square()
            told = torch.where(covariance > 0, covariance.square() / variance.clamp(min=1e-30), 0.0)
            best = _better(best, Fit(thresholds, shift * level[:, 0], -told))
    return best


def lloyd(seen: Seen, levels: int, activation: Activation, *, with_bias: bool, rounds: int = 100) -> Fit:
    """The fixed point of the best scale for its own cells:  threshold <- threshold * sum(target sent) / sum(sent^2).

    It is where the squared distance no longer falls. The iteration starts far below, where clipping drives it up; from
    above it would stall, since fine levels anywhere are right on average.

    Source:  Lloyd's iteration; the form used for multi-threshold neurons by Huang et al., ICML 2025.
    """
    parts = seen.in_parts()
    return Fit.joined(_lloyd(part, levels, activation, with_bias, rounds) for part in parts)


def _lloyd(seen: Seen, levels: int, activation: Activation, with_bias: bool, rounds: int) -> Fit:
    fit = best = _candidate(seen, 0.1 * seen.reach.clamp(max=activation.ceiling), levels, activation, with_bias)
    for _ in range(rounds):
        level = (fit.thresholds / levels)[:, None]
        out = _sent_in_bins(seen, level, fit.bias, levels, activation)
        scale = (out * seen.targets).sum(1) / (out.square() * seen.counts).sum(1).clamp(min=1e-30)
        moved = fit.thresholds * torch.where(scale > 0, (scale**STRIDE).clamp(0.9, 1.1), 1.0)
        fit = _candidate(seen, moved.clamp(max=activation.ceiling), levels, activation, with_bias)
        best = _better(best, fit)
    return best


def with_thresholds(seen: Seen, thresholds: Tensor, levels: int, activation: Activation, *, with_bias: bool) -> Fit:
    """Thresholds somebody else chose, and the bias that goes with them."""
    return _candidate(seen, thresholds.double(), levels, activation, with_bias)


def _best_of(
    seen: Seen, shares: list[float] | list[Tensor], reach: Tensor, levels: int, activation: Activation, bias: bool
) -> Fit:
    best = _candidate(seen, reach, levels, activation, bias)
    for share in shares:
        best = _better(best, _candidate(seen, (reach * share).clamp(max=activation.ceiling), levels, activation, bias))
    return best


def _better(one: Fit, other: Fit) -> Fit:
    wins = other.error < one.error
    pairs = [(one.thresholds, other.thresholds), (one.bias, other.bias), (one.error, other.error)]
    return Fit(*(torch.where(wins, b, a) for a, b in pairs))


def _candidate(seen: Seen, thresholds: Tensor, levels: int, activation: Activation, with_bias: bool) -> Fit:
    level = (thresholds / levels)[:, None]
    bias = _matching_bias(seen, level, levels, activation) if with_bias else torch.zeros_like(thresholds)
    out = _sent_in_bins(seen, level, bias, levels, activation)
    error = seen.power - 2 * (out * seen.targets).sum(1) + (out.square() * seen.counts).sum(1)
    # A threshold at the ceiling clips nothing: neither does the activation go beyond.
    beyond = torch.where(thresholds < activation.ceiling, seen.tail.clipped(thresholds), 0.0)
    return Fit(thresholds, bias, error + beyond)


def _sent_in_bins(seen: Seen, level: Tensor, bias: Tensor, levels: int, activation: Activation) -> Tensor:
    out = sent(seen.centres + bias[:, None], level.clamp(min=1e-30), levels, negative=activation.negative)
    return torch.where(level > 0, out, 0.0)


def _matching_bias(seen: Seen, level: Tensor, levels: int, activation: Activation) -> Tensor:
    """By bisection, within a level either way: what is sent grows with the bias."""
    low, high = -level[:, 0], level[:, 0]
    wanted = seen.targets.sum(1)
    for _ in range(12):
        middle = (low + high) / 2
        is_over = (_sent_in_bins(seen, level, middle, levels, activation) * seen.counts).sum(1) > wanted
        low, high = torch.where(is_over, low, middle), torch.where(is_over, middle, high)
    return (low + high) / 2
