"""What results/hybrid.jsonl says, as Markdown tables: mean and sample standard deviation over seeds, in %.

Differences are paired by seed: same initial weights of equal layers, same order of batches. Their intervals are 95 % of
Student's t.

Run: python benchmarks/hybrid_tables.py [--data fashion-mnist] [--file results/hybrid.jsonl]
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

from tables import Runs, markdown, paired, spread, thousands

RESULTS = Path(__file__).parent / "results" / "hybrid.jsonl"
_COSTS = ("accumulates", "multiplies")


def table(cells: dict[str, Runs]) -> str:
    """One row per cell; differences are to the first."""
    settings = list(dict.fromkeys(name for cell in cells for name in json.loads(cell)))
    header = [*settings, "seeds", "validation", "test", "test, against the first", "kAC", "kMAC"]
    control = next(iter(cells.values()))
    rows = []
    for cell, runs in cells.items():
        named = json.loads(cell)
        row = [str(named.get(name, "")) for name in settings] + [str(len(runs))]
        row += [spread([run[quantity] for run in runs.values()]) for quantity in ("validation", "test")]
        row += ["" if runs is control else paired(runs, control, "test")]
        rows.append(row + [thousands(runs, what) for what in _COSTS])
    return markdown(header, rows)


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
