"""What differs from step to step in a spiking network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class AdaptiveConfig:
    """The switches of adaptive coding, each by itself; as they stand, nothing differs between steps.

    A switch that is on changes no output before training: what is learned starts at what the network has.

    Args:
        leak: "fixed" is the neuron's own; "layer" learns one for each step, "channel" one for each step and channel.
        gain: of the currents, likewise.
        readout: "fixed"; "step" learns a factor of the scores for each step, "class" one for each step and class.
        stem: whether step 0, which is analog in a Hybrid code, goes through the first layers that all steps share
            ("shared"), or through an "own" copy of them.
    """

    leak: Literal["fixed", "layer", "channel"] = "fixed"
    gain: Literal["fixed", "layer", "channel"] = "fixed"
    readout: Literal["fixed", "step", "class"] = "fixed"
    stem: Literal["shared", "own"] = "shared"

    @property
    def is_on(self) -> bool:
        """Whether any switch is."""
        return self != AdaptiveConfig()
