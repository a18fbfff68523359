"""The share of right answers, at the end and at every step."""

from __future__ import annotations

from torch import Tensor

from ..core.shapes import SpikeTrain


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """The share of samples whose largest logit is the label's, in [0, 1]."""
    return (logits.argmax(-1) == labels).double().mean().item()


def accuracy_over_time(readouts: SpikeTrain, labels: Tensor) -> list[float]:
    """The accuracy had the network stopped after 1, 2, ... T steps."""
    return [accuracy(readout, labels) for readout in readouts]
