"""Claim: in parallel over time, a Group Neuron is faster than the loop for long trains of few neurons, and only there.

`run_at_once` against `run` on a Group Neuron of 64 members whose limit is idle, without gradients, T from 4 to 256 and
256 to a million currents a step; and `run` compiled, at T = 4, 16 and 64. In turn, in one process on one thread; median
ratios of the loop's time within a round: above 1 the parallel form is that many times faster.

Appends a line to results/at_once.jsonl. Run: python benchmarks/at_once.py [--rounds 9]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from alternating import alternate

from spikebridge import GroupNeuron, run, run_at_once
from spikebridge.core.allocator import keep_freed_memory
from spikebridge.measure.record import environment

RESULTS = Path(__file__).parent / "results" / "at_once.jsonl"
STEPS, SIZES, MOST = (4, 16, 64, 256), (256, 4096, 65_536, 1_048_576), 2**26
COMPILED = (4, 16, 64)


def ratios(time_steps: int, size: int, rounds: int) -> dict[str, Any]:
    """The loop's time as a multiple of the other ways'."""
    torch.manual_seed(0)
    torch._dynamo.reset()
    neuron, currents = GroupNeuron(members=64), 0.3 * torch.rand(time_steps, size)
    assert neuron.at_once(currents, neuron.initial_state(currents[0])) is not None
    ways: dict[str, Any] = {"loop": lambda: run(neuron, currents), "at once": lambda: run_at_once(neuron, currents)}
    if time_steps in COMPILED:
        compiled = torch.compile(neuron, fullgraph=True)
        ways["loop, compiled"] = lambda: compiled(currents)
    found = alternate(ways, rounds=rounds, against="loop")
    loop = found.pop("loop")
    return {"loop_s": loop["seconds"]} | {way: round(1 / line["ratio"], 2) for way, line in found.items()}


@torch.no_grad()
def main() -> None:
    """Every T and size that fits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    found = []
    for steps in STEPS:
        for size in SIZES:
            if steps * size <= MOST:
                found.append({"time_steps": steps, "currents": size, **ratios(steps, size, options.rounds)})
                print(found[-1], flush=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps({"times_faster_than_the_loop": found, "environment": environment()}) + "\n")


if __name__ == "__main__":
    main()
