"""Asked: at which density of spikes each way to multiply them is the fastest, and where a sparse one wins.

A layer of weights on binary spikes, of which a share is 1: float32, bfloat16, eight bits (`Int8Layer`), and for linear
layers a sparse matrix (torch.sparse, CSR) times the weights, with and without the time to make it of the spikes.
PyTorch has no sparse convolution. Every way gives the same sums but for rounding, which is checked. In turn, in one
process, medians of ratios to float32 within a round; dense ways do not depend on the density, sparse ones do.

Appends to results/density.jsonl and draws results/density.png. Run: python benchmarks/density.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import copy
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from alternating import alternate
from matplotlib.figure import Figure
from torch import Tensor, nn

from spikebridge.blocks.int8 import Int8Conv2d, Int8Linear
from spikebridge.core.allocator import keep_freed_memory
from spikebridge.measure.record import environment

RESULTS = Path(__file__).parent / "results" / "density.jsonl"
DENSITIES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002)
LINEAR = {"linear 512 to 512, batch 64": (64, 512), "linear 2048 to 2048, batch 64": (64, 2048)}
LINEAR |= {"linear 2048 to 2048, batch 1": (1, 2048)}
CONV = {"3x3, 64 channels, 16x16, batch 16": (16, 64, 16), "3x3, 16 channels, 32x32, batch 16": (16, 16, 32)}
TOLERANCE = 0.02
"""Of bfloat16 and of rounded weights, against the largest sum."""


def drawn(shape: tuple[int, ...], density: float) -> Tensor:
    """Spikes."""
    return (torch.rand(shape) < density).float()


def linear_ways(spikes: Tensor, layer: nn.Linear) -> dict[str, Callable[[], Tensor]]:
    """Everything that multiplies by a matrix."""
    small = Int8Linear(layer, level=torch.tensor(1.0)).ready().eval()
    narrow, narrow_spikes = copy.deepcopy(layer).bfloat16(), spikes.bfloat16()
    weight, made = layer.weight.t().contiguous(), spikes.to_sparse_csr()
    return {
        "float32": lambda: layer(spikes),
        "bfloat16": lambda: narrow(narrow_spikes),
        "eight bits": lambda: small(spikes),
        "sparse": lambda: made @ weight,
        "sparse, made of spikes": lambda: spikes.to_sparse_csr() @ weight,
    }


def conv_ways(spikes: Tensor, layer: nn.Conv2d) -> dict[str, Callable[[], Tensor]]:
    """Everything that convolves, channels last."""
    spikes = spikes.contiguous(memory_format=torch.channels_last)
    narrow_spikes, small = spikes.bfloat16(), Int8Conv2d(layer, level=torch.tensor(1.0)).ready().eval()
    weight = layer.weight.data.contiguous(memory_format=torch.channels_last)
    narrow_weight = weight.bfloat16()
    return {
        "float32": lambda: nn.functional.conv2d(spikes, weight, padding=1),
        "bfloat16": lambda: nn.functional.conv2d(narrow_spikes, narrow_weight, padding=1),
        "eight bits": lambda: small(spikes),
    }


def measured(ways: dict[str, Callable[[], Tensor]], rounds: int) -> dict[str, Any]:
    """Ratios to float32, after a look at the answers."""
    expected = ways["float32"]()
    for name, way in ways.items():
        difference = ((way().float() - expected).abs().max() / expected.abs().max()).item()
        if difference > TOLERANCE:
            raise RuntimeError(f"{name} differs by {difference:.3f} of the largest sum.")
    return alternate(ways, rounds=rounds, against="float32", warm_ups=3)


def draw(lines: list[dict[str, Any]], path: Path) -> None:
    """A panel for each layer: time against density, as a multiple of float32."""
    names = list(dict.fromkeys(line["layer"] for line in lines))
    figure = Figure(figsize=(4 * len(names), 3.6), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        own = [line for line in lines if line["layer"] == name]
        for way in own[0]["found"]:
            panel.plot(
                [line["density"] for line in own], [line["found"][way]["ratio"] for line in own], ".-", label=way
            )
        panel.set(xscale="log", yscale="log", title=name, xlabel="density of spikes")
        panel.title.set_fontsize("small")
    panels[0].set_ylabel("time, float32 = 1")
    panels[0].legend(fontsize="x-small")
    figure.savefig(path, dpi=120)


@torch.no_grad()
def main() -> None:
    """Every layer at every density."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    keep_freed_memory()
    lines = []
    for density in DENSITIES:
        for name, (batch, width) in LINEAR.items():
            ways = linear_ways(drawn((batch, width), density), nn.Linear(width, width, bias=False))
            lines.append({"layer": name, "density": density, "found": measured(ways, options.rounds)})
        for name, (batch, channels, side) in CONV.items():
            layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            ways = conv_ways(drawn((batch, channels, side, side), density), layer)
            lines.append({"layer": name, "density": density, "found": measured(ways, options.rounds)})
        for line in lines[-len(LINEAR) - len(CONV) :]:
            print(line["layer"], density, {way: each["ratio"] for way, each in line["found"].items()}, flush=True)
    about = environment()
    with RESULTS.open("a") as file:
        file.writelines(json.dumps({**line, "environment": about}) + "\n" for line in lines)
    draw(lines, RESULTS.with_suffix(".png"))


if __name__ == "__main__":
    main()
