"""Axes that several figures share."""

from __future__ import annotations

from typing import Any

from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from .compare import Network, powers_of_two
from .theme import INK, QUIET

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


def accuracy_axis(axes: Any) -> None:
    """Percent, with some room below and above, and no accuracy beyond 100 %."""
    low, high = axes.dataLim.intervaly
    room = max(0.5, 0.07 * (high - low))
    axes.set_ylim(max(-2.0, low - room), min(101.5, high + room))
    axes.set_ylabel("test accuracy (%)")
