"""Records in; a page, figures and tables out."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import yaml
from matplotlib.figure import Figure

from spikebridge.measure import HOROWITZ_45NM, LayerOperations, NetworkResult, RunRecord, energy_card
from spikebridge.report import Row, accuracy_over_time, firing_rates, markdown_table, raster, write_report
from spikebridge.report.accuracy import draw_references
from spikebridge.report.activity import firing_rates as layer_rates
from spikebridge.report.activity import raster as spikes
from spikebridge.report.axes import accuracy_axis, reference_style
from spikebridge.report.compare import pool
from spikebridge.report.comparison import comma_separated, markdown
from spikebridge.report.comparison_html import comparison_html
from spikebridge.report.numbers import Scale
from spikebridge.report.parameters import threshold_histograms
from spikebridge.report.picture import shortened, style_of
from spikebridge.report.price import price_note, pricing_at
from spikebridge.report.repeat import settings_text
from spikebridge.report.theme import THEME
from spikebridge.report.words import summary, what_it_is

AA_TEXT, AA_GRAPHICS = 4.5, 3.0  # the contrast that WCAG 2.2 asks of text and of the parts of a picture
LAYERS = ("conv1", "hidden")


def make_ann(
    name: str = "QCFS ANN", *, accuracy: float = 0.99, kind: Any = "quantised", bits: int = 4
) -> NetworkResult:
    layers = [LayerOperations(layer, "MAC", (1000.0,), 1000.0, 10) for layer in (*LAYERS, "readout")]
    return NetworkResult(name=name, kind=kind, bits=bits, accuracies=[accuracy], operations=layers)


def make_snn(
    name: str = "IF",
    *,
    source: str | None = "QCFS ANN",
    time_steps: int = 4,
    members: int = 1,
    shift: float = 0.0,
    layers: tuple[str, ...] = LAYERS,
) -> NetworkResult:
    accumulates = tuple(100.0 * members for _ in range(time_steps))
    return NetworkResult(
        name=name,
        kind="snn",
        source=source,
        bits=(members * time_steps).bit_length(),
        accuracies=[0.98 - 0.5 / 4**t + shift for t in range(time_steps)],
        operations=[LayerOperations(layers[0], "MAC", (1000.0,), 1000.0, 10)]
        + [LayerOperations(layer, "AC", accumulates, 1000.0, 10) for layer in (*layers[1:], "readout")],
        spikes_per_neuron=[0.1 * members * (t + 1) for t in range(time_steps)],
        rates={layer: 0.1 * members * (i + 1) for i, layer in enumerate(layers)},
        neurons=100,
        footprint_bytes=4000,
        thresholds={layer: [1.0, 1.2, 1.5, 1.5 + i] for i, layer in enumerate(layers)},
        neuron_parameters={layer: {"decay": [0.5 + 0.1 * t for t in range(time_steps)]} for layer in layers},
        raster={layer: [[(t + n) % (members + 1) for n in range(10)] for t in range(time_steps)] for layer in layers},
    )


def make_record(seed: int = 0, *, name: str = "digits", **changes: Any) -> RunRecord:
    shift = 0.001 * seed
    networks = [make_ann(accuracy=0.99 - shift), make_snn("Group Neuron", members=8), make_snn(shift=shift)]
    losses = [{"epoch": e, "train/loss": 1 / (e + 1), "validation/loss": 1.1 / (e + 1)} for e in range(4)]
    fields: dict[str, Any] = {
        "method": "train",
        "config": {"seed": seed, "output": f"runs/{name}-{seed}", "name": name, "levels": 8},
        "networks": networks,
        "epochs": [{**epoch, "validation/accuracy": 0.9} for epoch in losses],
        "timings_s": {"train": 12.0},
        "environment": {"command": f"spikebridge train --seed {seed}", "commit": "abc", "versions": {"torch": "2.6"}},
    }
    return RunRecord(name=name, seed=seed, **{**fields, **changes})


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report([make_record()], folder)
    return folder


class Page(HTMLParser):
    """What a browser would see: the tags with their attributes, the text, and the addresses of all parts."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.html = (folder / "index.html").read_text()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(self.html)
        self.ids = [found["id"] for _, found in self.tags if "id" in found]
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += " " if self.lasttag in ("style", "script") else data


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


