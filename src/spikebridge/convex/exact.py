"""Products whose bits do not depend on the order of summing: threads, machines and libraries agree."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .columns import Dictionary, Floats
from .grid import quantum_for, rounded


class ExactProducts(NamedTuple):
    """Products with rounded numbers, and how far the rounding can have moved them.

    Attributes:
        products: D^T v', exact, of v' = v rounded to multiples of ``quantum``: [P] or [P, outputs].
        slack: [P], at least |D^T v - D^T v'|.
        quantum: 2^-s.
    """

    products: Floats
    slack: Floats
    quantum: float


def exact_rmatvec(dictionary: Dictionary, values: NDArray[Any], *, quantum: float | None = None) -> ExactProducts:
    """D^T v in fixed point: the same bits for any number of threads or processes, and any order of the rows.

    v' = 2^-s round(2^s v),  |d_j^T v - d_j^T v'| <= |d_j|_0 2^-(s+1) <= n 2^-(s+1).

    All partial sums are whole multiples of 2^-s below 2^53 of them, and float64 adds such without rounding. Shards of
    the rows add up to the whole if they use one ``quantum``: that of the whole.

    Args:
        dictionary: of zeros and ones.
        values: [n] or [n, outputs].
        quantum: 2^-s; None is the finest that is exact for these values.

    Raises:  ValueError: entries other than 0 and 1; a quantum that is no power of two, or too fine to be exact.
    """
    if not dictionary.is_binary:
        raise ValueError(f"exact_rmatvec expects a dictionary of zeros and ones; got {dictionary!r}.")
    array = np.asarray(values, dtype=np.float64)
    finest = max(quantum_for(column) for column in array.reshape(len(array), -1).T)
    step = finest if quantum is None else quantum
    if np.frexp(step)[0] != 0.5 or step < finest:
        raise ValueError(f"exact_rmatvec expects a power of two of at least {finest:g} as quantum; got {step:g}.")
    products = dictionary.rmatvec(rounded(array, step))
    return ExactProducts(products, dictionary.column_sums() * (step / 2.0), step)
