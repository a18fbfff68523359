"""Claim: a trained ResNet-20 keeps its answers behind gates of 0, and a twin set up from batches learns fast in series.

The CIFAR-10 ResNet-20 with published weights (see cifar_resnets.py).

- gated: twins beside all nine blocks; outputs are compared bit for bit with the given network's, and energy at 45 nm
  prices with that of its analog branches.
- serial: the block `layer3.1` alone is replaced and trained for 100 batches of 128 training images, all else frozen;
  once with the twin set up from two batches, once without. Three seeds each.

Accuracy is on the first 1,000 test images. Appends one line per run to results/hybrid_resnet20.jsonl.
Run: python benchmarks/hybrid_resnet20.py WEIGHTS [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from cifar_resnets import normalised, pretrained
from torch import Tensor, nn

from spikebridge import hybridize, spike_report
from spikebridge.data import load
from spikebridge.data.samples import Samples
from spikebridge.measure.record import environment

RESULTS = Path(__file__).parent / "results" / "hybrid_resnet20.jsonl"
BLOCK, STEPS, BATCH, TESTED, RATE = "layer3.1", 100, 128, 1000, 1e-3


@torch.no_grad()
def answers(network: nn.Module, images: Tensor) -> Tensor:
    """Logits, a hundred images at a time, in eval mode."""
    network.eval()
    return torch.cat([network(part) for part in images.split(100)])


def share_right(logits: Tensor, labels: Tensor) -> float:
    """Accuracy."""
    return (logits.argmax(1) == labels).double().mean().item()


def gated(network: nn.Module, images: Tensor, labels: Tensor, batches: list[Tensor]) -> dict[str, Any]:
    """All nine blocks with a twin behind a gate of 0."""
    hybrid = hybridize(network, "layer?.?", mode="gated", batches=batches)
    logits = answers(hybrid, images)
    report = spike_report(hybrid, images[:100])
    return {
        "accuracy": share_right(logits, labels),
        "is_equal": torch.equal(logits, answers(network, images)),
        "energy_uj": report.energy_pj / 1e6,
        "analog_uj": report.analog_pj / 1e6,
    }


def serial(
    network: nn.Module, train: Samples, images: Tensor, labels: Tensor, batches: list[Tensor] | None, *, seed: int
) -> dict[str, Any]:
    """One block as spikes, trained alone."""
    torch.manual_seed(seed)
    hybrid = hybridize(network, BLOCK, mode="serial", batches=batches)
    before = share_right(answers(hybrid, images), labels)
    hybrid.requires_grad_(False)
    block = hybrid.get_submodule(BLOCK).requires_grad_(True).train()
    optimiser = torch.optim.AdamW(block.parameters(), RATE)
    order = torch.randperm(len(train))
    for part in order[: STEPS * BATCH].split(BATCH):
        values, targets = train[part]
        optimiser.zero_grad()
        nn.functional.cross_entropy(hybrid(normalised(values)), targets).backward()
        optimiser.step()
    return {"before": before, "accuracy": share_right(answers(hybrid, images), labels)}


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    network = pretrained(20, options.weights)
    train, _, test = load("cifar-10", seed=0)
    images, labels = test[:TESTED]
    images = normalised(images)
    batches = [normalised(train[start : start + BATCH][0]) for start in (0, BATCH)]
    keep({"mode": "gated", **gated(network, images, labels, batches)})
    for seed in options.seeds:
        for given in (batches, None):
            found = serial(network, train, images, labels, given, seed=seed)
            keep({"mode": "serial", "set_up": given is not None, "seed": seed, **found})


def keep(found: dict[str, Any]) -> None:
    """One line."""
    print(found, flush=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps({**found, "environment": environment()}) + "\n")


if __name__ == "__main__":
    main()
