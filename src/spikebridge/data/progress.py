"""What a long fetch reports, and a bar for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


class Progress(Protocol):
    """Whoever shows how far a fetch has come."""

    def note(self, message: str) -> None:
        """Say what happens now, or why a source failed."""

    def advance(self, file: str, done: int, total: int | None) -> None:
        """Show that ``done`` bytes of a file are here, of ``total`` where the server says so."""


class Silent:
    """Shows nothing."""

    def note(self, message: str) -> None:
        """Say nothing."""

    def advance(self, file: str, done: int, total: int | None) -> None:
        """Show nothing."""


SILENT = Silent()


@contextmanager
def progress_bar(console: Console | None = None) -> Iterator[Progress]:
    """Notes and one bar per file on the terminal, for ``get(name, progress=...)``; needs rich.

    Args:
        console: where to draw; standard error by default, so that output can be piped.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = console or Console(stderr=True)
    with Bars(TextColumn("{task.description}"), *columns, console=console) as bars:
        yield _Drawn(bars)


_LONGEST = 28


class _Drawn:
    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def note(self, message: str) -> None:
        self._bars.console.print(message, highlight=False, markup=False, soft_wrap=True)

    def advance(self, file: str, done: int, total: int | None) -> None:
        if file not in self._tasks:
            shown = file if len(file) <= _LONGEST else f"{file[: _LONGEST - 1]}…"
            self._tasks[file] = self._bars.add_task(shown, total=total)
        self._bars.update(self._tasks[file], completed=done, total=total)
