"""Who spikes: one sample's spikes, and the mean rate of every layer."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.ticker import MaxNLocator

from .axes import step_axis
from .compare import Network, Sample
from .numbers import joined
from .picture import Picture, canvas, finish, height_with_legend, legend_below, short, shortened, style_of
from .style import COLOURS
from .theme import RULE

_ROWS, _ROW = 120, 0.031
"""Neurons a raster shows, at least three of every layer, and the height of each in inches."""


def raster(network: Network, *, name: str) -> Picture | None:
    """The spikes of one sample: a row per neuron, a column per step, a dash as long as the count."""
    trains = {layer: train for layer, train in network.first.raster.items() if train and train[0]}
    if not trains:
        return None
    per_layer = max(3, _ROWS // len(trains))
    shown = {layer: _spread(train, per_layer) for layer, train in trains.items()}
    largest = max(1, *(abs(count) for train in shown.values() for step in train for count in step))
    rows = sum(len(train[0]) + 1 for train in shown.values())
    with canvas(0.7 + _ROW * rows) as figure:
        axes = figure.subplots()
        _draw_layers(axes, shown, largest)
        steps = max(map(len, shown.values()))
        step_axis(axes, steps)
        room = max(0.6, (6 - steps) / 2)
        axes.set_xlim(1 - room, steps + room)
        axes.set_xlabel("step" if largest == 1 else f"step  (the longest dash: {largest} spikes)")
        return finish(
            figure,
            name=name,
            title=f"Spikes of one sample: {short(network.label, 60)}",
            finding=_spikes_sent(trains),
            caption=_raster_caption(network, shown, largest),
        )


def _spread(train: list[list[int]], limit: int) -> list[list[int]]:
    """At most so many neurons of a train [time][neuron], evenly spread over the layer."""
    count = len(train[0])
    chosen = sorted({round(place * (count - 1) / max(1, limit - 1)) for place in range(limit)} & set(range(count)))
    return [[step[neuron] for neuron in chosen] for step in train]


def _draw_layers(axes: Any, trains: Mapping[str, list[list[int]]], largest: int) -> None:
    top, ticks = 0, []
    for index, train in enumerate(trains.values()):
        spikes = [(t, top + n, count) for t, counts in enumerate(train, 1) for n, count in enumerate(counts) if count]
        colour = COLOURS[index % len(COLOURS)]
        _draw_dashes(axes, [spike for spike in spikes if spike[2] > 0], largest, color=colour)
        _draw_dashes(axes, [spike for spike in spikes if spike[2] < 0], largest, color=colour, alpha=0.45)
        ticks.append(top + (len(train[0]) - 1) / 2)
        top += len(train[0]) + 1
        axes.axhline(top - 1, color=RULE, linewidth=0.8, zorder=0)
    axes.set_yticks(ticks, shortened(list(trains), 22), fontsize=9.5 if len(trains) <= 20 else 7.5)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(top - 0.5, -1.5)
    axes.grid(visible=False)


def _draw_dashes(axes: Any, spikes: list[tuple[int, int, int]], largest: int, **style: Any) -> None:
    """A dash per spike, as long as its count, in one path: an element per spike would make a page of megabytes."""
    longest = 0.8 if largest > 1 else 0.5
    across = [x for t, _, n in spikes for x in (t - longest / 2, t + longest * (abs(n) / largest - 0.5), math.nan)]
    down = [y for _, neuron, _ in spikes for y in (neuron, neuron, math.nan)]
    axes.plot(across, down, linewidth=72 * _ROW * 0.72, solid_capstyle="butt", snap=False, **style)


def _spikes_sent(trains: Mapping[str, list[list[int]]]) -> str:
    parts = []
    for layer, train in trains.items():
        sent, neurons = sum(abs(count) for step in train for count in step), len(train[0])
        parts.append(f"{layer} {sent / neurons:.2f}")
    return f"Spikes per neuron in {max(map(len, trains.values()))} steps: {', '.join(parts)}."


def _raster_caption(network: Network, shown: Mapping[str, list[list[int]]], largest: int) -> str:
    parts = ["One row per neuron, one column per step, layers from the input down."]
    sizes = {len(train[0]) for train in shown.values()}
    most = "" if len(sizes) == 1 else "at most "
    parts.append(f"{most}{max(sizes)} neurons of each layer, evenly spread; first test sample.".capitalize())
    if largest > 1:
        parts.append("The longer a dash, the more spikes of one neuron in one step.")
    if any(count < 0 for train in shown.values() for step in train for count in step):
        parts.append("Pale: spikes taken back.")
    if len(network.seeds) > 1:
        parts.append(f"Seed {network.seeds[0]}.")
    return " ".join(parts)


def firing_rates(networks: Sequence[Network], *, name: str, title: str) -> Picture | None:
    """Spikes per neuron and step, a row per layer and a mark per network."""
    spiking = [network for network in networks if any(result.rates for result in network.results)]
    layers = list(dict.fromkeys(layer for network in spiking for r in network.results for layer in r.rates))
    if not layers:
        return None
    row = 0.34 if len(layers) <= 12 else 0.19
    labels = shortened([network.first.name for network in spiking])
    with canvas(height_with_legend(0.75 + row * len(layers), labels)) as figure:
        axes = figure.subplots()
        handles = [_draw_rates(axes, network, layers, i, len(spiking)) for i, network in enumerate(spiking)]
        axes.set_yticks(range(len(layers)), shortened(layers, 24), fontsize=9.5 if len(layers) <= 12 else 8)
        axes.set_ylim(len(layers) - 0.5, -0.5)
        axes.set_xlim(left=0.0)
        axes.margins(x=0.06)
        axes.xaxis.set_major_locator(MaxNLocator(5))  # small rates have long labels
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("spikes per neuron and step")
        legend_below(figure, handles, labels)
        return finish(
            figure,
            name=name,
            title=title,
            finding=" ".join(_rates_said(network) for network in spiking),
            caption=_rates_caption(spiking),
        )


def _draw_rates(axes: Any, network: Network, layers: list[str], index: int, of: int) -> Any:
    style = {**style_of(index), "linestyle": "none", "markersize": 6}
    aside = 0.0 if of == 1 or of > 6 else (index / (of - 1) - 0.5) * 0.36
    dots, rows, spreads = [], [], []
    for row, layer in enumerate(layers):
        sample = _rate(network, layer)
        for value in [sample.mean] if sample.is_summarised else sample.values:
            dots.append(value)
            rows.append(row + aside)
            spreads.append(sample.deviation if sample.is_summarised else 0.0)
    if any(spreads):
        axes.errorbar(dots, rows, xerr=spreads, fmt="none", ecolor=style["color"], elinewidth=1.1)
    return axes.plot(dots, rows, **style)[0]


def _layer_means(network: Network) -> dict[str, Sample]:
    layers = dict.fromkeys(layer for result in network.results for layer in result.rates)
    return {layer: _rate(network, layer) for layer in layers}


def _rate(network: Network, layer: str) -> Sample:
    return network.sample(lambda result: result.rates.get(layer))


def _rates_said(network: Network) -> str:
    means = {layer: sample.mean for layer, sample in _layer_means(network).items() if sample}
    if not means:
        return ""
    least, most = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    silent = [layer for layer, rate in means.items() if rate == 0]
    ends = f", from {means[least]:.3f} in {least} to {means[most]:.3f} in {most}" if len(means) > 1 else ""
    mean = statistics.fmean(means.values())
    said = f"{network.first.name}: {mean:.3f} spikes per neuron and step in the mean layer{ends}."
    return f"{said} Silent: {joined(silent)}." if silent else said


def _rates_caption(networks: list[Network]) -> str:
    counts = sorted({len(network.seeds) for network in networks})
    parts = ["Mean over test samples and steps, layers from the input down."]
    if counts[-1] >= 3:
        parts.append("Mark and bar: mean and standard deviation over seeds.")
    elif counts[-1] == 2:
        parts.append("One mark per seed.")
    return " ".join(parts)
