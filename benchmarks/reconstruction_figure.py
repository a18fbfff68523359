"""Draws docs/images/first_last_xor.png: right answers on strings never seen, by length, for every way to get units.

From results/reconstruction.jsonl, experiment "xor": a dot for a seed, a line through the means; of several readings of
the units the one best on validation strings.

Run: python benchmarks/reconstruction_figure.py
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from reconstruction import RESULTS
from reconstruction_tables import Lines, best_reading, current

from spikebridge.report.style import COLOURS, SETTINGS

FILE = Path(__file__).parent.parent / "docs" / "images" / "first_last_xor.png"
METHODS = {
    "surrogate": "surrogate gradient, whole network",
    "gaussian": "drawn units, readout solved",
    "trained": "trained units, readout solved",
    "fine-tuned": "drawn, solved, trained on",
    "stacked": "stacked",
    "generated": "units asked for one by one",
}


def draw(panel: Axes, found: dict[str, dict[int, Lines]], part: str) -> None:
    """Accuracies on one part of the strings."""
    for place, ((method, by_length), colour) in enumerate(zip(found.items(), COLOURS, strict=False)):
        shifts = {length: rank + 0.1 * (place - 2.5) for rank, length in enumerate(sorted(by_length))}
        rights = {length: [100 * run["accuracy"][part]["all"] for run in runs] for length, runs in by_length.items()}
        heights = [statistics.mean(rights[length]) for length in shifts]
        panel.plot(
            shifts.values(), heights, linewidth=1, marker="_", markersize=12, color=colour, label=METHODS[method]
        )
        for length, values in rights.items():
            panel.plot([shifts[length]] * len(values), values, "o", markersize=4, alpha=0.6, color=colour)
    lengths = sorted({length for by_length in found.values() for length in by_length})
    panel.axhline(50, color="black", linewidth=0.8, linestyle=":")
    panel.set_xticks(range(len(lengths)), [f"T = {length}" for length in lengths])
    panel.grid(visible=False, axis="x")
    panel.set(title=f"{part} strings".replace("train ", "training "), ylabel="% right")
    panel.title.set_fontsize("medium")


def main() -> None:
    """Draw it."""
    lines = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    of_xor = current("xor", [line for line in lines if line["experiment"] == "xor"])
    found: dict[str, dict[int, Lines]] = {method: {} for method in METHODS}
    for runs in best_reading(of_xor).values():
        cell = runs[0]["cell"]
        if cell["method"] in found:
            found[cell["method"]][cell["time_steps"]] = runs
            print(cell, len(runs), "seeds")
    with plt.rc_context(SETTINGS):
        figure, panels = plt.subplots(1, 2, sharey=True, figsize=(9, 4.2), layout="constrained")
        for panel, part in zip(panels, ("train", "test"), strict=True):
            draw(panel, {method: by_length for method, by_length in found.items() if by_length}, part)
        panels[1].set_ylabel("")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        figure.savefig(FILE, dpi=150)


if __name__ == "__main__":
    main()
