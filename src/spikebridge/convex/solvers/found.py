"""What every solver ends with."""

from __future__ import annotations

from typing import NamedTuple

from ..losses import Floats


class Found(NamedTuple):
    """Weights and what is known about them.

    Attributes:
        weights: [P, C].
        intercept: [C].
        dual_point: [n, C], any numbers that :func:`~spikebridge.convex.certify` can make feasible.
        rounds: how often all columns were looked at.
        is_finished: whether the gap asked for was reached.
    """

    weights: Floats
    intercept: Floats
    dual_point: Floats
    rounds: int
    is_finished: bool
