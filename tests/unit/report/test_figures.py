"""Figures: nothing cut off, series told apart, names in full."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from spikebridge.measure import HOROWITZ_45NM
from spikebridge.report import write_report
from spikebridge.report.accuracy import draw_references
from spikebridge.report.activity import firing_rates as layer_rates
from spikebridge.report.activity import raster as spikes
from spikebridge.report.axes import accuracy_axis, reference_style
from spikebridge.report.compare import pool
from spikebridge.report.numbers import Scale
from spikebridge.report.parameters import threshold_histograms
from spikebridge.report.picture import shortened, style_of
from spikebridge.report.price import pricing_at

from .records import Page, make_ann, make_record, make_snn


def test_a_loss_that_is_no_number_is_not_drawn(tmp_path: Path) -> None:
    epochs = [{"train/loss": 2.0}, {"train/loss": float("nan")}, {"train/loss": float("inf")}]
    write_report([make_record(networks=[], epochs=epochs)], tmp_path)
    assert "digits, train loss: from 2 to 2 in 1 epoch." in Page(tmp_path).html
    write_report([make_record(networks=[], epochs=epochs[1:])], tmp_path)
    assert "training" not in Page(tmp_path).ids


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
