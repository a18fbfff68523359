"""Asked: how time and memory of a training step grow with T, with the batch and with the width.

Not run yet.

A SEW ResNet of two stages on 32x32 images: forward, loss and backward, compiled and not, with T from 1 to 64, batches
of 4 to 64 and widths of 8 to 64, one changed at a time; and the seconds of the first, compiling step. Kept memory is
what autograd holds between the passes.

Appends a line for each point to results/cost_curves.jsonl and draws results/cost_curves.png. Resumes where it stopped.
Run: python benchmarks/cost_curves.py [--rounds 5] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import LIF, Direct, SpikingNetwork
from spikebridge.core.allocator import keep_freed_memory
from spikebridge.measure.record import environment
from spikebridge.measure.saved import saved_peak
from spikebridge.models import spiking_resnet

RESULTS = Path(__file__).parent / "results" / "cost_curves.jsonl"
BASE = {"time_steps": 4, "batch": 16, "width": 16}
CURVES = {"time_steps": (1, 2, 4, 8, 16, 32, 64), "batch": (4, 8, 16, 32, 64), "width": (8, 16, 32, 64)}


def points() -> list[dict[str, int]]:
    """Every point once."""
    found: list[dict[str, int]] = []
    for name, values in CURVES.items():
        found += [point for value in values if (point := BASE | {name: value}) not in found]
    return found


def step(network: Any, images: Tensor, targets: Tensor) -> None:
    """Forward and backward."""
    F.cross_entropy(network(images), targets).backward()


def measure(point: dict[str, int], *, rounds: int) -> dict[str, Any]:
    """Seconds of a step and bytes kept, compiled and not."""
    torch.manual_seed(0)
    torch._dynamo.reset()
    activation = partial(LIF, decay_input=True)
    body = spiking_resnet(stages=(1, 1), width=point["width"], activation=activation)
    network = SpikingNetwork(body, encoder=Direct(time_steps=point["time_steps"]))
    network = network.to(memory_format=torch.channels_last).train()
    images = torch.rand(point["batch"], 3, 32, 32).contiguous(memory_format=torch.channels_last)
    targets = torch.randint(10, (point["batch"],))
    found: dict[str, Any] = {}
    ways: dict[str, nn.Module] = {"eager": network, "compiled": torch.compile(network, fullgraph=True)}
    for how, drive in ways.items():
        start = time.perf_counter()
        step(drive, images, targets)
        found[f"{how}_first_s"] = round(time.perf_counter() - start, 3)
        step(drive, images, targets)
        with saved_peak(network) as saved:
            drive(images)
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            step(drive, images, targets)
            times.append(time.perf_counter() - start)
        found |= {f"{how}_s": float(f"{statistics.median(times):.4g}"), f"{how}_kept_mib": round(saved.peak / 2**20, 2)}
    return found


def draw(lines: list[dict[str, Any]]) -> None:
    """Time above, memory below, a column for each curve."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots(2, len(CURVES), squeeze=False)
    for column, (name, values) in enumerate(CURVES.items()):
        of_value = {line["point"][name]: line for line in lines if {**line["point"], name: 0} == {**BASE, name: 0}}
        known = [value for value in values if value in of_value]
        for row, (what, label) in enumerate((("s", "seconds a step"), ("kept_mib", "MiB kept"))):
            for how in ("eager", "compiled"):
                heights = [of_value[value][f"{how}_{what}"] for value in known]
                axes[row][column].loglog(known, heights, marker="o", label=how)
            axes[row][column].set(xlabel=name.replace("_", " "), ylabel=label if column == 0 else None)
            axes[row][column].set_xticks(known, [str(value) for value in known])
            axes[row][column].minorticks_off()
            axes[row][column].grid(alpha=0.3)
    axes[0][0].legend(frameon=False)
    figure.savefig(RESULTS.with_suffix(".png"), dpi=120)


def main() -> None:
    """Measure what is missing, then draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    RESULTS.touch()
    lines = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    for point in points():
        if any(line["point"] == point and line["threads"] == options.threads for line in lines):
            continue
        line = {"point": point, "threads": options.threads, **measure(point, rounds=options.rounds)}
        print(line, flush=True)
        lines.append({**line, "environment": environment()})
        with RESULTS.open("a") as file:
            file.write(json.dumps(lines[-1]) + "\n")
    draw(lines)


if __name__ == "__main__":
    main()
