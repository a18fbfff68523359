"""The folder of a run: what may go into it, and one process at a time that works in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.files import PARTIAL, locked
from ..core.process import rank
from ..training import LAST
from .config import TrainConfig
from .settings import as_plain, read_config, write_config

CONFIG, RECORD, LOCK = "config.yaml", "record.json", ".lock"

MOVABLE = {"accelerator", "devices", "num_nodes", "strategy", "compile", "output", "data.root", "data.workers"}
"""Settings that say where a run runs; a continued run may change them."""


@contextmanager
def run_folder(config: TrainConfig, *, resume: bool) -> Iterator[None]:
    """Make the run's folder and put the settings into it; never over another run, nor beside one at work.

    Of the processes that share a run, the first does it; all check, so that none waits for one that was refused.

    Raises:
        FileExistsError: another run is there, or at work there.
        FileNotFoundError: there is nothing to resume.
        ValueError: a run is to be continued with settings other than those it was started with.
    """
    check_folder(config, resume=resume)  # before anything is made
    if rank():
        yield
        return
    config.folder.mkdir(parents=True, exist_ok=True)
    with locked(config.folder / LOCK, busy=lambda: _refuse(config.folder)):
        check_folder(config, resume=resume)  # another run may have been here meanwhile
        for left in config.folder.glob(PARTIAL):  # by a run that was killed
            left.unlink(missing_ok=True)
        if not resume:
            write_config(config, config.folder / CONFIG)
        yield


def _refuse(folder: Path) -> None:
    raise FileExistsError(
        f"Another process is training in {folder}. Wait until it has ended, or choose another --name or --output."
    )


def check_folder(config: TrainConfig, *, resume: bool) -> None:
    """Refuse a folder that a run may not start in, or not continue in; nothing is written.

    Raises:  FileExistsError, FileNotFoundError, ValueError: as :func:`run_folder` does.
    """
    if resume:
        _require_same(config)
    elif any((config.folder / left).exists() for left in (LAST, RECORD)):
        raise FileExistsError(
            f"{config.folder} holds a run already. Continue it with --config {config.folder / CONFIG} --resume, or "
            f"choose another --name or --output."
        )


def _require_same(config: TrainConfig) -> None:
    """A run that continues with other settings would not be what its record says."""
    file = config.folder / CONFIG
    if not file.exists():
        raise FileNotFoundError(f"There is nothing to resume: {file} does not exist. Start without resume.")
    now, then = (_flat(as_plain(each)) for each in (config, read_config(file)))
    changed = [
        f"{key} was {then.get(key)} and is {now.get(key)}"
        for key in sorted(now.keys() | then.keys())
        if key not in MOVABLE and now.get(key) != then.get(key)
    ]
    if changed:
        raise ValueError(
            f"{config.folder} was started with other settings: {'; '.join(changed)}. Continue it with --config {file} "
            f"--resume, or start a run of another name."
        )


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= (
            {f"{key}.{inner}": each for inner, each in _flat(value).items()}
            if isinstance(value, dict)
            else {key: value}
        )
    return flat
