"""Train a network, convert it if it is an ANN, measure everything on the test set, and leave a record."""

from __future__ import annotations

import time
from functools import partial

from lightning.pytorch import Callback
from rich.console import Console
from torch import nn

from ..core.process import rank
from ..data import Split
from ..measure import RunRecord
from ..training import BEST, Batches, EpochLines, Fitted, compiler_problem, fit
from .build import build_learner, machines_of, network_for, split_for
from .config import TrainConfig
from .folder import RECORD, run_folder
from .settings import as_plain
from .summary import show
from .testing import evaluate


def run(
    config: TrainConfig,
    *,
    resume: bool = False,
    callbacks: tuple[Callback, ...] = (),
    console: Console | None = None,
) -> RunRecord:
    """Train as ``config`` says; the run's folder gets checkpoints, logs, ``config.yaml`` and ``record.json``.

    Args:
        config: what to do.
        resume: continue the run of this name from its last whole epoch.
        callbacks: Lightning callbacks, beside the library's own.
        console: where to speak.

    Raises:
        FileExistsError: the folder holds a run already and ``resume`` is off, or another process trains in it.
        ValueError, OSError: settings that do not fit each other, a damaged checkpoint, a full disk; among several
            processes LostProcessError, where another one has ended.
    """
    console = console or Console()
    split = split_for(config)
    network, classes = network_for(config, split)
    with run_folder(config, resume=resume):
        fitted = _train(config, network, split, classes, resume=resume, callbacks=callbacks, console=console)
        if not fitted.is_main:
            return RunRecord(name=config.name, method="train", seed=config.seed, config=as_plain(config))
        record = _measured(config, split, fitted)
        record.save(config.folder / RECORD)
    show(record, console=console)
    console.print(f"wrote {config.folder / RECORD}", highlight=False, markup=False, soft_wrap=True)
    return record


def _measured(config: TrainConfig, split: Split, fitted: Fitted) -> RunRecord:
    began = time.perf_counter()
    network, _ = network_for(config, split)
    networks = evaluate(config, network, split, checkpoint=config.folder / BEST)
    return RunRecord(
        name=config.name,
        method="train",
        seed=config.seed,
        config=as_plain(config),
        networks=networks,
        epochs=fitted.epochs,
        results={"parameters": sum(parameter.numel() for parameter in network.parameters())},
        timings_s={"train": fitted.seconds, "evaluate": time.perf_counter() - began},
    )


def _train(
    config: TrainConfig,
    network: nn.Module,
    split: Split,
    classes: int,
    *,
    resume: bool,
    callbacks: tuple[Callback, ...],
    console: Console,
) -> Fitted:
    problem = compiler_problem(config.accelerator) if config.compile else None
    if problem and not rank():
        console.print(f"Training without torch.compile, which is slower: {problem}", markup=False, soft_wrap=True)
    return fit(
        build_learner(config, network, classes=classes, compiled=config.compile and problem is None),
        Batches(
            split.train,
            split.validation,
            batch_size=config.data.batch_size,
            seed=config.seed,
            workers=config.data.workers,
        ),
        epochs=config.epochs,
        folder=config.folder,
        resume=resume,
        machines=machines_of(config),
        callbacks=callbacks
        if console.is_terminal
        else (*callbacks, EpochLines(partial(console.print, markup=False, soft_wrap=True))),
        show_progress=console.is_terminal,
    )
