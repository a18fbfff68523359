"""Axes that several figures share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from .compare import Network, powers_of_two
from .theme import INK, QUIET, RULE

_OPEN = ("o", "x", "s", "+", "D", "1")
_LOWER = 0.28
"""Share of a panel that accuracies far below the others get."""
DASHES = ((0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)))


def reference_colour(network: Network) -> str:
    """ANNs are drawn in ink, quantised ones in grey."""
    return INK if network.first.kind == "ann" else QUIET


def marked(steps: int) -> list[int]:
    """Where a curve over steps has markers: everywhere on a short one, at powers of two on a long one."""
    return list(range(steps)) if steps <= 16 else [step - 1 for step in powers_of_two(steps)]


def time_axis(axes: Any, longest: int) -> None:
    """T from 1 to the longest, each doubling as wide as the next."""
    axes.set_xscale("log", base=2)
    steps = [t for t in powers_of_two(longest) if t == longest or t * 1.2 < longest]
    axes.set_xticks(steps, [str(step) for step in steps])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(2**-0.3, longest * 2**0.3)
    axes.set_xlabel("time-steps T")
    axes.grid(visible=False, axis="x")


def step_axis(axes: Any, time_steps: int) -> None:
    """The steps 1 ... T, evenly."""
    axes.set_xlim(0.4, time_steps + 0.6)
    whole_axis(axes, "step")
    if time_steps <= 16:
        axes.set_xticks(range(1, time_steps + 1))


def whole_axis(axes: Any, label: str) -> None:
    """Whole numbers, without lines across the panel."""
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=False, axis="x")


def ratio_axis(axis: Any) -> None:
    """A logarithmic axis with its numbers written out."""
    low, high = axis.get_view_interval()
    digits = (1.0, 2.0, 5.0) if high / low < 300 else (1.0,)
    axis.set_major_locator(LogLocator(base=10, subs=digits, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def reference_style(network: Network, index: int) -> dict[str, Any]:
    """Marker of the ``index``-th ANN: open, where those of SNNs are filled, and none like another of the first six."""
    return {
        "color": reference_colour(network),
        "marker": _OPEN[index % len(_OPEN)],
        "markerfacecolor": "none",
        "markeredgewidth": 1.5,
        "markersize": 8,
        "linestyle": "none",
    }


def accuracy_axis(axes: Any, finals: Sequence[float]) -> float | None:
    """Percent; where early steps would squash everything else, what is below the share returned is compressed.

    Args:
        axes: with everything drawn on it.
        finals: accuracies of the networks after all steps, in percent.
    """
    low, high = (float(end) for end in axes.dataLim.intervaly)
    axes.set_ylabel("test accuracy (%)")
    floor = _floor(finals)
    if high - low < 3 * (high - floor):
        room = max(0.5, 0.07 * (high - low))
        axes.set_ylim(max(-2.0, low - room), min(101.5, high + room))
        return None
    above, below = min(101.5, high + 0.07 * (high - floor)), max(-2.0, low - 0.08 * (floor - low))
    unit = (above - floor) / (floor - below) * _LOWER / (1 - _LOWER)
    axes.set_yscale("function", functions=(_bent(floor, unit), _bent(floor, 1 / unit)))
    axes.set_ylim(below, above)
    axes.axhspan(below, floor, facecolor=RULE, alpha=0.5, linewidth=0, zorder=0)
    axes.axhline(floor, color=QUIET, linewidth=0.8, zorder=1.1)
    _bent_ticks(axes, below, floor, above)
    return floor


def _bent_ticks(axes: Any, below: float, floor: float, above: float) -> None:
    """A few numbers under the floor, the floor itself, and more above it."""
    upper = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(floor, above)
    lower = MaxNLocator(3, steps=[1, 2, 5, 10]).tick_values(below, floor)
    few = [tick for tick in lower if below <= tick < floor - 0.2 * (floor - below)]
    many = [tick for tick in upper if floor + 0.1 * (above - floor) < tick <= min(above, 100)]
    axes.yaxis.set_major_locator(FixedLocator([*few, floor, *many]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _floor(finals: Sequence[float]) -> float:
    """Where what is of interest begins: below all final accuracies but those far from the best, in whole percent."""
    best = max(finals)
    reach = best - min(share for share in finals if share >= 0.75 * best)
    return float(math.floor(best - 1.5 * max(1.0, reach)))


def _bent(floor: float, unit: float) -> Any:
    """A scale that is ``unit`` times as large below the floor as above it."""
    return lambda values: np.where(np.asarray(values) < floor, floor + (values - floor) * unit, values)


def bend_note(floor: float | None) -> str:
    """What a reader must know of an axis that :func:`accuracy_axis` bent; empty where it did not."""
    return "" if floor is None else f"Shaded, below {floor:g} %: the axis is compressed."
