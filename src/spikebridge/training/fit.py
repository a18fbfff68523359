"""Lightning's Trainer with the library's defaults: seeds per epoch, checkpoints without pickle, synced norms."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import nn

from .batches import Batches
from .callbacks import Bar, Checkpoint, EpochMetrics, SeedEachEpoch
from .checkpoint import SafetensorsIO, fitting_weights, read_checkpoint
from .learner import Learner
from .machines import Machines
from .synced import SyncEverywhere

LAST, BEST = "last.safetensors", "best.safetensors"


@dataclass(frozen=True)
class Fitted:
    """A trained network, in eval mode, and how it got there.

    Attributes:
        network: the network that was passed in, holding the weights of the last epoch.
        epochs: per epoch, metric -> value.
        seconds: that training took, earlier parts of a resumed run included.
        is_main: whether this process is the one that reports, of all that trained.
    """

    network: nn.Module
    epochs: list[dict[str, float]]
    seconds: float
    is_main: bool


def fit(
    learner: Learner,
    batches: Batches,
    *,
    epochs: int,
    folder: Path | None = None,
    resume: bool = False,
    machines: Machines | None = None,
    callbacks: tuple[Callback, ...] = (),
    show_progress: bool = True,
) -> Fitted:
    """Train ``learner`` with Lightning.

    Args:
        learner: the network, its objective and its optimiser.
        batches: what it learns from.
        epochs: passes over the training set.
        folder: where checkpoints and logs go; None keeps none.
        resume: continue from ``folder``'s last checkpoint; the result equals that of an uninterrupted run, on the
            CPU to the bit.
        machines: devices, strategy and precision.
        callbacks: more Lightning callbacks.
        show_progress: whether to draw a progress bar.

    Raises:
        FileNotFoundError: there is nothing to resume. ValueError: the checkpoint is damaged or of another network.
        KeyboardInterrupt: the run was interrupted; what earlier epochs left behind is whole.
    """
    metrics = EpochMetrics()
    kept: list[Callback] = [SeedEachEpoch(batches.seed), metrics, *callbacks]
    if show_progress:
        kept.append(Bar(leave=False))
    if folder is not None:
        kept += _checkpoints(folder, choose=batches.validation is not None)
    last = _checked(folder, learner) if resume else None
    with _quiet(), _plain_errors():
        trainer = Trainer(
            **_places(machines or Machines()),
            max_epochs=epochs,
            callbacks=kept,
            logger=[TensorBoardLogger(folder, "tensorboard"), CSVLogger(folder, "csv")] if folder else False,
            enable_checkpointing=folder is not None,
            enable_progress_bar=show_progress,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,  # Batches shares each batch out by itself
            log_every_n_steps=1,
        )
        trainer.fit(learner, batches, ckpt_path=last, weights_only=True)
    learner.model.eval()
    return Fitted(learner.model, metrics.epochs, metrics.seconds, trainer.is_global_zero)


def _places(machines: Machines) -> dict[str, Any]:
    on_cpu = machines.accelerator == "cpu" or (machines.accelerator == "auto" and not torch.accelerator.is_available())
    if machines.strategy == "fsdp":
        raise ValueError(
            "strategy 'fsdp' is not supported yet: Lightning flattens parameters before they are grouped and stores "
            "pickles. Use 'ddp'; what fills the memory of a spiking network is activations, which FSDP does not shard."
        )
    # PyTorch's own synced norm runs on accelerators only.
    plugins: list[Any] = [SafetensorsIO()]
    if on_cpu:
        plugins.append(SyncEverywhere())
    return {
        "accelerator": machines.accelerator,
        "devices": machines.devices,
        "num_nodes": machines.num_nodes,
        "strategy": machines.strategy,
        "precision": machines.precision,
        "plugins": plugins,
        "sync_batchnorm": not on_cpu,
    }


def _checkpoints(folder: Path, *, choose: bool) -> list[Callback]:
    shared: Any = {"dirpath": folder, "save_on_train_epoch_end": True, "enable_version_counter": False}
    best = Checkpoint(
        filename=Path(BEST).stem, monitor="validation/accuracy", mode="max", save_weights_only=True, **shared
    )
    last = Checkpoint(filename=Path(LAST).stem, **shared)
    return [best, last] if choose else [last]


def _checked(folder: Path | None, learner: Learner) -> Path:
    if folder is None:
        raise ValueError("fit expects a folder to resume from; got none.")
    last = folder / LAST
    if not last.exists():
        raise FileNotFoundError(f"There is nothing to resume: {last} does not exist. Start without resume.")
    fitting_weights(learner.model, last)
    if "optimizer_states" not in read_checkpoint(last):
        raise ValueError(f"{last} holds weights alone, as best.safetensors does; training cannot go on from it.")
    return last


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Lightning's own errors as Python's: a wrong setting is a ValueError, Ctrl-C a KeyboardInterrupt."""
    try:
        yield
    except MisconfigurationException as error:
        raise ValueError(str(error)) from error
    except SystemExit as stopped:
        if isinstance(stopped, SIGTERMException) or isinstance(stopped.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from stopped
        raise


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice is for people who wrote the loaders and the loop; errors and the bar stay."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            warnings.filterwarnings("ignore", module=r"torch\.optim\.lr_scheduler", message=".*lr_scheduler.step.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
