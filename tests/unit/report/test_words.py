"""What the page says about a network, and settings as text."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import yaml
from rich.console import Console

from spikebridge.measure import HOROWITZ_45NM, NetworkResult
from spikebridge.report import Row, markdown_table, terminal_table
from spikebridge.report.compare import pool
from spikebridge.report.price import pricing_at
from spikebridge.report.repeat import settings_text
from spikebridge.report.words import summary, what_it_is

from .records import Page, make_ann, make_record, make_snn


def test_names_that_look_like_colours_are_printed_as_they_are() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    name = "[red]x[/] [/]"
    console.print(terminal_table(name, [name, name], [Row(name, (name,), is_heading=True)], caption=name))
    assert console.export_text().count(name) == 6


def test_markdown_escapes_nothing_it_need_not() -> None:
    assert markdown_table(["a"], [Row("b", ())]).splitlines() == ["| a |", "| --- |", "| b |"]


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


@pytest.mark.parametrize("kind", get_args(get_type_hints(NetworkResult)["kind"]))
def test_summary_says_of_every_kind_of_network_what_it_is(kind: str) -> None:
    network = replace(make_snn() if kind == "snn" else make_ann(), kind=kind)
    said = summary(pool([make_record(networks=[network])]), pricing_at(HOROWITZ_45NM))
    assert re.match(r"1 run, 1 [A-Za-z ]+\. ", said)
    assert ("No spiking network was measured." in said) == (kind in ("ann", "quantised"))


def test_settings_read_back_as_they_were() -> None:
    settings = {
        "model": {"widths": [16, 32], "empty": {}, "deep": {"a": [{"b": None}]}},
        "words": ["yes", "null", "1e3", "a: b", "- c", "", "ünï", 'quo"te', "line\nbreak", "@x", "007"],
        "numbers": [1, 0.005, float("inf"), True],
        "on": "off",
    }
    assert yaml.safe_load(settings_text(settings)) == settings
