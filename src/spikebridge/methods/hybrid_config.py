"""What the spiking part of a hybrid network is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..core.planes import PLANE_SURROGATES
from ..core.ranges import MEASURED
from ..encoders import ENCODERS
from .bounds import require_known

RANGES = ("unit", *MEASURED)


@dataclass(frozen=True, kw_only=True)
class HybridConfig:
    """The code and the branches of hybrid blocks; ``model.time_steps`` is its T, and so the number of bit planes.

    Args:
        branches: "serial" (spikes alone), "add" or "gated" (beside an analog twin), "ann" (the twin alone), and
            "snn" where the model has it.
        code: how values become spikes.
        value_range: of the values: "unit" is [0, 1], clipped; the others are measured.
        decoder: "code" weighs each step as the code does, "rate" takes the mean.
        order, surrogate, rescale, edge, rounding, weights: of BitPlane; other codes have none of them.
        phase: of BitPlane, in levels.
    """

    branches: Literal["serial", "add", "gated", "ann", "snn"] = "serial"
    code: str = "BitPlane"
    value_range: str = "running"
    decoder: Literal["code", "rate"] = "code"
    order: Literal["lsb", "msb"] = "lsb"
    surrogate: str = "straight_through"
    rescale: Literal["none", "paper", "flat"] = "none"
    edge: Literal["mask", "wrap"] = "mask"
    rounding: Literal["round", "floor"] = "round"
    weights: Literal["value", "reversed", "learned"] = "value"
    phase: float = 0.0

    def __post_init__(self) -> None:
        require_known("model.hybrid.code", self.code, ENCODERS)
        require_known("model.hybrid.value_range", self.value_range, RANGES)
        require_known("model.hybrid.surrogate", self.surrogate, PLANE_SURROGATES)
