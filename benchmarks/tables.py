"""What tables of results share: mean and spread over seeds, differences paired by seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import Any

from scipy.stats import t as student

Runs = Mapping[int, Mapping[str, Any]]
"""Seed -> what was found."""


def spread(values: list[float]) -> str:
    """Mean and sample standard deviation, in %."""
    if len(values) == 1:
        return f"{100 * values[0]:.1f}"
    return f"{100 * statistics.mean(values):.1f} ± {100 * statistics.stdev(values):.1f}"


def paired(runs: Runs, control: Runs, quantity: str) -> str:
    """The mean difference to the control over seeds that both have, in points, with its 95 % interval (Student's t)."""
    found = differences(runs, control, quantity)
    if len(found) < 2:
        return f"{found[0]:+.1f}" if found else ""
    return f"{statistics.mean(found):+.1f} ± {half_width(found):.1f}"


def differences(runs: Runs, control: Runs, quantity: str) -> list[float]:
    """A difference to the control for every seed that both have, in points."""
    return [100 * (runs[seed][quantity] - control[seed][quantity]) for seed in runs if seed in control]


def half_width(found: list[float]) -> float:
    """Of the 95 % interval of a mean of two or more (Student's t)."""
    return float(student.ppf(0.975, len(found) - 1)) * statistics.stdev(found) / math.sqrt(len(found))


def thousands(runs: Runs, quantity: str) -> str:
    """The mean over seeds, in thousands."""
    return f"{statistics.mean(run[quantity] for run in runs.values()) / 1000:.0f}"


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    first, *others = ["| " + " | ".join(line) + " |" for line in (header, *rows)]
    return "\n".join([first, "|" + "---|" * len(header), *others])