def test_a_loss_that_is_no_number_is_not_drawn(tmp_path: Path) -> None:
    epochs = [{"train/loss": 2.0}, {"train/loss": float("nan")}, {"train/loss": float("inf")}]
    write_report([make_record(networks=[], epochs=epochs)], tmp_path)
    assert "digits, train loss: from 2 to 2 in 1 epoch." in Page(tmp_path).html
    write_report([make_record(networks=[], epochs=epochs[1:])], tmp_path)
    assert "training" not in Page(tmp_path).ids


def test_table_agrees_with_the_energy_card(report: Path) -> None:
    rows = {row["network"]: row for row in csv.DictReader((report / "table.csv").read_text().splitlines())}
    for result in make_record().networks[1:]:
        card = energy_card(result.operations, time_steps=4, bits=result.bits, rate=result.spikes_per_neuron[-1] / 4)
        row = rows[result.name]
        assert float(row["energy_pj_mean"]) == card.energy_pj
        assert float(row["quantised_energy_pj_mean"]) == card.quantised_ann.energy_pj
        assert float(row["break_even_rate_mean"]) == card.quantised_ann.break_even_rate
        assert float(row["rate_mean"]) == card.rate
        assert float(row["effective_acs_mean"]) == card.effective_acs
        assert float(row["effective_macs_mean"]) == card.effective_macs
        assert float(row["spikes_per_neuron_mean"]) == result.spikes_per_neuron[-1]
        assert row["accuracy_t4_mean"] == repr(result.accuracies[-1])


def test_shown_operations_times_their_prices_are_the_energy() -> None:
    layers = [replace(layer, effective=(400.0,)) for layer in make_ann().operations]
    snn = make_snn()
    halves = [replace(layer, effective=tuple(n / 2 for n in layer.per_step)) for layer in snn.operations]
    networks = [replace(make_ann(kind="ann", bits=32), operations=layers), replace(snn, operations=halves)]
    groups, pricing = pool([make_record(networks=networks)]), pricing_at(HOROWITZ_45NM)
    for row in csv.DictReader(comma_separated(groups, pricing).splitlines()):
        priced = 0.9 * float(row["accumulates_mean"]) + 4.6 * float(row["multiplies_mean"])
        assert float(row["energy_pj_mean"]) == pytest.approx(priced)
        assert float(row["effective_macs_mean"]) < float(row["multiplies_mean"])
    assert "ffective" not in markdown(groups, pricing, "")


@pytest.mark.parametrize("network", [make_ann(), make_ann(kind="ann", bits=32), make_snn()], ids=["4", "32", "snn"])
def test_layers_cost_together_what_their_network_costs(network: NetworkResult) -> None:
    group = pool([make_record(networks=[network])])[0]
    (price,) = pricing_at(HOROWITZ_45NM)(group.networks[0], 4)
    assert len(price.layers_pj) == len(network.operations)
    assert sum(price.layers_pj) == pytest.approx(price.energy_pj)


def test_every_layer_of_every_network_has_its_operations(report: Path) -> None:
    rows = Page(report).html.partition("Operations, layer by layer")[2].partition("</details>")[0]
    assert rows.count('<th scope="row">') == 3 * len((*LAYERS, "readout"))
    assert rows.count("<td>AC</td>") == 4
    spikes_per_connection = "<td>3.200</td>"  # 8 members, 100 of 1,000 connections each, at 4 steps
    assert rows.count(spikes_per_connection) == 2


def test_price_note_gives_numbers_of_the_price_list_it_is_of() -> None:
    note = price_note(HOROWITZ_45NM)
    for bits in (4, 8):
        assert f"{HOROWITZ_45NM.quantised_mac_pj(bits):.3g} pJ with {bits} bits" in note


@pytest.mark.parametrize(
    ("counted", "words"),
    [
        ((0, 0), None),
        ((1, 1), "over 1 test sample."),
        ((0, 2000), "over 2\u202f000 test samples."),
        ((500, 2000), "over 500 to 2\u202f000 test samples."),
    ],
)
def test_table_says_of_how_many_samples_operations_are(counted: Any, words: str | None) -> None:
    networks = [replace(network, counted=n) for network, n in zip((make_ann(), make_snn()), counted, strict=True)]
    html = comparison_html(pool([make_record(networks=networks)]), pricing_at(HOROWITZ_45NM), "")
    assert words in html if words else "are means over" not in html


