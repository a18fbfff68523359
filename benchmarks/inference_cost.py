"""Claim: at T = 1 a converted network costs at most 1.5 times the float network's forward, both compiled.

CIFAR ResNet-20, torchvision's resnet18 and mobilenet_v2 at 224, batches of 1 and 32; random weights, which cost what
trained ones do. The two networks run in turn, A B A B ..., in one process on one thread, so that drift of the machine
falls on both; the median of the ratios of pairs of processor times, with their quartiles. Compiled and eager, without
gradients. Before it is timed, the compiled network is compared with the eager one: where the compiler folds a
normalisation, currents round differently, and one that lies between two levels may go to the other.

Needs torchvision and a C++ compiler. Resumes where it stopped: what results/inference_cost.jsonl has is skipped.
Run: python benchmarks/inference_cost.py [--pairs 15] [--again]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from cifar_resnets import ResNet
from torch import Tensor, nn

from spikebridge import convert
from spikebridge.measure.record import environment

RESULTS = Path(__file__).parent / "results" / "inference_cost.jsonl"
NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "cifar resnet20": (lambda: ResNet(20), 32),
    "resnet18": (torchvision.models.resnet18, 224),
    "mobilenet_v2": (torchvision.models.mobilenet_v2, 224),
}
BATCHES = (1, 32)
MEMBERS, CALIBRATION, BOUND = 16, 8, 1.5
LONG_ENOUGH = 0.02
"""Seconds that one measurement lasts at least, by calling more than once."""


def seconds(network: Callable[[Tensor], Tensor], images: Tensor, calls: int) -> float:
    """How long a call takes: processor time of the one thread, so that other processes count less."""
    start = time.process_time()
    for _ in range(calls):
        network(images)
    return (time.process_time() - start) / calls


def pair(ann: Callable[[Tensor], Tensor], snn: Callable[[Tensor], Tensor], images: Tensor, calls: int) -> float:
    """The float network, then the converted one: how many times its time the other takes."""
    before = seconds(ann, images, calls)
    return seconds(snn, images, calls) / before


def ratios(ann: Callable[[Tensor], Tensor], snn: Callable[[Tensor], Tensor], images: Tensor, pairs: int) -> list[float]:
    """How many times the float network's time the converted one takes, pair by pair, sorted."""
    for network in (ann, snn):
        seconds(network, images, 2)
    calls = max(1, round(LONG_ENOUGH / seconds(ann, images, 1)))
    return sorted(pair(ann, snn, images, calls) for _ in range(pairs))


@torch.no_grad()
def measure(name: str, batch: int, how: str, pairs: int) -> dict[str, Any]:
    """One line of results."""
    torch.manual_seed(0)
    torch._dynamo.reset()
    make, size = NETWORKS[name]
    network, images = make().eval().requires_grad_(False), torch.randn(batch, 3, size, size)
    conversion = convert(network, torch.randn(CALIBRATION, 3, size, size), members=MEMBERS, thresholds="max")
    ann: Callable[[Tensor], Tensor] = network
    snn: Callable[[Tensor], Tensor] = conversion.model
    found: dict[str, Any] = {}
    if how == "compiled":
        eager = snn(images)
        ann, snn = torch.compile(network, fullgraph=True), torch.compile(conversion.model, fullgraph=True)
        found["difference_from_eager"] = ((snn(images) - eager).norm() / eager.norm()).item()
    pair_ratios = ratios(ann, snn, images, pairs)
    low, middle, high = statistics.quantiles(pair_ratios, n=4)
    found |= {"median_ratio": round(middle, 3), "quartiles": [round(low, 3), round(high, 3)]}
    return {**found, "lowest": round(pair_ratios[0], 3), "highest": round(pair_ratios[-1], 3)}


def main() -> None:
    """Measure what is missing, a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--again", action="store_true", help="also what has been measured")
    options = parser.parse_args()
    torch.set_num_threads(1)
    RESULTS.touch()
    lines = [] if options.again else [json.loads(line) for line in RESULTS.read_text().splitlines()]
    keys = [
        {"network": name, "batch": batch, "how": how, "pairs": options.pairs}
        for how in ("compiled", "eager")
        for name in NETWORKS
        for batch in BATCHES
    ]
    for key in keys:
        if any(all(line[k] == v for k, v in key.items()) for line in lines):
            continue
        found = measure(key["network"], key["batch"], key["how"], options.pairs)
        held = "within" if found["median_ratio"] <= BOUND else "over"
        print(key, found, f"{held} {BOUND}" if key["how"] == "compiled" else "", flush=True)
        with RESULTS.open("a") as file:
            file.write(json.dumps({**key, "members": MEMBERS, **found, "environment": environment()}) + "\n")


if __name__ == "__main__":
    main()
