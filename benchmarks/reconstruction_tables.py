"""What results/reconstruction.jsonl says, as Markdown tables: mean and sample standard deviation over seeds, in %.

Where a method was run with several readings of the units, the one with the best mean validation accuracy is shown, and
named. "Units" are those of the last layer that are left, of those drawn; "gap" is the largest relative gap. Cells that
reconstruction.py no longer has are left out.

Run: python benchmarks/reconstruction_tables.py [--experiment xor] [--file results/reconstruction.jsonl]
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from reconstruction import EXPERIMENTS, RESULTS
from tables import markdown, spread

Lines = list[dict[str, Any]]


def current(experiment: str, lines: Lines) -> Lines:
    """Those of the cells that the benchmark has."""
    cells = list(EXPERIMENTS[experiment]())
    return [line for line in lines if line["cell"] in cells]


def best_reading(lines: Lines) -> dict[str, Lines]:
    """Runs by the settings other than what is read of the units: those of the reading best on validation data."""
    best: dict[str, Lines] = {}
    for runs in by_cell(lines).values():
        key = json.dumps({name: value for name, value in runs[0]["cell"].items() if name != "read"})
        best[key] = max(best.get(key, runs), runs, key=validation)
    return best


def by_cell(lines: Lines) -> dict[str, Lines]:
    """All seeds of a cell together, in the order of the file."""
    cells: dict[str, Lines] = defaultdict(list)
    for line in lines:
        cells[json.dumps(line["cell"])].append(line)
    return cells


def table(lines: Lines) -> str:
    """One row per cell of an experiment, readings of a method in one."""
    best = best_reading(lines)
    rows_of = list((best if varies_in_method(best) else by_cell(lines)).values())
    settings = list(dict.fromkeys(name for runs in rows_of for name in runs[0]["cell"]))
    parts = list(dict.fromkeys(part for runs in rows_of for part in runs[0]["accuracy"]))
    header = [*settings, "seeds", *parts, "units", "gap", "seconds"]
    return markdown(header, [row(runs, settings, parts) for runs in rows_of])


def varies_in_method(best: dict[str, Lines]) -> bool:
    """Whether an experiment compares methods, not settings of one."""
    return len({runs[0]["cell"]["method"] for runs in best.values()}) > 2


def validation(runs: Lines) -> float:
    """Mean over seeds."""
    return statistics.mean(run["accuracy"]["validation"]["all"] for run in runs)


def row(runs: Lines, settings: list[str], parts: list[str]) -> list[str]:
    """A cell in words."""
    cell = runs[0]["cell"]
    shown = [
        spread([run["accuracy"][part]["all"] for run in runs]) if part in runs[0]["accuracy"] else "" for part in parts
    ]
    heads = [head["relative_gap"] for run in runs for head in run.get("heads", [])]
    units = (
        f"{statistics.mean(run['units'][-1] for run in runs):.0f} of {runs[0]['drawn']}" if "units" in runs[0] else ""
    )
    gap = f"{max(heads):.0e}" if heads else ""
    seconds = f"{statistics.mean(run['seconds'] for run in runs):.0f}"
    return [*(str(cell.get(name, "")) for name in settings), str(len(runs)), *shown, units, gap, seconds]


def main() -> None:
    """Print a table for every experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment")
    parser.add_argument("--file", type=Path, default=RESULTS)
    options = parser.parse_args()
    found: dict[str, Lines] = defaultdict(list)
    for line in map(json.loads, options.file.read_text().splitlines()):
        if options.experiment in (None, line["experiment"]):
            found[line["experiment"]].append(line)
    for experiment, lines in found.items():
        print(f"### {experiment}\n\n{table(current(experiment, lines))}\n")


if __name__ == "__main__":
    main()
