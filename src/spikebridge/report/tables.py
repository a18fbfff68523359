"""Tables of a run, for a terminal and for a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Row:
    """One line of a comparison: a name, and a cell per column; ``is_heading`` starts a new group."""

    name: str
    cells: tuple[str, ...]
    is_heading: bool = False


def terminal_table(title: str, columns: Sequence[str], rows: Sequence[Row], *, caption: str = "") -> Table:
    """The rows as a table for ``rich`` to print; the first column is the rows' name."""
    # As Text: a name such as "[red]" is a name, and no colour.
    table = Table(
        title=Text(title),
        caption=Text(caption) if caption else None,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.padding, table.pad_edge, table.collapse_padding = (0, 1), False, True
    table.add_column(Text(columns[0]), no_wrap=True)
    for column in columns[1:]:
        table.add_column(Text(column), justify="right", no_wrap=True)
    for index, row in enumerate(rows):
        if row.is_heading and index:
            table.add_section()
        table.add_row(*map(Text, (row.name, *row.cells)), style="bold" if row.is_heading else None)
    return table


def markdown_table(columns: Sequence[str], rows: Sequence[Row]) -> str:
    """The rows as a Markdown table.

    >>> print(markdown_table(["net", "accuracy"], [Row("ANN", ("98.1",), is_heading=True), Row("SNN", ("97.9",))]))
    | net | accuracy |
    | --- | ---: |
    | **ANN** | **98.1** |
    | SNN | 97.9 |
    """
    lines = [list(columns), ["---", *["---:"] * (len(columns) - 1)]]
    for row in rows:
        cells = [row.name, *row.cells]
        lines.append([f"**{cell}**" if cell and row.is_heading else cell for cell in cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
