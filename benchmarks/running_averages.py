"""Claim: after one short epoch a spiking network may stand at chance because its norms' running averages lag behind.

The network of configs/fashion-mnist-adaptive.yaml, AdamW at a constant rate, tested after 12, 24, 48 and so on batches
of 128 images, on the first 600 test images: once with its running averages, as eval mode does, and once with the
statistics of the test batch. The test set after two epochs, which the experiments train for, closes the table.

Appends a line to results/running_averages.jsonl. Run: python benchmarks/running_averages.py [--seed 0] [--epochs 2]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikebridge.data import load
from spikebridge.measure.record import environment
from spikebridge.methods.build import build_network
from spikebridge.methods.settings import read_config

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "running_averages.jsonl"
CONFIG = HERE.parent / "configs" / "fashion-mnist-adaptive.yaml"
FIRST, TEST = 12, 600


@torch.no_grad()
def right(network: nn.Module, images: Tensor, labels: Tensor, *, of_batch: bool) -> tuple[float, int]:
    """Percent right, and how many classes are ever named."""
    network.eval()
    norms = [part for part in network.modules() if isinstance(part, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train(of_batch)
        norm.momentum = 0.0  # a test leaves the averages as they are
    named = torch.cat([network(part).argmax(1) for part in images.split(TEST)])
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.train()
    return round(100 * (named == labels).float().mean().item(), 2), len(named.unique())


def main() -> None:
    """Train, and test on the way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    config = read_config(CONFIG)
    split = load(config.data.name, root=config.data.root, seed=options.seed)
    (images, labels), tests = split.train[:], split.test[:]
    few = tests[0][:TEST], tests[1][:TEST]
    network = build_network(config.model, unit=tuple(images.shape[1:]), classes=10, seed=options.seed).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.optimiser.rate)
    total, size = options.epochs * len(images) // 128, 128
    asked = {FIRST * 2**power for power in range(12)} & set(range(total))
    found = []
    for index in track(range(1, total + 1), "batches"):
        chosen = torch.randint(len(images), (size,))
        loss = nn.functional.cross_entropy(network(images[chosen]), labels[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if index in asked or index == total:
            on = few if index < total else tests
            running, classes = right(network, *on, of_batch=False)
            line = {"batches": index, "running": running, "classes_named": classes, "of": len(on[0])}
            found.append({**line, "batch": right(network, *on, of_batch=True)[0]})
            print(found[-1], flush=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps({"seed": options.seed, "found": found, "environment": environment()}) + "\n")


if __name__ == "__main__":
    main()
