"""Data sets on the terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from spikebridge import data
from spikebridge.methods import fetching


@pytest.mark.parametrize("width", [50, 60, 80, 120])
def test_the_list_fits_the_terminal_and_cuts_nothing_off(width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    fetching.show(console=console)
    printed = console.export_text()
    lines = printed.splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) < 12 * len(data.listing())
    assert "…" not in printed
    for row in data.listing():
        assert row.name in printed
        assert all(word in printed for word in (*row.licence.split(), *row.description.split()))
