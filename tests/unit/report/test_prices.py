"""Energies in tables and text are those of the energy card."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spikebridge.measure import HOROWITZ_45NM, NetworkResult, energy_card
from spikebridge.report import write_report
from spikebridge.report.compare import pool
from spikebridge.report.comparison import comma_separated, markdown
from spikebridge.report.comparison_html import comparison_html
from spikebridge.report.price import price_note, pricing_at

from .records import LAYERS, Page, make_ann, make_record, make_snn


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
