"""Asked: training in bfloat16 and compiled leaves accuracies where float32, not compiled, has them.

The configurations of the recorded results on digits and Fashion-MNIST (adaptive, hybrid, and the QCFS LeNet that is
converted, with fewer epochs), each seed twice: float32 without the compiler, and bfloat16 with it; the same initial
weights and order of batches. Accuracy on the test set, of every network that a run makes; paired differences with their
95 % interval.

Appends a line for each run to results/precision.jsonl, and prints the table of what is there. Resumes.
Run: python benchmarks/precision.py [CONFIG ...] [--seeds 0 1 2] [--table] [--file FILE]
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from tables import paired, spread

from spikebridge.measure.record import environment
from spikebridge.methods.settings import read_config
from spikebridge.methods.train import run

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "precision.jsonl"
EPOCHS = {"fashion-mnist-lenet-qcfs": 5}
"""Where the recipe's own are more than this needs."""
CONFIGS = ("digits-adaptive", "digits-hybrid", "fashion-mnist-adaptive", "fashion-mnist-hybrid", *EPOCHS)
WAYS: dict[str, dict[str, Any]] = {
    "float32": {"precision": "32-true", "compile": False},
    "bfloat16, compiled": {"precision": "bf16-mixed", "compile": True},
}


def trained(name: str, seed: int, way: str) -> dict[str, Any]:
    """Test accuracy of every network of a run, in percent."""
    config = read_config(HERE.parent / "configs" / f"{name}.yaml")
    epochs = EPOCHS.get(name, config.epochs)
    with tempfile.TemporaryDirectory() as folder:
        config = replace(config, seed=seed, epochs=epochs, output=Path(folder), **WAYS[way])
        record = run(config, console=Console(file=io.StringIO()))
    found = {network.name: round(100 * network.accuracies[-1], 2) for network in record.networks}
    return {"epochs": epochs, "test": found, "train_s": round(record.timings_s["train"], 1)}


def table(lines: list[dict[str, Any]]) -> None:
    """Both ways, and their difference by seed."""
    by = {(line["config"], line["seed"], line["way"]): line["test"] for line in lines}
    for name in dict.fromkeys(line["config"] for line in lines):
        seeds = sorted(
            {seed for config, seed, _ in by if config == name and all((name, seed, way) in by for way in WAYS)}
        )
        if len(seeds) < 2:
            continue
        for network in by[name, seeds[0], "float32"]:
            one, other = ({seed: {"test": by[name, seed, way][network] / 100} for seed in seeds} for way in WAYS)
            both = "  ".join(spread([run["test"] for run in runs.values()]) for runs in (one, other))
            gap = paired(other, one, "test")
            print(f"{name:<26} {network:<28} {both}  {gap}  ({len(seeds)} seeds)")


def main() -> None:
    """What is missing, then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", default=CONFIGS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--table", action="store_true", help="run nothing")
    parser.add_argument("--file", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.file.touch()
    lines = [json.loads(line) for line in options.file.read_text().splitlines()]
    done = {(line["config"], line["seed"], line["way"]) for line in lines}
    wanted = [(name, seed, way) for seed in options.seeds for name in options.configs for way in WAYS]
    for name, seed, way in [] if options.table else wanted:
        if (name, seed, way) in done:
            continue
        line = {"config": name, "seed": seed, "way": way, **trained(name, seed, way)}
        print(line, flush=True)
        lines.append(line)
        with options.file.open("a") as file:
            file.write(json.dumps({**line, "environment": environment()}) + "\n")
    table(lines)


if __name__ == "__main__":
    main()
