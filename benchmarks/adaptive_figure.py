"""Draws docs/images/adaptive.png: what adaptive neurons and the hybrid code are worth on each set of images.

From results/adaptive.jsonl, experiment "main": a dot for the difference of test accuracies of a seed, and the 95 %
interval of their mean (Student's t). Runs with other settings than those of configs/ as it is now are left out.

Run: python benchmarks/adaptive_figure.py
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from adaptive import ADAPTIVE, DIRECT, FROZEN, HYBRID, LATENCY, RESULTS
from adaptive_tables import Cells, current, grouped
from matplotlib.axes import Axes
from tables import differences, half_width

from spikebridge.report.style import COLOURS, SETTINGS

FILE = Path(__file__).parent.parent / "docs" / "images" / "adaptive.png"
CODES = {"direct": DIRECT, "latency": LATENCY, "hybrid": HYBRID}
SETS = {
    "fashion-mnist": "Fashion-MNIST\nSEW ResNet, three blocks",
    "cifar-10-resnet": "CIFAR-10\nSEW ResNet-18, narrow",
    "cifar-10-spikformer": "CIFAR-10\nSpikformer-2-256",
}


def draw(panel: Axes, found: dict[str, Cells], *, against: dict[str, Any] | None, title: str) -> None:
    """Adaptive neurons on each code, against frozen ones on the same code, or on one for all."""
    for place, (name, cells) in enumerate(found.items()):
        for row, ((code, settings), colour) in enumerate(zip(CODES.items(), COLOURS, strict=False)):
            control = (settings if against is None else against) | FROZEN
            runs, frozen = (cells[json.dumps(cell)] for cell in (settings | ADAPTIVE, control))
            gaps = differences(runs, frozen, "test")
            height = place + 0.25 * (row - 1)
            mean, half = statistics.mean(gaps), half_width(gaps)
            label = f"{code} code" if place == 0 else None
            panel.errorbar(mean, height, xerr=half, fmt="|", markersize=11, capsize=3, color=colour, label=label)
            panel.plot(gaps, [height] * len(gaps), "o", markersize=4, alpha=0.6, color=colour)
        print(title, name, len(gaps), "seeds")
    panel.axvline(0, color="black", linewidth=0.8)
    panel.set_yticks(range(len(found)), [SETS[name] for name in found])
    panel.set_ylim(len(found) - 0.5, -0.5)
    panel.grid(visible=False, axis="y")
    panel.set(title=title, xlabel="difference in test accuracy, points")
    panel.title.set_fontsize("medium")


def main() -> None:
    """Draw it."""
    lines = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    of_main = current([line for line in lines if line["experiment"] == "main" and line["data"] in SETS])
    by_set = {data: cells for (_, data, _), cells in grouped(of_main).items()}
    found = {data: by_set[data] for data in SETS if data in by_set}
    with plt.rc_context(SETTINGS):
        figure, panels = plt.subplots(1, 2, sharey=True, figsize=(9, 1 + 1.1 * len(found)), layout="constrained")
        draw(panels[0], found, against=None, title="adaptive against frozen, on the same code")
        draw(panels[1], found, against=DIRECT, title="adaptive, on each code, against direct and frozen")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        figure.savefig(FILE, dpi=150)


if __name__ == "__main__":
    main()
