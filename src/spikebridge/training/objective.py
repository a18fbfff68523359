"""What training makes small: functions of the outputs at every step and of the targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from ..core.shapes import SpikeTrain, at_least_float32


class Objective(Protocol):
    """A loss of a network's outputs over time.

    Targets are classes [batch], or probabilities [batch, classes] as :class:`Mixup` makes them.
    """

    def __call__(self, outputs: SpikeTrain, targets: Tensor) -> Tensor:
        """Outputs [time, batch, classes] and targets to a scalar."""


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """L = CE(1/T sum_t o_t, y):  the network answers once, with its mean over time.

    Args:
        label_smoothing: share of the target that is spread over all classes, in [0, 1).

    Shapes:  outputs [time, batch, classes] -> scalar.

    >>> outputs = torch.tensor([[[4.0, 0.0]], [[-4.0, 0.0]]])  # right, then wrong: on average undecided
    >>> round(CrossEntropy()(outputs, torch.tensor([0])).item(), 4)
    0.6931
    """

    label_smoothing: float = 0.0

    def __call__(self, outputs: SpikeTrain, targets: Tensor) -> Tensor:
        """The cross-entropy of the mean output."""
        return F.cross_entropy(widened(outputs).mean(0), targets, label_smoothing=self.label_smoothing)


@dataclass(frozen=True, kw_only=True)
class PerStepCrossEntropy:
    """L = (1 - a) 1/T sum_t CE(o_t, y) + a 1/T sum_t mean((o_t - b)^2):  every step must answer.

    Args:
        label_smoothing: share of the target that is spread over all classes, in [0, 1).
        regularisation: a, weight of the term that holds outputs near ``level``, in [0, 1].
        level: b, in units of the outputs.

    Shapes:  outputs [time, batch, classes] -> scalar.
    Source:  TET, Deng et al., ICLR 2022, arXiv 2202.11946.
    Deviates:  no regularisation unless asked for.

    >>> outputs = torch.tensor([[[4.0, 0.0]], [[-4.0, 0.0]]])  # the mean hides that the second step is wrong
    >>> round(PerStepCrossEntropy()(outputs, torch.tensor([0])).item(), 4)
    2.0181
    """

    label_smoothing: float = 0.0
    regularisation: float = 0.0
    level: float = 1.0

    def __call__(self, outputs: SpikeTrain, targets: Tensor) -> Tensor:
        """The mean over steps of each step's own cross-entropy."""
        outputs = widened(outputs)
        every_step = targets.repeat(outputs.shape[0], *[1] * (targets.ndim - 1))
        answers = F.cross_entropy(outputs.flatten(0, 1), every_step, label_smoothing=self.label_smoothing)
        held = (outputs - self.level).square().mean()
        return (1 - self.regularisation) * answers + self.regularisation * held


@dataclass(frozen=True, kw_only=True)
class Mixup:
    """x <- s x + (1 - s) x',  y <- s y + (1 - s) y',  with x' another sample of the batch and s ~ Beta(alpha, alpha).

    One s per batch, from torch's generator of the CPU, so a seed repeats it on any device.

    Args:
        alpha: how evenly two samples are mixed (> 0).
        classes: number of classes.

    Shapes:  values [batch, *unit], classes [batch] -> values [batch, *unit], probabilities [batch, classes].
    Source:  Zhang et al., ICLR 2018, arXiv 1710.09412.
    """

    alpha: float
    classes: int

    def __call__(self, values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch with a shuffled copy of itself."""
        share = torch.distributions.Beta(self.alpha, self.alpha).sample().item()
        order = torch.randperm(len(values)).to(values.device)
        one_hot = F.one_hot(targets, self.classes).to(torch.get_default_dtype())
        return torch.lerp(values[order], values, share), torch.lerp(one_hot[order], one_hot, share)


def widened(outputs: SpikeTrain) -> SpikeTrain:
    """Outputs of a half-precision network as float32: a loss is a sum of small differences."""
    return outputs.to(at_least_float32(outputs.dtype))
