"""Several seeds as one curve: each by itself where they are one or two, mean and band where they are more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .compare import Network, Sample
from .numbers import joined, plural


def draw_curves(axes: Any, places: Sequence[float], rows: Sequence[Sequence[float]], style: dict[str, Any]) -> Any:
    """One line per seed, or mean and band of three and more; returns what a legend needs.

    Args:
        axes: where to draw.
        places: x of each entry.
        rows: one list of y per seed; shorter ones end earlier.
        style: colour, line and marker.
    """
    columns = [Sample.of([row[i] if i < len(row) else None for row in rows]) for i in range(len(places))]
    if len(rows) < 3:
        lines = [axes.plot(places[: len(row)], _finite(row), **style)[0] for row in rows]
        return lines[0]
    means, spreads = [column.mean for column in columns], [column.deviation for column in columns]
    low = [mean - spread for mean, spread in zip(means, spreads, strict=True)]
    high = [mean + spread for mean, spread in zip(means, spreads, strict=True)]
    axes.fill_between(places, low, high, color=style["color"], alpha=0.18, linewidth=0)
    return axes.plot(places, means, **style)[0]


def spread_note(networks: Sequence[Network]) -> str:
    """How many seeds a figure shows, and how."""
    counts = sorted({len(network.seeds) for network in networks})
    if counts == [1]:
        return "One seed each." if len(networks) > 1 else "One seed."
    if counts[-1] < 3:
        return "Two seeds, each drawn by itself."
    many = joined([str(count) for count in counts if count >= 3])
    few = "; one or two seeds are drawn singly" if counts[0] < 3 else ""
    return f"Line and band: mean and standard deviation of {many} seeds{few}."


def seeds_text(seeds: Sequence[int]) -> str:
    """How many seeds, and which.

    >>> seeds_text([0]), seeds_text([0, 1, 2])
    ('1 seed (0)', '3 seeds (0, 1, 2)')
    """
    return f"{plural(len(seeds), 'seed')} ({', '.join(map(str, seeds))})"


def _finite(row: Sequence[float]) -> list[float]:
    return [value if math.isfinite(value) else math.nan for value in row]
