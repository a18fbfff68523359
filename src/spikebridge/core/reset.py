"""What a spike does to the membrane that fired it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

Reset: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(membrane, spikes, threshold) -> membrane after the reset."""


def by_subtraction(membrane: Tensor, spikes: Tensor, threshold: Tensor) -> Tensor:
    """Soft reset:  v <- v - threshold * s.  What exceeded the threshold is kept, so no charge is lost."""
    return membrane - threshold * spikes


def to_zero(membrane: Tensor, spikes: Tensor, threshold: Tensor) -> Tensor:
    """Hard reset:  v <- v * (1 - s).  What exceeded the threshold is forgotten."""
    return membrane * (1.0 - spikes)


def never(membrane: Tensor, spikes: Tensor, threshold: Tensor) -> Tensor:
    """No reset:  v <- v.  Membranes are linear in the currents, so all steps can be computed at once.

    Source:  Fang et al., arXiv 2304.12760, where neurons without reset are run in parallel over time.
    """
    return membrane


RESETS: dict[str, Reset] = {"subtract": by_subtraction, "zero": to_zero, "never": never}
"""By the names that configurations know them by."""


@dataclass(frozen=True)
class _Detached:
    reset: Reset

    def __call__(self, membrane: Tensor, spikes: Tensor, threshold: Tensor) -> Tensor:
        return self.reset(membrane, spikes.detach(), threshold)


def detached(reset: Reset) -> Reset:
    """The same reset with no gradient through the spike that caused it.

    Training papers differ on this silently; here it is visible where the neuron is built:
    ``LIF(reset=detached(by_subtraction))``.
    """
    return _Detached(reset)
