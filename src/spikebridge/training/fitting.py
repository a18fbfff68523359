"""Lightning's Trainer with the library's defaults: seeds per epoch, checkpoints without pickle, synced norms."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.plugins import DoublePrecision
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import nn

from ..core.process import lost_processes_named
from .batches import Batches
from .callbacks import Bar, Checkpoint, EpochMetrics, SeedEachEpoch
from .checkpoint import SafetensorsIO, fitting_weights, read_checkpoint, weights_of
from .learner import Learner
from .logs import METRICS, Events, writers_quiet
from .machines import Machines
from .optimiser import parameter_groups
from .sharded import Sharded, check_sharding
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
        LostProcessError: another process of this run has ended. OSError: the disk is full.
        KeyboardInterrupt: the run was interrupted; what earlier epochs left behind is whole.
    """
    metrics = EpochMetrics(None if folder is None else folder / METRICS)
    kept: list[Callback] = [SeedEachEpoch(batches.seed), metrics, *callbacks]
    if show_progress:
        kept.append(Bar(leave=False))
    if folder is not None:
        kept += _checkpoints(folder, choose=batches.validation is not None)
    last = _checked(folder, learner, choose=batches.validation is not None) if resume else None
    with _quiet(), writers_quiet(), _plain_errors(), lost_processes_named():
        trainer = Trainer(
            **_places(machines or Machines()),
            max_epochs=epochs,
            callbacks=kept,
            logger=False if folder is None else Events(folder),
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


def check_start(learner: Learner, *, machines: Machines, resume_from: Path | None = None) -> None:
    """Refuse what :func:`fit` would refuse: devices that are not there, nothing to train, nothing to resume from.

    Args:
        learner: the network, its objective and its optimiser.
        machines: devices, strategy and precision.
        resume_from: the folder of a run to go on with.

    Raises:  ValueError, OSError: as :func:`fit`.
    """
    parameter_groups(learner.model)
    if resume_from is not None:
        _checked(resume_from, learner, choose=True)
    with _quiet(), writers_quiet(), _plain_errors():
        Trainer(**_places(machines), logger=False, enable_checkpointing=False, enable_progress_bar=False)


def _places(machines: Machines) -> dict[str, Any]:
    plugins: list[Any] = [SafetensorsIO(), SyncEverywhere(machines.device)]
    precision: dict[str, Any] = {"precision": machines.precision}
    if machines.strategy == "fsdp":
        check_sharding(machines)
        if machines.precision == "64-true":
            # By name, Lightning refuses it for every strategy of this kind; ours converts before it shards.
            plugins, precision = [*plugins, DoublePrecision()], {}
    return {
        "accelerator": machines.accelerator,
        "devices": machines.devices,
        "num_nodes": machines.num_nodes,
        "strategy": Sharded() if machines.strategy == "fsdp" else machines.strategy,
        "plugins": plugins,
        "inference_mode": machines.strategy != "fsdp",  # what is gathered in inference mode cannot be trained after
        **precision,
    }


def _checkpoints(folder: Path, *, choose: bool) -> list[Callback]:
    shared: Any = {"dirpath": folder, "save_on_train_epoch_end": True, "enable_version_counter": False}
    best = Checkpoint(
        filename=Path(BEST).stem, monitor="validation/accuracy", mode="max", save_weights_only=True, **shared
    )
    last = Checkpoint(filename=Path(LAST).stem, **shared)
    return [best, last] if choose else [last]


def _checked(folder: Path | None, learner: Learner, *, choose: bool) -> Path:
    if folder is None:
        raise ValueError("fit expects a folder to resume from; got none.")
    last = folder / LAST
    if not last.exists():
        raise FileNotFoundError(f"There is nothing to resume: {last} does not exist. Start without resume.")
    checkpoint = read_checkpoint(last)
    weights_of(checkpoint, learner.model, path=last)
    if choose:
        fitting_weights(learner.model, folder / BEST)  # may stay the best, and is read at the end
    if "optimizer_states" not in checkpoint:
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
            # Nothing here changes in place what a part of a sharded network returns.
            warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
