"""Which runs are one row, and how their spread is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spikebridge.measure import HOROWITZ_45NM
from spikebridge.report import write_report
from spikebridge.report.compare import pool
from spikebridge.report.comparison_html import comparison_html
from spikebridge.report.price import pricing_at

from .records import Page, make_record


def test_runs_that_differ_in_their_seed_only_are_pooled() -> None:
    groups = pool([make_record(seed, name=f"digits-{seed}") for seed in (3, 1, 2)])
    assert [(group.label, group.seeds) for group in groups] == [("digits", (3, 1, 2))]
    accuracy = groups[0].networks[0].final_accuracy
    assert accuracy.mean == pytest.approx(0.988)
    assert accuracy.deviation == pytest.approx(0.001)


def test_runs_of_another_config_or_name_or_the_same_seed_are_kept_apart() -> None:
    other = make_record(1, config={"seed": 1, "output": "runs/other", "levels": 4})
    again = make_record(0, config={**make_record(0).config, "output": "runs/again"})
    groups = pool([make_record(0), other, again, make_record(2, name="letters")])
    labels = [group.label for group in groups]
    assert labels == ["digits (runs/digits-0)", "digits (runs/other)", "digits (runs/again)", "letters"]


def test_runs_of_one_name_are_told_apart_by_seed_or_number_without_a_folder() -> None:
    bare = [make_record(seed, config={"levels": seed}) for seed in (0, 1)]
    assert [group.label for group in pool(bare)] == ["digits (seed 0)", "digits (seed 1)"]
    assert [group.label for group in pool([bare[0], bare[0]])] == ["digits #1", "digits #2"]


@pytest.mark.parametrize(
    ("seeds", "cell", "words"),
    [
        (1, "99.00", "Every number is from a single seed"),
        (2, "99.00 / 98.90", "Two seeds are given one by one"),
        (3, "98.90 ± 0.10", "Where n = 3 seeds ran, numbers are mean ± sample standard deviation"),
    ],
)
def test_spread_is_said_as_far_as_the_seeds_allow(tmp_path: Path, seeds: int, cell: str, words: str) -> None:
    records = [make_record(seed, epochs=[]) for seed in range(seeds)]
    lean = [replace(record, networks=[replace(record.networks[0], thresholds={})]) for record in records]
    write_report(lean, tmp_path)
    page = Page(tmp_path)
    assert words in page.text.replace("\u00a0", " ")
    assert cell in (tmp_path / "table.md").read_text()


def test_seeds_stand_with_their_run() -> None:
    records = [*(make_record(seed) for seed in range(3)), make_record(5, name="letters")]
    html = comparison_html(pool(records), pricing_at(HOROWITZ_45NM), "")
    assert "digits<small>3 seeds (0, 1, 2)</small>" in html
    assert "letters<small>1 seed (5)</small>" in html
    assert "Given are mean ± sample standard deviation of three or more seeds." in html