def test_seeds_stand_with_their_run() -> None:
    records = [*(make_record(seed) for seed in range(3)), make_record(5, name="letters")]
    html = comparison_html(pool(records), pricing_at(HOROWITZ_45NM), "")
    assert "digits<small>3 seeds (0, 1, 2)</small>" in html
    assert "letters<small>1 seed (5)</small>" in html
    assert "Given are mean ± sample standard deviation of three or more seeds." in html


def test_energy_is_never_told_without_its_comparison(report: Path) -> None:
    summary = re.sub(r"\s", " ", Page(report).text)
    assert re.search(
        r"Group Neuron take [\d.]+ .J at T = 4, and those of the same layers as an ANN of as many bits", summary
    )
    assert re.search(r"the two would be equal at [\d.]+ spikes per neuron and step, and it sends [\d.]+", summary)
    assert not re.search(r"times (less|lower|fewer|more efficient)", summary)
    assert "Memory traffic is not in it" in summary
    heading = (report / "table.md").read_text().splitlines()[0]
    assert all(name in heading for name in ("Energy (nJ)", "Energy as quantised ANN (nJ)", "Break-even rate"))


def test_other_prices_change_energies_and_not_counts(tmp_path: Path, report: Path) -> None:
    write_report([make_record(epochs=[])], tmp_path, costs=replace(HOROWITZ_45NM, ac_pj=0.45, mac_pj=2.3))
    dear, cheap = (
        list(csv.DictReader((folder / "table.csv").read_text().splitlines())) for folder in (report, tmp_path)
    )
    for before, after in zip(dear, cheap, strict=True):
        assert float(after["energy_pj_mean"]) == pytest.approx(float(before["energy_pj_mean"]) / 2)
        assert after["accumulates_mean"] == before["accumulates_mean"]


def test_page_says_what_a_network_is(report: Path) -> None:
    text = Page(report).text.replace("\u00a0", " ")
    assert "at T = 1 this network is a quantised ANN written in spikes" in text
    assert "A neuron sends at most one spike a step, so its count after all steps is one of 5 values (3 bits)" in text


def test_what_a_neuron_sends_decides_what_it_is_not_its_name() -> None:
    named, sending = make_snn("regrouped"), make_snn("counter", members=8)
    said = [what_it_is(pool([make_record(networks=[network])])[0].networks[0]) for network in (named, sending)]
    assert "at most one spike a step" in said[0]
    assert "Its neurons send counts" in said[1]


def test_summary_names_a_source_once_and_a_silent_network() -> None:
    silent = make_snn("LIF, from QCFS ANN")
    silent = replace(silent, spikes_per_neuron=[0.0] * 4)
    groups = pool([make_record(networks=[make_ann(), make_snn("IF, from QCFS ANN", shift=0.01), silent])])
    prices = pricing_at(HOROWITZ_45NM)
    said = summary(groups, prices)
    assert "Converted from it, IF reaches 49.00 % after 1 step" in said
    several = summary(pool([make_record(networks=groups[0].records[0].networks), make_record(name="letters")]), prices)
    assert re.search(r"digits: QCFS ANN is right on 99\.00 %[^.]*\. Converted from it, IF reaches", several)
    assert "LIF, from QCFS ANN is silent, with fewer than 0.01 spikes per neuron and sample" in said
    assert "silent" not in summary(pool([make_record()]), prices)


def test_networks_that_share_thresholds_are_all_named() -> None:
    networks = pool([make_record(networks=[make_snn(f"network {i}") for i in range(5)])])[0].networks
    picture = threshold_histograms(networks, name="thresholds")
    assert picture is not None
    assert picture.title == "Thresholds that 5 networks share"
    assert all(network.label in picture.caption for network in networks)


def test_raster_says_how_many_neurons_of_a_layer_it_shows() -> None:
    network = pool([make_record(networks=[make_snn()])])[0].networks[0]
    picture = spikes(network, name="raster")
    assert picture is not None
    assert "10 neurons of each layer, evenly spread; first test sample." in picture.caption


