"""Pictures of a run, from plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .style import COLOURS, MUTED, styled


@styled
def accuracy_over_time(
    path: Path,
    *,
    time_steps: Sequence[int],
    curves: Mapping[str, Mapping[str, Sequence[float]]],
    references: Mapping[str, float],
) -> Path:
    """One panel per source network: accuracy of its spiking versions over T, and of the network itself.

    Args:
        path: where the figure goes.
        time_steps: T of each point.
        curves: panel -> neuron -> accuracy in [0, 1] at each T.
        references: panel -> accuracy of the source network, drawn as a line.
    """
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for axes, (panel, neurons) in zip(panels, curves.items(), strict=True):
        axes.axhline(100 * references[panel], color=MUTED, linewidth=1.2, linestyle="--", zorder=1)
        for index, (neuron, values) in enumerate(neurons.items()):
            # Curves often coincide: each stands a little to the right of the one before, so that all can be seen.
            places = [t * 1.05 ** (index - (len(neurons) - 1) / 2) for t in time_steps]
            style = {"color": COLOURS[index], "marker": "osD^v"[index % 5], "markersize": 5, "linewidth": 1.2}
            axes.plot(places, [100 * value for value in values], label=neuron, **style)
        axes.set_xscale("log", base=2)
        axes.set_xticks(time_steps, [str(t) for t in time_steps])
        axes.minorticks_off()
        axes.set_xlabel("time-steps T")
        axes.set_title(f"converted from the {panel} (dashed: {100 * references[panel]:.1f} %)", loc="left", fontsize=10)
    panels[0].set_ylabel("test accuracy (%)")
    panels[-1].legend(loc="lower right")
    low = min(min(values) for neurons in curves.values() for values in neurons.values())
    panels[0].set_ylim(max(0.0, 100 * low - 5), 103)
    return _save(figure, path)


@styled
def raster(
    path: Path,
    *,
    image: NDArray[Any],
    panels: Mapping[str, Mapping[str, NDArray[Any]]],
    title: str,
    neurons_per_layer: int = 40,
) -> Path:
    """The image, and the spikes it causes: one row per neuron, one column per step, a dot as large as the count.

    Args:
        path: where the figure goes.
        image: [height, width].
        panels: panel -> layer -> spike counts [time, neurons]; all panels have the same layers.
        title: what the picture is of.
        neurons_per_layer: how many neurons of each layer are shown, spread evenly over it.
    """
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    largest = max(1, *(int(counts.max()) for layers in panels.values() for counts in layers.values()))
    axes = figure.subplots(1, 1 + len(panels), width_ratios=[0.55] + [1.0] * len(panels))
    axes[0].imshow(image, cmap="gray_r")
    axes[0].set_title(title, loc="left", fontsize=10)
    axes[0].set_xticks([])
    axes[0].set_yticks([])
    axes[0].spines[:].set_visible(True)
    for panel_axes, (panel, layers) in zip(axes[1:], panels.items(), strict=True):
        _draw_raster(panel_axes, layers, neurons_per_layer, largest)
        panel_axes.set_title(panel, loc="left", fontsize=10)
    axes[1].set_ylabel("neurons, by layer")
    _explain_dots(axes[0], largest)
    for later in axes[2:]:
        later.set_yticklabels([])
    return _save(figure, path)


def _dot(counts: Any, largest: int) -> Any:
    return 4.0 + 40.0 * counts / largest


def _explain_dots(axes: Any, largest: int) -> None:
    for count in sorted({1, -(-largest // 2), largest}):
        label = f"{count} spike{'s' if count > 1 else ''}"
        axes.scatter([], [], s=_dot(count, largest), color="0.35", linewidths=0, label=label)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.05), title="of one neuron in one step", alignment="left")


def _draw_raster(axes: Any, layers: Mapping[str, NDArray[Any]], shown: int, largest: int) -> None:
    offset, ticks = 0, []
    for index, counts in enumerate(layers.values()):
        rows = np.unique(np.linspace(0, counts.shape[1] - 1, min(shown, counts.shape[1])).astype(int))
        steps, neurons = np.nonzero(counts[:, rows] > 0)
        sizes = _dot(counts[:, rows][steps, neurons], largest)
        axes.scatter(steps + 1, neurons + offset, s=sizes, color=COLOURS[index % len(COLOURS)], linewidths=0)
        ticks.append(offset + len(rows) / 2)
        offset += len(rows)
        axes.axhline(offset - 0.5, color=MUTED, linewidth=0.6)
    axes.set_yticks(ticks, list(layers), fontsize=8)
    axes.set_ylim(offset - 0.5, -1.5)
    axes.grid(visible=False, axis="y")
    time_steps = next(iter(layers.values())).shape[0]
    axes.set_xlim(0.4, time_steps + 0.6)
    axes.set_xticks(range(1, time_steps + 1))
    axes.set_xlabel("step")


@styled
def firing_rates(path: Path, *, rates: Mapping[str, Mapping[str, float]], unit: str, title: str) -> Path:
    """Mean firing rate of every layer, one group of bars per layer, one bar per network.

    Args:
        path: where the figure goes.
        rates: network -> layer -> rate; all networks have the same layers.
        unit: what the rate is measured in, for the axis.
        title: what the picture is of.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    layers = list(next(iter(rates.values())))
    width = 0.8 / len(rates)
    for index, (network, by_layer) in enumerate(rates.items()):
        places = np.arange(len(layers)) - 0.4 + (index + 0.5) * width
        bars = axes.bar(places, [by_layer[layer] for layer in layers], width, label=network, color=COLOURS[index])
        axes.bar_label(bars, fmt="%.2f", fontsize=7, padding=1)
    axes.set_xticks(range(len(layers)), layers)
    axes.set_xlabel("layer")
    axes.set_ylabel(unit)
    axes.set_title(title, loc="left", fontsize=10)
    axes.legend()
    return _save(figure, path)


def _save(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, metadata={"Software": None} if path.suffix == ".png" else None)
    return path
