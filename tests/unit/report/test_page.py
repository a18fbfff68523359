"""The page as a browser sees it: whole, alone, and with nothing of a user's in its markup."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from spikebridge.measure import RunRecord
from spikebridge.report import write_report
from spikebridge.report.theme import THEME

from .records import Page, make_ann, make_record, make_snn

AA_TEXT, AA_GRAPHICS = 4.5, 3.0  # the contrast that WCAG 2.2 asks of text and of the parts of a picture


def test_report_is_a_page_tables_and_every_figure_twice(report: Path) -> None:
    names = {path.relative_to(report).as_posix() for path in report.rglob("*") if path.is_file()}
    figures = {name for name in names if name.startswith("figures/")}
    stems = {Path(name).stem for name in figures}
    assert names - figures == {"index.html", "table.md", "table.csv", "records.jsonl"}
    assert RunRecord.load_all(report / "records.jsonl") == [make_record()]
    assert figures == {f"figures/{stem}.{kind}" for stem in stems for kind in ("png", "svg")}
    assert {"accuracy-over-time", "accuracy-against-energy", "loss", "validation-accuracy", "raster-if"} <= stems
    assert {"firing-rates-digits", "thresholds-group-neuron", "parameter-decay-if"} <= stems


def test_report_of_the_same_records_is_the_same_bytes_and_leaves_settings_alone(tmp_path: Path, report: Path) -> None:
    before = dict(mpl.rcParams)
    written = write_report([make_record()], tmp_path)
    assert dict(mpl.rcParams) == before
    assert len(written) == len(set(written)) > 10
    for path in written:
        assert path.read_bytes() == (report / path.relative_to(tmp_path)).read_bytes(), path.name


def test_report_replaces_its_own_files_and_leaves_others_alone(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    others = [tmp_path / "record.json", tmp_path / "figures" / "mine.png"]
    for other in others:
        other.write_text("mine")
    (tmp_path / "index.html").write_text("old")
    written = write_report([make_record(networks=[], epochs=[])], tmp_path)
    assert written == [tmp_path / "index.html", tmp_path / "records.jsonl"]
    assert written[0].read_text().startswith("<!doctype html>")
    assert [other.read_text() for other in others] == ["mine", "mine"]
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {*written, *others}


def test_page_loads_nothing_and_runs_only_its_own_script(report: Path) -> None:
    page = Page(report)
    assert not re.search(r"""\b(src|srcset|poster|data)=|@import|url\((?!#)|https?://""", page.html)
    links = [found["href"] for _, found in page.tags if "href" in found]
    assert len(links) > 10
    for link in links:
        assert link.removeprefix("#") in page.ids if link.startswith("#") else (report / link).is_file(), link
    policies = [found["content"] for tag, found in page.tags if tag == "meta" and "http-equiv" in found]
    assert policies[0].startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")


def test_figures_in_one_page_share_no_names_and_no_style(report: Path) -> None:
    page = Page(report)
    assert [name for name, count in Counter(page.ids).items() if count > 1] == []
    references = re.findall(r"url\(#([^)]+)\)", page.html)
    assert references
    assert set(references) <= set(page.ids)
    assert sum(tag == "style" for tag, _ in page.tags) == 1
    figures = [found for tag, found in page.tags if tag == "svg"]
    assert len(figures) == sum(tag == "figure" for tag, _ in page.tags) > 5
    for figure in figures:
        assert figure["role"] == "img"
        assert re.search(r"\d", figure["aria-label"]), "a picture's text says its finding in numbers"


def test_figures_in_the_page_take_the_colours_of_its_theme(report: Path) -> None:
    drawn = re.findall(r"<svg.*?</svg>", Page(report).html, flags=re.DOTALL)
    assert drawn
    for figure in drawn:
        assert "var(--ink)" in figure
        assert not re.search(r"#[0-9a-f]{6}\b", figure)


@pytest.mark.parametrize("side", [0, 1], ids=["light", "dark"])
def test_colours_have_enough_contrast(side: int) -> None:
    def contrast(name: str, ground: str) -> float:
        darker, lighter = sorted(_luminance(THEME[colour][side]) for colour in (name, ground))
        return (lighter + 0.05) / (darker + 0.05)

    for ground in ("paper", "surface"):
        for text in ("ink", "quiet", "link"):
            assert contrast(text, ground) >= AA_TEXT, (text, ground)
    for graphic in ("edge", *(name for name in THEME if name.startswith("series"))):
        assert contrast(graphic, "paper") >= AA_GRAPHICS, graphic


def _luminance(colour: str) -> float:
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_markup_in_names_and_settings_is_text(tmp_path: Path) -> None:
    script = "<script>alert(1)</script>"
    snn = make_snn(script, source=script, layers=("<b>", "_a$b$", "c|d"))
    config = {script: f"</code></pre>{script}", "list": ["<i>", None]}
    write_report([make_record(name=script, networks=[make_ann(script, kind="ann"), snn], config=config)], tmp_path)
    page = Page(tmp_path)
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert not {"b", "i"} & {tag for tag, _ in page.tags}
    assert script in page.text
    table = (tmp_path / "table.md").read_text().splitlines()
    assert "<script>" not in "".join(table).replace("\\<script\\>", "")
    assert len({line.replace("\\|", "").count("|") for line in table[:4]}) == 1


def test_no_records_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^write_report expects at least one RunRecord; got none\. Pass the records"):
        write_report([], Path("nowhere"))


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"operations": []}, "accuracy-against-energy"),
        ({"accuracies": []}, "accuracy-over-time"),
        ({"raster": {}}, "raster-if"),
        ({"raster": {"conv1": []}}, "raster-if"),
        ({"rates": {}}, "firing-rates-digits"),
        ({"thresholds": {}}, "thresholds"),
        ({"thresholds": {"conv1": []}}, "thresholds"),
        ({"neuron_parameters": {}}, "parameters"),
        ({"neuron_parameters": {"conv1": {"decay": []}}}, "parameters"),
    ],
)
def test_what_was_not_measured_is_left_out(tmp_path: Path, changes: dict[str, Any], missing: str) -> None:
    bare = {"raster": {}, "thresholds": {}, "neuron_parameters": {}, "rates": {}, **changes}
    write_report([make_record(epochs=[], networks=[make_ann(), replace(make_snn(), **bare)])], tmp_path)
    page = Page(tmp_path)
    assert {"comparison", "methods", "repeat"} <= set(page.ids)
    assert not [name for name in page.ids if name.startswith(missing)]
    assert "nan" not in page.text.lower().split()


def test_a_run_without_networks_or_without_training_is_reported(tmp_path: Path) -> None:
    write_report([make_record(networks=[])], tmp_path / "trained")
    assert {"training", "repeat"} <= set(Page(tmp_path / "trained").ids)
    assert "comparison" not in Page(tmp_path / "trained").ids
    bare = make_record(networks=[make_ann(kind="ann", bits=32)], epochs=[], environment={}, config={}, timings_s={})
    write_report([bare], tmp_path / "bare")
    page = Page(tmp_path / "bare")
    assert "training" not in page.ids
    assert "No spiking network was measured." in page.text
    assert "not recorded" in page.text


@pytest.mark.parametrize("time_steps", [1, 64])
def test_one_step_and_many_can_be_shown(tmp_path: Path, time_steps: int) -> None:
    snns = [replace(make_snn(f"network {i}", time_steps=time_steps), raster={}, thresholds={}) for i in range(12)]
    plain = [replace(snn, neuron_parameters={}) for snn in snns]
    write_report([make_record(epochs=[], networks=[make_ann(), *plain])], tmp_path)
    heading = (tmp_path / "table.md").read_text().splitlines()[0]
    assert re.findall(r"T = (\d+)", heading) == [str(2**power) for power in range(time_steps.bit_length())]
