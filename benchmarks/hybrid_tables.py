"""What results/hybrid.jsonl says, as Markdown tables: mean and sample standard deviation over seeds, in %.

Differences are paired by seed: same initial weights of equal layers, same order of batches. Their intervals are 95 % of
Student's t.

Run: python benchmarks/hybrid_tables.py [--data fashion-mnist] [--file results/hybrid.jsonl]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "hybrid.jsonl"
T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
"""Two-sided 95 % of Student's t, by degrees of freedom."""

Runs = dict[int, dict[str, Any]]


def spread(values: list[float]) -> str:
    """Mean and sample standard deviation, in %."""
    if len(values) == 1:
        return f"{100 * values[0]:.1f}"
    return f"{100 * statistics.mean(values):.1f} ± {100 * statistics.stdev(values):.1f}"


def paired(runs: Runs, control: Runs, quantity: str) -> str:
    """The mean difference to the control over seeds that both have, with its 95 % interval, in points."""
    differences = [100 * (runs[seed][quantity] - control[seed][quantity]) for seed in runs if seed in control]
    if len(differences) < 2:
        return f"{differences[0]:+.1f}" if differences else ""
    half = T_95[len(differences) - 1] * statistics.stdev(differences) / math.sqrt(len(differences))
    return f"{statistics.mean(differences):+.1f} ± {half:.1f}"


def table(cells: dict[str, Runs]) -> str:
    """One row per cell; differences are to the first."""
    settings = list(dict.fromkeys(name for cell in cells for name in json.loads(cell)))
    header = [*settings, "seeds", "validation", "test", "test, against the first", "kAC", "kMAC"]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    control = next(iter(cells.values()))
    for cell, runs in cells.items():
        named = json.loads(cell)
        row = [str(named.get(name, "")) for name in settings] + [str(len(runs))]
        row += [spread([run[quantity] for run in runs.values()]) for quantity in ("validation", "test")]
        row += ["" if runs is control else paired(runs, control, "test")]
        row += [f"{statistics.mean(run[what] for run in runs.values()) / 1000:.0f}" for what in _COSTS]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


_COSTS = ("accumulates", "multiplies")


def main() -> None:
    """Print a table for every experiment and budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--file", type=Path, default=RESULTS)
    options = parser.parse_args()
    found: dict[tuple[str, str, int], dict[str, Runs]] = defaultdict(lambda: defaultdict(dict))
    for line in options.file.read_text().splitlines():
        run = json.loads(line)
        if options.data in (None, run["data"]):
            found[run["experiment"], run["data"], run["epochs"]][json.dumps(run["cell"])][run["seed"]] = run
    for (experiment, data, epochs), cells in found.items():
        print(f"### {experiment}, {data}, {epochs} epochs\n\n{table(cells)}\n")


if __name__ == "__main__":
    main()
