"""Training a network of neurons and a linear readout as a whole, by surrogate gradients."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core.readout import outputs_over_time
from ..core.shapes import SpikeTrain
from ..training import BEST, Batches, Learner, Machines, fit, load_weights
from .reconstruct_config import SurrogateConfig
from .tasks import Task


def train_surrogate(network: nn.Module, task: Task, config: SurrogateConfig, *, seed: int) -> nn.Module:
    """Train a network on a task; the weights of the epoch that answered best on validation data are put into it.

    Args:
        network: from values [batch, time, units] to scores of all heads, in a row.
        task: what is learned.
        config: how.
        seed: of the order of batches.
    """
    rows = len(task.split.train)
    learner = QuestionLearner(
        network,
        objective=Questions(task.heads),
        optimiser=partial(torch.optim.AdamW, lr=config.rate, weight_decay=0.0),
    )
    data = Batches(task.split.train, task.split.validation, batch_size=min(config.batch_size, rows), seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Machines(accelerator="cpu", devices=1)
        fit(learner, data, epochs=config.epochs, folder=Path(folder), machines=place, show_progress=False)
        return load_weights(network, Path(folder) / BEST)


@dataclass(frozen=True)
class Questions:
    """The sum over questions of the mean cross-entropy of their answers, over steps where every step is asked.

    Args:
        heads: the number of classes of every question; scores stand in a row in this order.

    Shapes:  outputs [steps, batch, sum of heads], targets [batch], or [batch, steps, questions] -> scalar.
    """

    heads: tuple[int, ...]

    def __call__(self, outputs: SpikeTrain, targets: Tensor) -> Tensor:
        """The objective of one batch."""
        wanted = in_steps(targets)
        parts = torch.split(outputs.flatten(0, 1), list(self.heads), dim=1)
        losses = [F.cross_entropy(part, wanted[..., place].flatten()) for place, part in enumerate(parts)]
        return torch.stack(losses).sum()

    def right(self, outputs: SpikeTrain, targets: Tensor) -> Tensor:
        """Which steps of which samples have all answers right: [steps, batch], boolean."""
        answers = torch.stack([part.argmax(-1) for part in torch.split(outputs, list(self.heads), dim=-1)], dim=-1)
        return (answers == in_steps(targets)).all(-1)


def in_steps(targets: Tensor) -> Tensor:
    """Targets as [steps, batch, questions]; a class alone is one question at one step."""
    return targets.reshape(1, -1, 1) if targets.ndim == 1 else targets.transpose(0, 1)


class QuestionLearner(Learner):
    """A learner whose validation accuracy is the share of steps with all questions answered right."""

    objective: Questions

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Loss and accuracy."""
        values, targets = batch
        outputs = outputs_over_time(self.model, values)
        right = self.objective.right(outputs, targets).double().mean()
        found: dict[str, Any] = {"validation/loss": self.objective(outputs, targets), "validation/accuracy": right}
        self.log_dict(found, batch_size=len(values))
