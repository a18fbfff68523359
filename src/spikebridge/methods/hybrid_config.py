"""What the spiking part of a hybrid network is made of."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, Literal

from ..core.planes import PLANE_SURROGATES
from ..core.ranges import MEASURED
from ..encoders import ENCODERS
from .bounds import require_known

RANGES = ("unit", *MEASURED)
OF_CODE = ("order", "surrogate", "rescale", "edge", "rounding", "weights", "phase")


@dataclass(frozen=True, kw_only=True)
class HybridConfig:
    """The code and the branches of hybrid blocks; ``model.time_steps`` is its T, and so the number of bit planes.

    Args:
        branches: "serial" (spikes alone), "add" or "gated" (beside an analog twin), "ann" (the twin alone), and
            "snn" where the model has it.
        code: how values become spikes.
        value_range: of the values: "unit" is [0, 1], clipped; the others are measured.
        decoder: "code" weighs each step as the code does, "rate" takes the mean.
        order, surrogate, rescale, edge, rounding, weights: of BitPlane; null is its own.
        phase: of BitPlane, in levels.

    Raises:  ValueError: an unknown code, range or surrogate, or a setting that the code does not have.
    """

    branches: Literal["serial", "add", "gated", "ann", "snn"] = "serial"
    code: str = "BitPlane"
    value_range: str = "running"
    decoder: Literal["code", "rate"] = "code"
    order: Literal["lsb", "msb"] | None = None
    surrogate: str | None = None
    rescale: Literal["none", "paper", "flat"] | None = None
    edge: Literal["mask", "wrap"] | None = None
    rounding: Literal["round", "floor"] | None = None
    weights: Literal["value", "reversed", "learned"] | None = None
    phase: float | None = None

    def __post_init__(self) -> None:
        require_known("model.hybrid.code", self.code, ENCODERS)
        require_known("model.hybrid.value_range", self.value_range, RANGES)
        if self.surrogate is not None:
            require_known("model.hybrid.surrogate", self.surrogate, PLANE_SURROGATES)
        known = inspect.signature(ENCODERS[self.code]).parameters
        foreign = [name for name in self.of_code if name not in known]
        if foreign:
            raise ValueError(
                f"{', '.join(f'model.hybrid.{name}' for name in foreign)}: of BitPlane; model.hybrid.code is "
                f"{self.code}, which has no such setting. Leave it out, or pass null."
            )

    @property
    def of_code(self) -> dict[str, Any]:
        """What is set of the code's own settings."""
        return {name: value for name in OF_CODE if (value := getattr(self, name)) is not None}
