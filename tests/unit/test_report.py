"""Tables and figures from plain numbers."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

from spikebridge.report import Row, accuracy_over_time, firing_rates, markdown_table, raster


def test_figures_are_the_same_bytes_twice_and_leave_settings_alone(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    counts = np.random.default_rng(0).integers(0, 4, (8, 100)).astype(float)

    def draw(folder: Path) -> list[bytes]:
        paths = [
            accuracy_over_time(
                folder / "a.png", time_steps=(1, 2), curves={"net": {"IF": [0.5, 0.7]}}, references={"net": 0.9}
            ),
            raster(folder / "r.png", image=np.eye(8), panels={"IF": {"one": counts, "two": counts[:, :7]}}, title="8"),
            firing_rates(folder / "f.png", rates={"IF": {"one": 0.1, "two": 0.0}}, unit="spikes", title="net"),
        ]
        return [path.read_bytes() for path in paths]

    assert draw(tmp_path / "first") == draw(tmp_path / "second")
    assert dict(mpl.rcParams) == before


def test_a_silent_network_can_be_drawn(tmp_path: Path) -> None:
    silent = np.zeros((4, 10))
    assert raster(tmp_path / "r.png", image=np.eye(8), panels={"IF": {"one": silent}}, title="8").exists()


def test_markdown_escapes_nothing_it_need_not() -> None:
    assert markdown_table(["a"], [Row("b", ())]).splitlines() == ["| a |", "| --- |", "| b |"]
