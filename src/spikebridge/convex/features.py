"""What a readout may look at: columns made of the train that a unit sends, and of its membrane."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor

from ..core.shapes import SpikeTrain


class Trace(NamedTuple):
    """What units have done with one batch.

    Attributes:
        train: [time, batch, units], spikes of 0 and 1.
        membrane: [batch, units], after the last step's reset; None where there is no membrane to see.
    """

    train: SpikeTrain
    membrane: Tensor | None = None


class Feature(ABC):
    """One number of each unit and sample:  trace -> [batch, units].

    Attributes:
        is_binary: the numbers are 0 and 1.
    """

    is_binary: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, trace: Trace) -> Tensor:
        """[time, batch, units] -> [batch, units]."""


@dataclass(frozen=True)
class Spike(Feature):
    """s_t: whether the unit fires at step t, counted from 0, or from the end if negative.

    >>> import torch
    >>> Spike(-1)(Trace(torch.tensor([[[1.0]], [[0.0]]]))).tolist()
    [[0.0]]
    """

    step: int = -1

    def __call__(self, trace: Trace) -> Tensor:
        _require_step(self.step, trace, owner="Spike")
        return trace.train[self.step]


@dataclass(frozen=True)
class Count(Feature):
    """sum_t s_t: how often the unit fires."""

    is_binary = False

    def __call__(self, trace: Trace) -> Tensor:
        return trace.train.sum(0)


@dataclass(frozen=True)
class CountAtLeast(Feature):
    """[sum_t s_t >= count]: whether the unit fires so often."""

    count: int = 1

    def __call__(self, trace: Trace) -> Tensor:
        return (trace.train.sum(0) >= self.count).to(trace.train.dtype)


@dataclass(frozen=True)
class FirstSpikeBy(Feature):
    """[min {tau: s_tau = 1} <= t]: whether the unit has fired by step t, counted from 0."""

    step: int = 0

    def __call__(self, trace: Trace) -> Tensor:
        if self.step < 0:
            raise ValueError(f"FirstSpikeBy expects a step counted from 0; got {self.step}.")
        _require_step(self.step, trace, owner="FirstSpikeBy")
        return (trace.train[: self.step + 1].sum(0) > 0).to(trace.train.dtype)


@dataclass(frozen=True)
class MembraneAbove(Feature):
    """[v_T - bias >= 0]: the membrane after the last reset, against a level of its own.

    Source:  the "membrane" readout of arXiv 2605.08022.
    """

    bias: float = 0.0

    def __call__(self, trace: Trace) -> Tensor:
        membrane = _membrane(trace, owner="MembraneAbove")
        return (membrane >= self.bias).to(membrane.dtype)


@dataclass(frozen=True)
class Membrane(Feature):
    """v_T: the membrane after the last reset, as it is."""

    is_binary = False

    def __call__(self, trace: Trace) -> Tensor:
        return _membrane(trace, owner="Membrane")


def every_step(time_steps: int) -> tuple[Spike, ...]:
    """The spikes of all steps, each a column of its own.

    >>> every_step(2)
    (Spike(step=0), Spike(step=1))
    """
    return tuple(Spike(step) for step in range(time_steps))


def _require_step(step: int, trace: Trace, *, owner: str) -> None:
    steps = len(trace.train)
    if not -steps <= step < steps:
        raise ValueError(f"{owner} expects a step of a train of {steps}; got {step}.")


def _membrane(trace: Trace, *, owner: str) -> Tensor:
    if trace.membrane is None:
        raise ValueError(
            f"{owner} expects witnesses that end in a neuron with a membrane, as nn.Sequential(..., LIF()) does; "
            f"here there is none to see. Take features of spikes."
        )
    return trace.membrane
