"""How the neurons of a network are set."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..core import SURROGATES
from .bounds import require_known


@dataclass(frozen=True, kw_only=True)
class NeuronConfig:
    """Settings of ``model.activation``; null is the neuron's own, and one that it does not have is refused.

    Args:
        decay: what is left of the membrane after a step, of LIF; 1 - 1 / tau.
        decay_input: whether the currents of a LIF are multiplied by 1 - decay.
        learn_decay: whether each layer learns the decay of its LIF, the same at every step (PLIF).
        threshold: where it fires (> 0).
        reset: "subtract" (soft), "zero" (hard) or "never".
        detach_reset: whether the gradient stops at the spike that resets.
        surrogate: the gradient of a spike: "Sigmoid", "ATan", "Triangle", "Rectangular" or "Strict".
    """

    decay: float | None = None
    decay_input: bool | None = None
    learn_decay: bool | None = None
    threshold: float | None = None
    reset: Literal["subtract", "zero", "never"] | None = None
    detach_reset: bool | None = None
    surrogate: str | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 < self.threshold < math.inf:
            raise ValueError(f"model.neuron.threshold expects a number > 0; got {self.threshold}.")
        if self.surrogate is not None:
            require_known("model.neuron.surrogate", self.surrogate, SURROGATES)
