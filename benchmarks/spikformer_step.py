"""Claim: a training step of Spikformer-4-384 at CIFAR size, T = 4, bfloat16, batch 16, fits into 4 GiB.

The configuration of the published size (configs/cifar-10-spikformer-4-384.yaml), direct and frozen, or hybrid and
adaptive; its own learner, objective and optimiser, on drawn pixels, in a process of its own, whose peak memory is that
of all it did: importing PyTorch as well. On an accelerator the peak is of its memory alone. The first step, which
allocates, is timed apart; the others give the rate.

Appends a line to results/spikformer_step.jsonl.
Run: python benchmarks/spikformer_step.py [--batch 16] [--steps 3] [--threads 1] [--adaptive] [--device cpu]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from spikebridge.measure.record import environment
from spikebridge.methods.adaptive_config import AdaptiveConfig
from spikebridge.methods.build import build_learner, build_network
from spikebridge.methods.settings import read_config
from spikebridge.training.optimiser import parameter_groups

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "spikformer_step.jsonl"
UNIT, CLASSES, BOUND_GIB = (3, 32, 32), 10, 4.0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each step, and the peak of memory."""
    torch.set_num_threads(options.threads)
    config = read_config(HERE.parent / "configs" / "cifar-10-spikformer-4-384.yaml")
    if options.adaptive:
        adaptive = AdaptiveConfig(leak="layer", gain="layer", readout="step", stem="own")
        config = replace(config, model=replace(config.model, encoder="Hybrid", adaptive=adaptive))
    network = build_network(config.model, unit=UNIT, classes=CLASSES, seed=0)
    learner = build_learner(config, network, classes=CLASSES, compiled=False).to(options.device).train()
    optimiser = learner.optimiser(parameter_groups(network))
    values = torch.rand(options.batch, *UNIT, device=options.device)
    targets = torch.randint(CLASSES, (options.batch,), device=options.device)
    warnings.filterwarnings("ignore", message=".*self.log.*")  # no trainer collects this step's metrics
    seconds = []
    for _ in range(options.steps + 1):
        start = time.perf_counter()
        with torch.autocast(options.device, dtype=torch.bfloat16):
            loss = learner.training_step((values, targets), 0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()  # waits for an accelerator
        seconds.append(round(time.perf_counter() - start, 4))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if options.device != "cpu":
        peak = torch.cuda.max_memory_allocated()
    first, *others = seconds
    return {
        "batch": options.batch,
        "threads": options.threads,
        "device": options.device,
        "adaptive": options.adaptive,
        "precision": "bf16-mixed",
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "first_step_s": first,
        "steps_per_s": round(1 / statistics.median(others), 4),
        "steps_s": others,
        "peak_gib": round(peak / 2**30, 3),
    }


def measured_into(queue: Any, options: argparse.Namespace) -> None:
    """What the process of its own does."""
    queue.put(measure(options))


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--adaptive", action="store_true", help="hybrid code and adaptive neurons")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=measured_into, args=(queue, options))
    process.start()
    found = queue.get()
    process.join()
    held = "within" if found["peak_gib"] <= BOUND_GIB else "over"
    print(found, f"{held} {BOUND_GIB:g} GiB")
    with RESULTS.open("a") as file:
        file.write(json.dumps({**found, "environment": environment()}) + "\n")


if __name__ == "__main__":
    main()
