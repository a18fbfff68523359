"""What happens between epochs: seeds, and the metrics that the record keeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar

from .batches import seed_of
from .logs import write_table


class SeedEachEpoch(Callback):
    """Seed every generator anew before each epoch, from the seed, the epoch and the process.

    An epoch is then a function of the weights, the optimiser and its own number: a run that continues from the end
    of any epoch draws what an uninterrupted one would have drawn.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        seed_everything(seed_of(self.seed, trainer.current_epoch, trainer.global_rank), workers=False, verbose=False)


class EpochMetrics(Callback):
    """Keep every epoch's metrics and time, through interruptions, for the record.

    Args:
        table: a CSV file that holds the metrics after every epoch, those before an interruption included.

    Attributes:
        epochs: per epoch, metric -> value.
        seconds: time of all epochs, validation included.
    """

    def __init__(self, table: Path | None = None) -> None:
        self.table = table
        self.epochs: list[dict[str, float]] = []
        self.seconds = 0.0
        self._began = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seconds += time.perf_counter() - self._began
        found = {name: value.item() for name, value in trainer.callback_metrics.items()}
        self.epochs.append({"epoch": trainer.current_epoch + 1, **dict(sorted(found.items()))})
        if self.table is not None and trainer.is_global_zero:
            write_table(self.epochs, self.table)

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.epochs, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epochs, self.seconds = state_dict["epochs"], state_dict["seconds"]


class EpochLines(Callback):
    """One line of figures after every epoch, for a log file or wherever else there is no bar.

    Args:
        say: what the line is given to.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            figures = "  ".join(f"{name} {value:.4f}" for name, value in sorted(trainer.callback_metrics.items()))
            self.say(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {figures}")


class Checkpoint(ModelCheckpoint):
    """Lightning's checkpoints under our file name ending."""

    FILE_EXTENSION = ".safetensors"

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The best so far counts wherever the run's folder lies now."""

        def here(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name) if path else path

        paths = {key: here(state_dict[key]) for key in ("best_model_path", "kth_best_model_path", "last_model_path")}
        best = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "dirpath": self.dirpath, "best_k_models": best})


class Bar(RichProgressBar):
    """Lightning's bar with epochs counted from 1 and the figures in a few characters."""

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        found = trainer.progress_bar_metrics
        short = {"loss": found.get("train/loss"), "validation": found.get("validation/accuracy")}
        return {name: f"{value:.4f}" for name, value in short.items() if value is not None}

    def _get_train_description(self, current_epoch: int) -> str:
        return f"epoch {current_epoch + 1}/{self.trainer.max_epochs}"
