"""How the code of a spiking network's input is set."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..encoders import ENCODERS
from .bounds import require_known


@dataclass(frozen=True, kw_only=True)
class CodeConfig:
    """Settings of ``model.encoder``; null is the code's own, and one that the code does not have is refused.

    Args:
        thresholds: of Latency, and of the steps after the first of Hybrid: "uniform"; "equal-mass", equal shares of
            sigmoid(z) with z standard normal, which pixels as they are do not follow; "standardised", which makes such
            values of each image first; or numbers that descend.
        last_frame: of Latency: "strict", "reference" or "silent".
        rest: of Hybrid: the code of the steps after the first; null is Latency.
        counts: of Recorded: "kept", "scaled", "clipped" or "binary".
        largest: of Recorded: the count that "scaled" makes 1 and that "clipped" ends at (> 0).
    """

    thresholds: Literal["uniform", "equal-mass", "standardised"] | tuple[float, ...] | None = None
    last_frame: Literal["strict", "reference", "silent"] | None = None
    rest: str | None = None
    counts: Literal["kept", "scaled", "clipped", "binary"] | None = None
    largest: float | None = None

    def __post_init__(self) -> None:
        if self.rest is not None:
            require_known("model.code.rest", self.rest, ENCODERS)
        if self.largest is not None and not 0 < self.largest < math.inf:
            raise ValueError(f"model.code.largest expects a number > 0; got {self.largest}.")


OWNERS = {
    "thresholds": ("Latency", "Hybrid"),
    "last_frame": ("Latency",),
    "rest": ("Hybrid",),
    "counts": ("Recorded",),
    "largest": ("Recorded",),
}
"""Setting -> the codes that have it."""
