"""What Lightning trains: a network, an objective and an optimiser; the loop, devices and precision are Lightning's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from ..core.readout import mean_over_time, outputs_over_time
from ..core.shapes import SpikeTrain
from .objective import CrossEntropy, Objective
from .optimiser import parameter_groups, warm_up_cosine

MakeOptimiser = Callable[[list[dict[str, Any]]], torch.optim.Optimizer]

ADAMW: MakeOptimiser = partial(torch.optim.AdamW, lr=1e-3, weight_decay=1e-2)


class Learner(LightningModule):
    """Train any network from values to class scores, artificial or spiking.

    The rate rises over ``warm_up`` epochs and falls along half a cosine to 0 at the end. Parameters of neurons,
    biases and norms do not decay (:func:`parameter_groups`).

    Args:
        model: from values [batch, *unit] to scores [batch, classes]; one with ``train_out`` is trained on the scores
            of every step.
        objective: of the scores of every step and the targets.
        optimiser: makes an optimiser from parameter groups, such as ``partial(torch.optim.SGD, lr=0.1)``.
        warm_up: epochs, or a part of one, before the rate is at its peak.
        augment: changes a batch of values in training.
        mix: changes a batch of values and targets in training, such as :class:`Mixup`.
        compiled: whether ``torch.compile`` makes training steps faster.
        channels_last: whether images and kernels lie in memory with their channels last.

    Logs:  train/loss, validation/loss, validation/accuracy and rate, once per epoch.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        objective: Objective | None = None,
        optimiser: MakeOptimiser = ADAMW,
        warm_up: float = 0.0,
        augment: Callable[[Tensor], Tensor] | None = None,
        mix: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
        compiled: bool = False,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last) if channels_last else model
        self.objective = objective or CrossEntropy()
        self.optimiser, self.warm_up = optimiser, warm_up
        self.augment, self.mix, self.channels_last = augment, mix, channels_last
        self._outputs = torch.compile(outputs_over_time) if compiled else outputs_over_time

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """The objective of one batch."""
        values, targets = batch
        if self.augment is not None:
            values = self.augment(values)
        if self.mix is not None:
            values, targets = self.mix(values, targets)
        outputs: SpikeTrain = self._outputs(self.model, self._placed(values))
        loss = self.objective(outputs, targets)
        self.log(
            "train/loss", loss, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(values), prog_bar=True
        )
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Loss and accuracy of the mean over time."""
        values, targets = batch
        outputs = outputs_over_time(self.model, self._placed(values))
        right = (mean_over_time(outputs).argmax(-1) == targets).float().mean()
        found = {"validation/loss": self.objective(outputs, targets), "validation/accuracy": right}
        self.log_dict(found, sync_dist=True, batch_size=len(values), prog_bar=True)

    def on_train_epoch_start(self) -> None:
        self.log("rate", self.optimizers().param_groups[0]["lr"])  # type: ignore[union-attr]

    def configure_optimizers(self) -> Any:
        optimiser = self.optimiser(parameter_groups(self.model))
        total = int(self.trainer.estimated_stepping_batches)
        epochs = max(1, self.trainer.max_epochs or 1)
        factor = partial(warm_up_cosine, warm_up=round(self.warm_up * total / epochs), total=total)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _placed(self, values: Tensor) -> Tensor:
        is_image = self.channels_last and values.ndim == 4
        return values.contiguous(memory_format=torch.channels_last) if is_image else values
