"""Which columns that nobody has stored would lower the objective most, for a given dual point."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .columns import Dictionary
from .losses import Floats
from .penalties import Penalty


class Priced(NamedTuple):
    """Columns that a pricer offers.

    Attributes:
        columns: [n, k] of 0 and 1.
        names: k names, from which the caller can make each column again.
        largest: no column that the pricer stands for has a larger size of d^T u; infinite if it has not seen them all.
    """

    columns: Floats
    names: list[Any]
    largest: float


class Pricer(Protocol):
    """Finds columns with a large size of d^T u; those above lambda lower the objective when they join."""

    def price(self, dual: Floats, penalty: Penalty, *, above: float, most: int) -> Priced:
        """At most so many columns, sizes above a number only, largest first:  dual [n, C]."""
        ...


class ThresholdPricer:
    """All columns 1{membrane >= threshold}, over all units and all thresholds, exactly and without storing them.

    Along the sorted membranes of a unit, d^T u is a running sum of u: O(n log n) for its n thresholds, where a
    dictionary would have n columns for it. Equal membranes fall on one side together. Names are (unit, threshold); the
    threshold is a membrane that occurs.

    Args:
        membranes: [n, units].

    >>> from spikebridge.convex import L1
    >>> pricer = ThresholdPricer(np.array([[0.3], [0.1], [0.2]]))
    >>> pricer.price(np.array([[1.0], [-2.0], [0.5]]), L1(), above=0.0, most=1).names
    [(0, 0.2)]
    """

    def __init__(self, membranes: NDArray[Any]) -> None:
        array = np.asarray(membranes, dtype=np.float64)
        if array.ndim != 2 or not np.isfinite(array).all():
            raise ValueError(f"ThresholdPricer expects finite membranes [samples, units]; got shape {array.shape}.")
        self.membranes = array

    def price(self, dual: Floats, penalty: Penalty, *, above: float, most: int) -> Priced:
        if len(dual) != len(self.membranes):
            raise ValueError(
                f"ThresholdPricer expects a dual point of its {len(self.membranes)} samples; got {len(dual)}. Pass the "
                f"membranes of the same samples as the targets."
            )
        best = [self._best(dual, penalty, unit) for unit in range(self.membranes.shape[1])]
        sizes = np.array([size for size, _ in best])
        chosen = _largest_above(sizes, above, most)
        names = [(int(unit), best[unit][1]) for unit in chosen]
        columns = np.stack([self.membranes[:, unit] >= at for unit, at in names], axis=1) if names else dual[:, :0]
        return Priced(columns.astype(np.float64), names, float(sizes.max(initial=0.0)))

    def _best(self, dual: Floats, penalty: Penalty, unit: int) -> tuple[float, float]:
        """The largest size over the unit's thresholds, and where."""
        order = np.argsort(-self.membranes[:, unit], kind="stable")
        values = self.membranes[order, unit]
        sizes = penalty.sizes(np.cumsum(dual[order], axis=0)).max(axis=1)
        sizes[:-1][values[:-1] == values[1:]] = 0.0
        place = int(np.argmax(sizes))
        return float(sizes[place]), float(values[place])


class PoolPricer:
    """All columns of a dictionary, such as a streamed one that is made anew at every look. Names are column indices.

    Args:
        pool: over the same rows, known to hold zeros and ones only.
    """

    def __init__(self, pool: Dictionary) -> None:
        if not pool.is_binary:
            raise ValueError(f"PoolPricer expects a pool of zeros and ones; got {pool!r}.")
        self.pool = pool

    def price(self, dual: Floats, penalty: Penalty, *, above: float, most: int) -> Priced:
        sizes = penalty.sizes(self.pool.rmatvec(dual)).max(axis=1)
        chosen = _largest_above(sizes, above, most)
        return Priced(self.pool.take(chosen), [int(column) for column in chosen], float(sizes.max(initial=0.0)))


def _largest_above(sizes: Floats, above: float, most: int) -> NDArray[np.intp]:
    order = np.argsort(-sizes, kind="stable")[:most]
    return np.asarray(order[sizes[order] > above])
