"""Numbers on a grid so coarse that float64 adds them without rounding, in any order.

A sum of multiples of q is exact in float64 as long as no partial sum reaches 2^53 q. So products of a 0/1 matrix with
such numbers are exact too, and the same on every machine and for every split of the rows.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EXACT_BITS = 51
"""One bit less than a sum could use, and one for what is added to make sums zero."""


def quantum_for(numbers: Floats, *, bits: int = EXACT_BITS) -> float:
    """The finest power of two on whose multiples sums of these numbers are exact.

    >>> quantum_for(np.array([0.5, 0.25])) == 2.0**-51
    True
    """
    total = float(np.abs(numbers).sum())
    if not math.isfinite(total):
        raise ValueError(f"quantum_for expects finite numbers; their sum is {total}.")
    return 2.0 ** (math.frexp(max(total, 2.0**-900))[1] - bits)


def cut(numbers: Floats, quantum: float) -> Floats:
    """Multiples of quantum, towards 0."""
    return np.asarray(np.trunc(numbers / quantum) * quantum)


def rounded(numbers: Floats, quantum: float) -> Floats:
    """Multiples of quantum, the nearest."""
    return np.asarray(np.rint(numbers / quantum) * quantum)


def lowered(numbers: Floats, amount: float) -> Floats:
    """Numbers >= 0 on a grid, less amount (on it too, at most their sum) in all, from the largest on, none below 0.

    >>> lowered(np.array([1.0, 3.0, 2.0]), 4.0).tolist()
    [1.0, 0.0, 1.0]
    """
    order = np.argsort(-numbers, kind="stable")
    before = np.cumsum(numbers[order]) - numbers[order]
    result: Floats = numbers.copy()
    result[order] -= np.clip(amount - before, 0.0, numbers[order])
    return result
