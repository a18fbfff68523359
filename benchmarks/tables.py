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
    differences = [100 * (runs[seed][quantity] - control[seed][quantity]) for seed in runs if seed in control]
    if len(differences) < 2:
        return f"{differences[0]:+.1f}" if differences else ""
    standard_error = statistics.stdev(differences) / math.sqrt(len(differences))
    half = float(student.ppf(0.975, len(differences) - 1)) * standard_error
    return f"{statistics.mean(differences):+.1f} ± {half:.1f}"


def thousands(runs: Runs, quantity: str) -> str:
    """The mean over seeds, in thousands."""
    return f"{statistics.mean(run[quantity] for run in runs.values()) / 1000:.0f}"


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    first, *others = ["| " + " | ".join(line) + " |" for line in (header, *rows)]
    return "\n".join([first, "|" + "---|" * len(header), *others])
