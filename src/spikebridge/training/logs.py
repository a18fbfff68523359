"""The metrics of a run as files: a table that any program reads, and events for TensorBoard."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from ..core.files import about_writing, write_whole

METRICS, EVENTS = "metrics.csv", "tensorboard"


def write_table(rows: Sequence[Mapping[str, float]], path: Path) -> None:
    """Write a row per epoch; columns are the metrics in the order of their first appearance.

    Raises:  OSError: the disk is full or the folder closed.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())


class Events(TensorBoardLogger):
    """Lightning's TensorBoard logger in one folder, which a continued run goes on in.

    Args:
        folder: of the run.

    Raises:  WriteError: from any call, where the disk is full; the message names the folder of events.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, name=EVENTS, version="")

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        with self._named():
            super().log_metrics(metrics, step)

    @rank_zero_only
    def save(self) -> None:
        with self._named():
            super().save()

    @property
    def experiment(self) -> Any:
        """TensorBoard's writer, made when it is first asked for."""
        with self._named():
            return super().experiment

    @rank_zero_only
    def finalize(self, status: str) -> None:
        with self._named() if status == "success" else suppress(OSError):  # what ended a run is said by itself
            super().finalize(status)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise about_writing(Path(self.log_dir), error) from error
        except ValueError as error:  # Lightning calls whatever fails a wrong value
            if isinstance(error.__cause__, OSError):
                raise about_writing(Path(self.log_dir), error.__cause__) from error
            raise


@contextmanager
def writers_quiet() -> Iterator[None]:
    """TensorBoard writes in a thread of its own, and its error is raised again by the next call; once is enough."""
    before = threading.excepthook

    def hook(failed: threading.ExceptHookArgs) -> None:
        if not type(failed.thread).__module__.startswith("tensorboard."):
            before(failed)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
