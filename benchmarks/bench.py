"""Every claim about cost, measured anew on this machine, and one table of the ratios.

Each script runs in a process of its own and appends to results/*.jsonl; those that need weights or data that are not
there are left out, and named. The table has medians and quartiles of ratios within a round, and what was claimed.

Needs requirements.txt, in an environment of its own: make bench.
Run: python benchmarks/bench.py [--weights FOLDER] [--only neuron_layer ...] [--table]
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from spikebridge.report import Row, terminal_table

HERE = Path(__file__).parent
RESULTS = HERE / "results"
WIDTH = 140
SCRIPTS: dict[str, list[list[str]]] = {
    "import_cost": [[]],
    "neuron_layer": [[]],
    "driver": [[]],
    "training_step": [
        [network, "--precision", precision]
        for network in ("resnet18", "spikformer", "adaptive")
        for precision in ("float32", "bf16")
    ],
    "cost_curves": [[]],
    "at_once": [[]],
    "compile_cost": [[]],
    "inference_cost": [["--again"]],
    "int8_cost": [[]],
    "density": [[]],
    "conversion_cost": [["WEIGHTS"]],
}
"""Script -> the arguments of each of its runs."""


class Claim(NamedTuple):
    """A ratio as measured.

    Attributes:
        what: that was compared.
        ratio: median.
        quartiles: of the rounds.
        bound: what is claimed, in words.
        holds: whether the median keeps it; None where nothing is claimed.
    """

    what: str
    ratio: float
    quartiles: list[float]
    bound: str = ""
    holds: bool | None = None


def at_most(what: str, line: dict[str, Any], bound: float | None = None) -> Claim:
    """A ratio that should be small."""
    said = "" if bound is None else f"<= {bound:g}"
    return Claim(what, line["ratio"], line["quartiles"], said, None if bound is None else line["ratio"] <= bound)


def inverse(what: str, line: dict[str, Any], other: dict[str, Any], bound: float) -> Claim:
    """How many times the other's time is of ours, both against the same third."""
    ratio = round(other["ratio"] / line["ratio"], 2)
    ends = sorted(round(end / line["ratio"], 2) for end in other["quartiles"])
    return Claim(what, ratio, ends, f">= {bound:g}", ratio >= bound)


def of_layers() -> Iterator[Claim]:
    """LIF layers, in copies of their input."""
    for line in newest("neuron_layer", "allocator"):
        for how, bound in (("forward", 2.0), ("forward and backward", 6.0)):
            for who in ("here, compiled", "here", "SpikingJelly", "snnTorch", "norse"):
                is_claimed = who == "here, compiled" and line["allocator"] == "keeps memory"
                what = f"LIF layer, {how}: {who}, against a copy; C library {line['allocator']}"
                yield at_most(what, line["copies"][f"{who}: {how}"], bound if is_claimed else None)


def of_steps() -> Iterator[Claim]:
    """Training steps of whole networks."""
    for line in newest("training_step", "network", "precision"):
        found, name = line["found"], f"{line['network']}, {line['precision']}"
        ours, jelly = found["here, compiled"], found.get("SpikingJelly")
        if "ANN, compiled" in found:
            yield at_most(f"training step, {name}: here against the ANN, both compiled", ours, 1.25)
        if jelly:
            yield inverse(f"training step, {name}: SpikingJelly against here", ours, jelly, 2.0)
            share = round(ours["peak_mib"] / jelly["peak_mib"], 2)
            what = f"peak memory, {name}: here against SpikingJelly"
            yield Claim(what, share, [share, share], "<= 0.6", share <= 0.6)
        if "adaptive, compiled" in found:
            yield at_most(f"training step, {name}: adaptive against frozen", found["adaptive, compiled"], 1.05)


def of_conversion() -> Iterator[Claim]:
    """Images through converted networks."""
    for line in newest("conversion_cost"):
        ours, jelly = (line["found"][name] for name in ("T = 1, compiled", "SpikingJelly, T = 64"))
        yield inverse("an image, ResNet-20: rate coding at T = 64 against T = 1 here", ours, jelly, 40.0)
        small = line["found"]["T = 1, eight bits, compiled"]
        yield inverse("an image, ResNet-20: rate coding at T = 64 against T = 1 in eight bits", small, jelly, 40.0)
    for line in newest("inference_cost", "network", "batch", "how"):
        if line["how"] == "compiled":
            what = f"inference at T = 1: {line['network']}, batch {line['batch']}, against float, both compiled"
            yield at_most(what, {"ratio": line["median_ratio"], "quartiles": line["quartiles"]}, 1.5)


def of_bytes() -> Iterator[Claim]:
    """Converted networks in eight bits."""
    for line in newest("int8_cost", "network", "batch"):
        if "found" in line:
            what = f"in eight bits: {line['network']}, batch {line['batch']}, against float, both compiled"
            yield at_most(what, line["found"]["eight bits"], 1.0)


def of_compiling() -> Iterator[Claim]:
    """First steps."""
    for line in newest("compile_cost", "network"):
        share = round(line["warm"]["first_s"] / line["cold"]["first_s"], 2)
        what = f"first compiled step, {line['network']}: cache warm ({line['warm']['first_s']:.0f} s) against cold"
        yield Claim(what, share, [share, share])


def of_import() -> Iterator[Claim]:
    """The import."""
    for line in newest("import_cost"):
        ratio = {"ratio": line["median_ratio"], "quartiles": [line["lowest"], line["highest"]]}
        yield at_most("import spikebridge against import torch (lowest and highest)", ratio, 1.15)


CLAIMS = (of_layers, of_steps, of_conversion, of_bytes, of_compiling, of_import)


def newest(script: str, *keys: str) -> list[dict[str, Any]]:
    """The last line of each kind."""
    file = RESULTS / f"{script}.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return list({tuple(str(line.get(key)) for key in keys): line for line in lines}.values())


def run(script: str, arguments: list[str], weights: Path | None) -> str:
    """Run one script; what to say where it did not work."""
    if "WEIGHTS" in arguments and weights is None:
        return "left out: pass --weights, a folder with the published CIFAR-10 weights (cifar_resnets.py)"
    words = [str(weights) if word == "WEIGHTS" else word for word in arguments]
    done = subprocess.run([sys.executable, str(HERE / f"{script}.py"), *words], check=False)
    return "" if done.returncode == 0 else f"ended with {done.returncode}"


def main() -> None:
    """Measure, then say what holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=list(SCRIPTS))
    parser.add_argument("--table", action="store_true", help="measure nothing; the table of what is there")
    options = parser.parse_args()
    console = Console(width=max(Console().width, WIDTH))
    problems = {
        f"{script} {' '.join(arguments)}": problem
        for script in ([] if options.table else options.only)
        for arguments in SCRIPTS[script]
        if (problem := run(script, arguments, options.weights))
    }
    holds = {True: "yes", False: "NO", None: ""}
    rows = [
        Row(
            each.what,
            (f"{each.ratio:g}", " to ".join(f"{end:g}" for end in each.quartiles), each.bound, holds[each.holds]),
        )
        for each in itertools.chain(*(claims() for claims in CLAIMS))
    ]
    console.print(terminal_table("Costs as ratios", ["what", "median", "quartiles", "claimed", "holds"], rows))
    for name, problem in problems.items():
        console.print(f"{name}: {problem}", highlight=False, markup=False)


if __name__ == "__main__":
    main()
