"""What results/adaptive.jsonl says, as Markdown tables: mean and sample standard deviation over seeds, in %.

Differences are paired by seed: same initial weights of equal layers, same order of batches. Their intervals are 95 % of
Student's t. "Against frozen" is against the cell of the same settings with all three switches off, where there is one.

Cross-validation ("events") pools the folds of a seed, so that every sample was tested once: its intervals are 95 % of
Clopper and Pearson, and its differences the samples that only one of the two got wrong, with McNemar's exact p.

Runs with other settings than those of configs/ as it is now are left out, and counted at the end.

Run: python benchmarks/adaptive_tables.py [--data fashion-mnist] [--file results/adaptive.jsonl]
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from adaptive import BASES, FROZEN, RESULTS, configured, digest
from scipy.stats import binomtest
from tables import Runs, markdown, paired, spread, thousands

from spikebridge.methods.settings import read_config

Cells = dict[str, dict[int, dict[str, Any]]]
"""A cell as JSON -> seed -> a run; of cross-validation, all folds of the seed in one."""


def table(cells: Cells) -> str:
    """One row per cell of an experiment."""
    settings = settings_of(cells)
    header = [*settings, "seeds", "validation", "test", "against the first", "against frozen", "kAC", "kMAC"]
    first = next(iter(cells.values()))
    rows = []
    for cell, runs in cells.items():
        frozen = cells.get(json.dumps(frozen_twin(json.loads(cell))))
        row = [*named(cell, settings), str(len(runs)), *(spread(values(runs, what)) for what in ("validation", "test"))]
        row += [paired(runs, other, "test") if other not in (None, runs) else "" for other in (first, frozen)]
        rows.append(row + [thousands(runs, what) for what in ("accumulates", "multiplies")])
    return markdown(header, rows)


def pooled_table(cells: Cells) -> str:
    """One row per cell and seed of a cross-validation."""
    settings = settings_of(cells)
    first = next(iter(cells.values()))
    rows = []
    for cell, runs in cells.items():
        for seed, run in runs.items():
            right, tested = run["tested"] - len(run["wrong"]), run["tested"]
            low, high = binomtest(right, tested).proportion_ci(method="exact")
            row = [*named(cell, settings), str(seed), str(tested), f"{100 * right / tested:.1f}"]
            row += [f"{100 * low:.1f} to {100 * high:.1f}", discordant(run, first.get(seed))]
            rows.append(row + [thousands({seed: run}, what) for what in ("accumulates", "multiplies")])
    return markdown([*settings, "seed", "samples", "test", "95 %", "against the first", "kAC", "kMAC"], rows)


def discordant(run: dict[str, Any], control: dict[str, Any] | None) -> str:
    """How many samples only one of two networks got wrong, and how likely as uneven a split would be by chance."""
    if control is None or control is run:
        return ""
    if control["tested"] != run["tested"]:
        return "folds are missing"
    won, lost = len(set(control["wrong"]) - set(run["wrong"])), len(set(run["wrong"]) - set(control["wrong"]))
    chance = binomtest(won, won + lost).pvalue if won + lost else 1.0
    return f"+{won} -{lost}, p = {chance:.2g}"


def settings_of(cells: Cells) -> list[str]:
    """The names of all settings, in order of appearance."""
    return list(dict.fromkeys(name for cell in cells for name in json.loads(cell)))


def named(cell: str, settings: list[str]) -> list[str]:
    """A cell's settings, blank where it has none."""
    own = json.loads(cell)
    return [str(own.get(name, "")) for name in settings]


def frozen_twin(cell: dict[str, Any]) -> dict[str, Any]:
    """The same settings with nothing that is learned for each step."""
    return {name: FROZEN.get(name, value) for name, value in cell.items()}


def values(runs: Runs, quantity: str) -> list[float]:
    """One number a seed."""
    return [run[quantity] for run in runs.values()]


def pooled(folds: list[dict[str, Any]]) -> dict[str, Any]:
    """The folds of one seed as one run."""
    tested = sum(fold["tested"] for fold in folds)
    mean = {what: sum(fold["tested"] * fold[what] for fold in folds) / tested for what in ("accumulates", "multiplies")}
    return {"tested": tested, "wrong": [row for fold in folds for row in fold["wrong"]], **mean}


def current(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those whose settings are those that their cells have now."""
    bases = {data: read_config(BASES[data]) for data in {run["data"] for run in runs}}

    def is_current(run: dict[str, Any]) -> bool:
        now = configured(bases[run["data"]], run["cell"], seed=run["seed"], epochs=run["epochs"])
        return bool(run.get("config") == digest(now))

    return [run for run in runs if is_current(run)]


def grouped(runs: list[dict[str, Any]]) -> dict[tuple[str, str, int], Cells]:
    """By experiment, data and epochs; the last run of a seed, and all folds of one pooled."""
    found: dict[tuple[str, str, int], Any] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for run in runs:
        found[run["experiment"], run["data"], run["epochs"]][json.dumps(run["cell"])][run["seed"]].append(run)
    return {
        key: {
            cell: {seed: pooled(lines) if key[0] == "events" else lines[-1] for seed, lines in sorted(seeds.items())}
            for cell, seeds in cells.items()
        }
        for key, cells in found.items()
    }


def main() -> None:
    """Print a table for every experiment, data set and budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--file", type=Path, default=RESULTS)
    options = parser.parse_args()
    runs = [json.loads(line) for line in options.file.read_text().splitlines()]
    runs = [run for run in runs if options.data in (None, run["data"])]
    kept = current(runs)
    for (experiment, data, epochs), cells in grouped(kept).items():
        print(f"### {experiment}, {data}, {epochs} epochs\n")
        print(pooled_table(cells) if experiment == "events" else table(cells), end="\n\n")
    if len(kept) < len(runs):
        print(f"{len(runs) - len(kept)} of {len(runs)} runs had other settings and are left out.")


if __name__ == "__main__":
    main()
