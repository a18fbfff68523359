"""What neurons are set to: thresholds of every layer, and parameters that change from step to step."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from .axes import ratio_axis, step_axis
from .compare import Network
from .picture import Picture, canvas, finish, height_with_legend, legend_below, short, shortened, style_of
from .style import COLOURS
from .theme import INK, RULE

_BINS, _NAMED = 24, 2
_WIDE = 30.0
"""From this ratio of the largest to the smallest threshold on, the axis is logarithmic."""


def threshold_histograms(networks: Sequence[Network], *, name: str) -> Picture | None:
    """A row per layer: the histogram of its thresholds, or a mark where it has only one. Networks must share them."""
    found = networks[0].first.thresholds
    thresholds = {layer: [v for v in values if math.isfinite(v)] for layer, values in found.items()}
    thresholds = {layer: values for layer, values in thresholds.items() if values}
    if not thresholds:
        return None
    everything = [value for values in thresholds.values() for value in values]
    low, high = min(everything), max(everything)
    is_wide = low > 0 and high / low >= _WIDE
    row = 0.34 if len(thresholds) <= 20 else 0.2
    with canvas(0.75 + row * len(thresholds)) as figure:
        axes = figure.subplots()
        for index, values in enumerate(thresholds.values()):
            _draw_row(axes, index, values, _edges(low, high, is_wide))
        axes.set_yticks(range(len(thresholds)), shortened(list(thresholds), 24), fontsize=9.5 if row > 0.3 else 8)
        axes.set_ylim(len(thresholds) - 0.7, -1.05)
        axes.tick_params(axis="y", length=0)
        if is_wide:
            axes.set_xscale("log")
            ratio_axis(axes.xaxis)
        axes.set_xlabel("threshold, in units of the layer's input")
        return finish(
            figure,
            name=name,
            title=_title(networks),
            finding=" ".join(_said(layer, values) for layer, values in thresholds.items()),
            caption=_caption(networks, thresholds),
        )


def _title(networks: Sequence[Network]) -> str:
    """Its networks where they are few; more are counted here and named in the caption."""
    if len(networks) > _NAMED:
        return f"Thresholds that {len(networks)} networks share"
    return f"Thresholds: {_named(networks)}"


def _named(networks: Sequence[Network]) -> str:
    return "; ".join(short(network.label, 60) for network in networks)


def _edges(low: float, high: float, is_wide: bool) -> list[float]:
    if high == low:
        return [low - 0.5, high + 0.5]
    if is_wide:
        return [low * (high / low) ** (place / _BINS) for place in range(_BINS + 1)]
    return [low + (high - low) * place / _BINS for place in range(_BINS + 1)]


def _draw_row(axes: Any, row: int, values: list[float], edges: list[float]) -> None:
    colour = COLOURS[0]
    axes.axhline(row, color=RULE, linewidth=0.8, zorder=0)
    if len(values) == 1:
        axes.plot(values, [row], "o", color=colour, markersize=5.5)
        return
    counts = [0] * (len(edges) - 1)
    for value in values:
        place = next((bin_ for bin_, edge in enumerate(edges[1:]) if value <= edge), len(counts) - 1)
        counts[place] += 1
    tops = [row - 0.88 * count / max(counts) for count in counts]
    axes.stairs(tops, edges, baseline=row, fill=True, color=colour, alpha=0.35, linewidth=0)
    axes.stairs(tops, edges, baseline=row, color=colour, linewidth=1.0)
    middle = statistics.median(values)
    axes.plot([middle, middle], [row, row - 0.3], color=INK, linewidth=1.4, solid_capstyle="butt")


def _said(layer: str, values: list[float]) -> str:
    if len(values) == 1:
        return f"{layer}: {values[0]:.3g}."
    return f"{layer}: median {statistics.median(values):.3g}, from {min(values):.3g} to {max(values):.3g}."


def _caption(networks: Sequence[Network], thresholds: Mapping[str, list[float]]) -> str:
    has_many = any(len(values) > 1 for values in thresholds.values())
    parts = ["Layers from the input down."]
    if has_many:
        parts.append("A histogram of each layer's channels, each as high as its fullest bin; tick: the median.")
    if any(len(values) == 1 for values in thresholds.values()):
        parts.append("A dot where a layer has one threshold." if has_many else "One threshold per layer.")
    if len(networks) > _NAMED:
        parts.append(f"They are those of {_named(networks)}.")
    if len(networks[0].seeds) > 1:
        parts.append(f"Seed {networks[0].seeds[0]}.")
    return " ".join(parts)


def step_parameters(network: Network, parameter: str, *, name: str) -> Picture | None:
    """One parameter of every layer's neurons, step by step."""
    rows = {layer: found[parameter] for layer, found in network.first.neuron_parameters.items() if found.get(parameter)}
    rows = {layer: values for layer, values in rows.items() if any(map(math.isfinite, values))}
    if not rows:
        return None
    is_deep = len(rows) > 12
    names = shortened(list(rows), 30)
    shown = [0, -1] if is_deep else list(range(len(rows)))
    labels = [names[place] for place in shown]
    with canvas(height_with_legend(2.6, labels)) as figure:
        axes = figure.subplots()
        steps = max(map(len, rows.values()))
        handles = []
        for index, values in enumerate(rows.values()):
            style = _by_depth(index / (len(rows) - 1)) if is_deep else style_of(index)
            style = {**style, "markevery": max(1, steps // 12)}
            handles += axes.plot(range(1, len(values) + 1), values, **style)
        step_axis(axes, steps)
        axes.set_ylabel(short(parameter, 30))
        legend_below(figure, [handles[place] for place in shown], labels)
        return finish(
            figure,
            name=name,
            title=f"{short(parameter, 30).capitalize()} over steps: {short(network.label, 60)}",
            finding=_steps_said(rows),
            caption=_steps_caption(network, is_deep),
        )


def _by_depth(depth: float) -> dict[str, Any]:
    """From one colour to another, the deeper the layer: more lines than a reader can tell apart by name."""
    colour = COLOURS[1] if depth < 0.5 else COLOURS[0]
    return {"color": colour, "alpha": 0.25 + 1.5 * abs(depth - 0.5), "linewidth": 1.2}


def _steps_said(rows: Mapping[str, list[float]]) -> str:
    said = [
        f"{layer}: {values[0]:.3g} at the first step, {values[-1]:.3g} at the last" for layer, values in rows.items()
    ]
    return "; ".join(said) + "."


def _steps_caption(network: Network, is_deep: bool) -> str:
    parts = ["One line per layer: the mean over its channels."]
    if is_deep:
        parts.append("From the input (vermilion) through the middle (pale) to the output (blue).")
    if len(network.seeds) > 1:
        parts.append(f"Seed {network.seeds[0]}.")
    return " ".join(parts)
