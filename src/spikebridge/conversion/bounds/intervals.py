"""What is known of a tensor in both networks at once: intervals that hold for every input in a box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

VALUE, MEAN, STEP, REACH, ERROR = range(5)
"""The rows of :class:`Bounds`: the network's value; the spiking network's mean over T steps; what it sends in any
single step; its mean if every neuron could send whatever it is able to; and mean less value."""

ROWS = 7
"""The five, and two more that show what a call adds, or how large its sums become."""

ROUNDING = 8
"""Operations a sum of n terms is granted beyond its n when intervals are widened."""

Interval = tuple[Tensor, Tensor]
Apply = Callable[[Callable[["Bounds"], Tensor]], Any]
"""A call of the network, given how to turn its arguments into tensors [7 * k, *unit]."""


@dataclass(frozen=True)
class Bounds:
    """Intervals of one tensor, for every input in a box.

    Attributes:
        low: [5, k, *unit] lower ends of the rows; k tensors belong to one sample.
        high: [5, k, *unit] upper ends.
        constant: every step is the same as every other.
        exact: both networks compute it by the same calls on the same numbers, so the error is zero to the bit.
    """

    low: Tensor
    high: Tensor
    constant: bool
    exact: bool

    @staticmethod
    def identical(low: Tensor, high: Tensor) -> Bounds:
        """[k, *unit] of values that both networks have to the bit, in every step."""
        zero = torch.zeros_like(low)
        return Bounds(torch.stack([low, low, low, low, zero]), torch.stack([high, high, high, high, zero]), True, True)

    def row(self, row: int) -> Interval:
        """[k, *unit] the ends of one row."""
        return self.low[row], self.high[row]

    @property
    def magnitudes(self) -> Tensor:
        """[2, k, *unit] the largest number, by size, that the network, and that the spiking network can hold here."""
        return self.low[[VALUE, STEP]].abs().maximum(self.high[[VALUE, STEP]].abs())

    @property
    def centres(self) -> Tensor:
        """[7 * k, *unit] the middle of every row, and two rows of zeros."""
        middle = (self.low + self.high) / 2
        return torch.cat([middle, torch.zeros_like(middle[:2])]).flatten(0, 1)

    @property
    def radii(self) -> Tensor:
        """[7 * k, *unit] half the width of every row, and both magnitudes."""
        return torch.cat([(self.high - self.low) / 2, self.magnitudes]).flatten(0, 1)

    def settled(self) -> Bounds:
        """The same, every row cut to what the others leave possible."""
        if self.exact:
            return Bounds.identical(*self.row(VALUE))
        low, high = list(self.low.unbind()), list(self.high.unbind())
        for _ in range(2):  # what the error tells of the mean may tell more of the error
            low[MEAN] = torch.stack([low[MEAN], low[STEP], low[VALUE] + low[ERROR]]).amax(0)
            high[MEAN] = torch.stack([high[MEAN], high[STEP], high[VALUE] + high[ERROR]]).amin(0)
            low[ERROR] = low[ERROR].maximum(low[MEAN] - high[VALUE])
            high[ERROR] = high[ERROR].minimum(high[MEAN] - low[VALUE])
        if self.constant:
            low[STEP], high[STEP] = low[MEAN], high[MEAN]
        return Bounds(torch.stack(low), torch.stack(high), self.constant, False)

    def widened(self, margin: Tensor) -> Bounds:
        """The same, its ends moved apart by what each network rounds, [2, k, *unit]; the error's by both."""
        margins = torch.stack([margin[0], margin[1], margin[1], margin[1], margin.sum(0)])
        return Bounds(self.low - margins, self.high + margins, self.constant, self.exact)

    def shifted(self, offset: Tensor, *, unit: float) -> Bounds:
        """The same after the spiking network alone has added ``offset`` [k, *unit] in every step."""
        moved = torch.stack([torch.zeros_like(offset), offset, offset, offset, offset])
        bounds = Bounds(self.low + moved, self.high + moved, self.constant, exact=False)
        return bounds.widened(sent_only(unit * bounds.magnitudes))


def sent_only(margin: Tensor) -> Tensor:
    """The margin [2, k, *unit] where the network itself does not round."""
    return torch.stack([torch.zeros_like(margin[0]), margin[1]])


def by_row(rows: Tensor, count: int) -> Tensor:
    """[count * k, *unit] -> [count, k, *unit]."""
    return rows.reshape(count, rows.shape[0] // count, *rows.shape[1:])


def affine(apply: Apply, apply_absolute: Apply, parts: list[Bounds], *, terms: int, unit: float) -> Any:
    """Intervals of  f(x) = W x + b  by centre and radius:  f(centre) +- |W| radius.  The error passes without b.

    Widened by (terms + 8) * unit * (|W| |x| + |b|), which bounds what sums of so many products lose to rounding.

    Args:
        apply: the call.
        apply_absolute: the call with |W| in place of W, and without b.
        parts: the arguments that have bounds.
        terms: the most products in one sum; 0 where numbers are only moved.
        unit: spacing of floating-point numbers at 1.
    """
    constant, exact = all(part.constant for part in parts), all(part.exact for part in parts)
    centres, radii = apply(lambda part: part.centres), apply_absolute(lambda part: part.radii)
    if isinstance(centres, Tensor):
        return _around(centres, radii, terms, unit, constant=constant, exact=exact)
    pairs = zip(centres, radii, strict=True)
    return tuple(_around(c, r, terms, unit, constant=constant, exact=exact) for c, r in pairs)


def _around(centres: Tensor, radii: Tensor, terms: int, unit: float, *, constant: bool, exact: bool) -> Bounds:
    centres, radii = (by_row(rows, ROWS) for rows in (centres, radii))
    offset, magnitudes = centres[ERROR + 1], radii[ERROR + 1 :]
    middle = torch.cat([centres[:ERROR], centres[ERROR : ERROR + 1] - offset])
    bounds = Bounds(middle - radii[: ERROR + 1], middle + radii[: ERROR + 1], constant, exact)
    margin = (terms + ROUNDING) * unit * (magnitudes + offset.abs()) if terms else torch.zeros_like(magnitudes)
    return bounds.widened(margin).settled()


def maximum(function: Callable[[Tensor], Tensor], part: Bounds, *, over_means: bool, unit: float) -> Bounds:
    """Intervals of a maximum over windows, of running means or of every step by itself.

    A maximum never falls, so it passes through ends of values and means. Of running means, the total after t steps is
    max_i S_i(t), and  min_i x_i(t) <= max_i S_i(t) - max_i S_i(t - 1) <= max_i x_i(t)  bounds a single step. The error
    of a maximum lies between the least and the greatest error in its window. Of steps, the mean of maxima lies between
    the maximum of means and the greatest step.
    """
    by_step = not over_means and not part.constant
    least = torch.ones(ERROR + 1, dtype=part.low.dtype, device=part.low.device)
    least[STEP], least[ERROR] = 1.0 if part.constant or by_step else -1.0, -1.0
    signs = least.reshape(-1, *[1] * (part.low.ndim - 1))
    low = by_row(function((signs * part.low).flatten(0, 1)), ERROR + 1)
    high = by_row(function(part.high.flatten(0, 1)), ERROR + 1).clone()
    low = low * least.reshape(-1, *[1] * (low.ndim - 1))
    if by_step:
        high[MEAN], high[ERROR] = high[STEP], high[STEP] - low[VALUE]
    bounds = Bounds(low, high, part.constant, part.exact)
    return bounds.widened(sent_only((0.0 if part.constant else unit) * bounds.magnitudes)).settled()
