"""Data sets on the terminal: fetch one, list all."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import data

_WIDE = 100
"""Columns of a terminal from which on the licence has one of its own."""


def get(name: str, *, root: Path | None = None, console: Console | None = None) -> Path:
    """Fetch a data set with a bar, and say where it is."""
    console = console or Console()
    with data.progress_bar(console) as progress:
        return data.get(name, root=root, progress=progress)


def show(*, root: Path | None = None, console: Console | None = None) -> None:
    """Print every data set, its size and licence, and whether it is here."""
    console = console or Console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    is_wide = console.width >= _WIDE
    for column in ("name", "MB", "here", *(("what", "licence") if is_wide else ("what, licence",))):
        is_short = column in ("name", "MB", "here")
        table.add_column(column, justify="right" if column == "MB" else "left", no_wrap=is_short, overflow="fold")
    for row in data.listing(root=root):
        size = str(row.download_mb) if row.download_mb else "-"
        about = (row.description, row.licence) if is_wide else (f"{row.description}\n{row.licence}",)
        table.add_row(*map(Text, (row.name, size, "yes" if row.is_here else "no", *about)))
    console.print(table)