def test_every_network_has_a_reference_of_its_own_in_the_energy_figure() -> None:
    snns = [make_snn(f"network {i}") for i in range(3)]
    networks = pool([make_record(networks=[make_ann(), *snns])])[0].networks
    figure = Figure()
    axes = figure.subplots()
    prices = pricing_at(HOROWITZ_45NM)
    draw_references(axes, [prices(network, 4) for network in networks[1:]], Scale(1.0, "pJ", 0))
    drawn = [line for line in axes.lines if line.get_marker() == "|"]
    places = {tuple(map(float, (line.get_xdata()[0], line.get_ydata()[0]))) for line in drawn}
    assert len(drawn) == len(places) == 3, "equal references stand in rows of their own"
    assert len({line.get_color() for line in drawn}) == 3


@pytest.mark.parametrize(
    ("values", "finals", "floor"),
    [([18.0, 92.0], [91.9, 89.0], 87.0), ([90.0, 92.0], [92.0, 91.0], None), ([10.0, 92.0], [92.0, 10.0], 90.0)],
    ids=["early steps", "all alike", "one at chance"],
)
def test_accuracy_axis_gives_most_of_its_room_to_what_is_of_interest(
    values: list[float], finals: list[float], floor: float | None
) -> None:
    axes = Figure().subplots()
    axes.plot(values)
    assert accuracy_axis(axes, finals) == floor
    low, top, least = (axes.transData.transform((0, share))[1] for share in (floor or 90.0, max(values), min(values)))
    bottom, ceiling = axes.bbox.intervaly
    assert bottom <= least < top <= ceiling, "nothing is cut off"
    assert (top - low) / (ceiling - bottom) > 0.5


def test_figures_grow_with_the_layers_and_names_stay_apart() -> None:
    def height(count: int) -> float:
        layers = tuple(f"backbone.stage{i}.a_long_name_of_a_convolution" for i in range(count))
        networks = pool([make_record(networks=[make_snn(layers=layers)])])[0].networks
        picture = layer_rates(networks, name="rates", title="rates")
        assert picture is not None
        shown = set(re.findall(r">([^<>]*stage\d+[^<>]*)<", picture.svg))
        assert len(shown) == count
        return float(re.findall(r'viewBox="0 0 [\d.]+ ([\d.]+)"', picture.svg)[0])

    assert height(60) > height(30) + 200 > height(6) + 400  # points
    assert len(set(shortened(["x" * 99, "x" * 100, "y"], 12))) == 3


def test_series_can_be_told_apart_beyond_the_palette() -> None:
    styles = [style_of(index) for index in range(24)]
    assert len({(style["color"], str(style["linestyle"]), style["marker"]) for style in styles}) == 24
    ann = pool([make_record(networks=[make_ann()])])[0].networks[0]
    references = [reference_style(ann, index) for index in range(6)]
    assert len({style["marker"] for style in references}) == 6
    assert {style["markerfacecolor"] for style in references} == {"none"}


@pytest.mark.parametrize("time_steps", [1, 64])
def test_one_step_and_many_can_be_shown(tmp_path: Path, time_steps: int) -> None:
    snns = [replace(make_snn(f"network {i}", time_steps=time_steps), raster={}, thresholds={}) for i in range(12)]
    plain = [replace(snn, neuron_parameters={}) for snn in snns]
    write_report([make_record(epochs=[], networks=[make_ann(), *plain])], tmp_path)
    heading = (tmp_path / "table.md").read_text().splitlines()[0]
    assert re.findall(r"T = (\d+)", heading) == [str(2**power) for power in range(time_steps.bit_length())]


def test_settings_read_back_as_they_were() -> None:
    settings = {
        "model": {"widths": [16, 32], "empty": {}, "deep": {"a": [{"b": None}]}},
        "words": ["yes", "null", "1e3", "a: b", "- c", "", "ünï", 'quo"te', "line\nbreak", "@x", "007"],
        "numbers": [1, 0.005, float("inf"), True],
        "on": "off",
    }
    assert yaml.safe_load(settings_text(settings)) == settings
