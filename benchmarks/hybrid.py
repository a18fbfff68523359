"""Claim: which gradient of a bit-plane code helps, in which topology, against which controls.

One configuration per data set (configs/*-hybrid.yaml), changed by one cell of a table at a time, for every seed; within
a seed all cells have the same initial weights of equal layers and the same order of batches.

- grid: surrogate x rescale x edge x weights of the decoder, in series. Settings that a surrogate does not have are not
  repeated: "none" has no gradient to rescale or mask, "straight_through" no edge.
- topology: serial, add and gated, against the analog twin ("ann") and an analog twin as wide as two branches.
- codes: bit planes, phase, latency, rate and direct in the same block.
- twins: on CIFAR-10, HAS-8-ResNet of width 32 with both branches, in series, gated, analog alone and spiking alone.

Every line has validation accuracy, by which settings are chosen, and test accuracy. Resumes where it stopped: what
results/hybrid.jsonl has is skipped.
Run: python benchmarks/hybrid.py EXPERIMENT [--data digits] [--seeds 0 1 2 3 4] [--epochs N] [--first CELLS]
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from spikebridge.measure import RunRecord
from spikebridge.methods.config import TrainConfig
from spikebridge.methods.settings import read_config
from spikebridge.methods.train import run

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "hybrid.jsonl"

Cell = dict[str, Any]


def grid() -> Iterator[Cell]:
    """Surrogates with all that they can be combined with; those that decide most first."""
    cells: list[Cell] = []
    for rescale, weights, edge in itertools.product(("none", "paper", "flat"), ("value", "reversed"), ("mask", "wrap")):
        for surrogate in ("none", "straight_through", "sig_sine", "fourier_sine"):
            cell = {"surrogate": surrogate, "weights": weights}
            cell |= {} if surrogate == "none" else {"rescale": rescale}
            cell |= {"edge": edge} if surrogate.endswith("sine") else {}
            cells += [cell] if cell not in cells else []
    yield from cells


def topology() -> Iterator[Cell]:
    """Branches, and an analog network of as many parameters as two branches have."""
    yield from ({"branches": branches} for branches in ("serial", "add", "gated", "ann"))
    yield {"branches": "ann", "width": "matched"}


def codes() -> Iterator[Cell]:
    """Codes at T = 8, and at T = 4."""
    for steps in (8, 4):
        yield from ({"code": code, "time_steps": steps} for code in ("BitPlane", "Phase", "Latency", "Rate", "Direct"))


def twins() -> Iterator[Cell]:
    """What the same layers are as a hybrid, an ANN and an SNN."""
    yield from ({"branches": branches} for branches in ("ann", "add", "snn", "serial", "gated"))


EXPERIMENTS = {"grid": grid, "topology": topology, "codes": codes, "twins": twins}
MATCHED = {8: 11}
"""Width of a network of two branches -> that of one branch with about as many parameters (within 10 %)."""


def configured(config: TrainConfig, cell: Cell, *, seed: int, epochs: int | None, output: Path) -> TrainConfig:
    """The base configuration with a cell's settings."""
    own = {key: value for key, value in cell.items() if key in ("time_steps", "width")}
    if own.get("width") == "matched":
        own["width"] = MATCHED[config.model.width or 16]
    is_planes = cell.get("code", "BitPlane") == "BitPlane"
    others = {} if is_planes else dict.fromkeys(config.model.hybrid.of_code)
    hybrid = replace(config.model.hybrid, **others, **{key: value for key, value in cell.items() if key not in own})
    model = replace(config.model, hybrid=hybrid, **own)
    return replace(config, seed=seed, model=model, epochs=epochs or config.epochs, output=output)


def summary(record: RunRecord) -> dict[str, Any]:
    """What is kept of a run."""
    network = record.networks[0]
    return {
        "validation": max(epoch["validation/accuracy"] for epoch in record.epochs),
        "test": network.accuracies[-1],
        "parameters": record.results["parameters"],
        "rates": network.rates,
        "accumulates": network.accumulates(len(network.accuracies)),
        "multiplies": network.multiplies(1),
        "train_s": record.timings_s["train"],
    }


def main() -> None:
    """Run what is missing, a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--first", type=int, help="only so many cells")
    options = parser.parse_args()
    base = read_config(HERE.parent / "configs" / f"{options.data}-hybrid.yaml")
    RESULTS.touch()
    keys = ("experiment", "data", "cell", "seed", "epochs")
    done = [{key: json.loads(line)[key] for key in keys} for line in RESULTS.read_text().splitlines()]
    cells = list(EXPERIMENTS[options.experiment]())[: options.first]
    for cell, seed in itertools.product(cells, options.seeds):
        epochs = options.epochs or base.epochs
        key = {"experiment": options.experiment, "data": options.data, "cell": cell, "seed": seed, "epochs": epochs}
        if key in done:
            continue
        with tempfile.TemporaryDirectory() as folder:
            config = configured(base, cell, seed=seed, epochs=epochs, output=Path(folder))
            record = run(config, console=Console(file=io.StringIO()))
        found = summary(record)
        print(key, found, flush=True)
        with RESULTS.open("a") as file:
            file.write(json.dumps({**key, **found, "environment": record.environment}) + "\n")


if __name__ == "__main__":
    main()
