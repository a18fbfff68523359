"""Thresholds that divide [0, 1], and the interval between two of them that a train tells of."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from math import exp
from statistics import NormalDist

import torch
from torch import Tensor

from ..core.encoder import Encoder
from ..core.ranges import Bounds
from ..core.shapes import SpikeTrain, at_least_float32


def uniform(levels: int) -> tuple[float, ...]:
    """Thresholds at equal distances:  1 - (t + 1) / levels.

    >>> uniform(4)
    (0.75, 0.5, 0.25, 0.0)
    """
    return tuple((levels - 1 - t) / levels for t in range(levels))


def equal_mass(levels: int) -> tuple[float, ...]:
    """Thresholds that an equal share of the values lies between:  sigmoid(Phi^-1(1 - (t + 1) / levels)), the last 0.

    The share is equal for values sigmoid(z) with z normal of mean 0 and variance 1, as images are after a LayerNorm
    without affine parameters.

    Source:  closed form of what the published code of arXiv 2408.12407 searches by drawing numbers.

    >>> [round(threshold, 4) for threshold in equal_mass(4)]
    [0.6625, 0.5, 0.3375, 0.0]
    """
    normal = NormalDist()
    quantiles = [normal.inv_cdf((levels - 1 - t) / levels) for t in range(levels - 1)]
    return (*(1.0 / (1.0 + exp(-quantile)) for quantile in quantiles), 0.0)


def given_thresholds(thresholds: Sequence[float] | Tensor, *, owner: str) -> tuple[float, ...]:
    """Thresholds from a setting.

    Raises:
        TypeError: what is no row of numbers.
        ValueError: none at all, some outside [0, 1], or a pair that does not descend.
    """
    try:
        found = torch.as_tensor(thresholds).detach().double()
    except (TypeError, ValueError, RuntimeError):  # neither numbers nor a tensor of them
        found = torch.tensor(torch.nan)
    if found.ndim != 1 or len(found) == 0:
        raise TypeError(
            f"{owner} expects thresholds to be 'uniform', 'equal-mass' or a row of numbers, such as (0.75, 0.5, 0.25); "
            f"got {thresholds!r}."
        )
    row = tuple(found.tolist())
    for t, (earlier, later) in enumerate(pairwise(row)):
        if not later < earlier:
            raise ValueError(
                f"{owner} expects thresholds that descend, so that brighter values spike earlier; got {earlier:g} at "
                f"step {t} and {later:g} at step {t + 1}. Sort them, largest first, without repeats."
            )
    if not (0.0 <= row[-1] and row[0] <= 1.0):
        raise ValueError(
            f"{owner} expects thresholds in [0, 1], to which value_range is mapped; got {row[-1]:g} to {row[0]:g}. "
            f"For thresholds in the values' own units: (threshold - low) / (high - low)."
        )
    return row


class IntervalCode(Encoder):
    """A code that cuts [0, 1] into intervals, and whose train says in which of them a value lies."""

    @abstractmethod
    def unit_interval(self, train: SpikeTrain) -> Bounds:
        """The interval in [0, 1]."""

    def interval(self, train: SpikeTrain, *, bounds: Bounds | None = None) -> Bounds:
        """The values that are sent as this train:  low <= x < high, and high itself at the end of the range.

        Exact for values of the range [0, 1]; for others up to the rounding of their mapping.

        Args:
            train: as long as the code, of zeros and ones.
            bounds: where the values lie, as in :meth:`decode`.

        Shapes:  train [time, batch, *unit] -> low and high [batch, *unit].
        Raises:  ValueError: a train of another length.
        """
        self.decode(train, bounds=bounds)  # refuses what is no train of this code
        train = train.detach().to(at_least_float32(train.dtype))
        bounds = self.kept_bounds(train.dtype) if bounds is None else bounds
        low, high = self.unit_interval(train)
        return Bounds(bounds.low + bounds.span * low, bounds.low + bounds.span * high)
