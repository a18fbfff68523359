"""Claim: the head of a trained network can be solved to a proven optimum in minutes; what that is worth is measured.

The CIFAR-10 ResNet-20 with published weights (see cifar_resnets.py), as it is and converted (Group Neurons, 8 members,
T = 2). Its head, 64 inputs and 10 classes, is solved on 45,000 training images along a path of 12 strengths; the head
is chosen on 5,000 others, which the published weights were trained on, and tested on the 10,000 test images. Appends
one line per network and penalty to results/polish.jsonl.

Run: python benchmarks/polish.py WEIGHTS
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from cifar_resnets import calibration_and_test, normalised, pretrained
from torch import Tensor, nn

from spikebridge import convert
from spikebridge.convex import Polished, polish
from spikebridge.data import load
from spikebridge.measure.record import environment

RESULTS = Path(__file__).parent / "results" / "polish.jsonl"
BATCH, TRAINED = 500, 45_000


def batches(images: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Parts of a set."""
    return list(zip(images.split(BATCH), labels.split(BATCH), strict=True))


@torch.no_grad()
def share_right(network: nn.Module, data: list[tuple[Tensor, Tensor]]) -> float:
    """Accuracy."""
    return sum(int((network(values).argmax(1) == labels).sum()) for values, labels in data) / sum(
        len(labels) for _, labels in data
    )


def summary(found: Polished) -> dict[str, Any]:
    """The path as plain numbers."""
    return {
        "replaced": found.replaced,
        "validation_before": found.old_accuracy,
        "validation": found.old_accuracy if found.chosen is None else found.chosen.accuracy,
        "kept": found.inputs if found.chosen is None else len(found.chosen.kept),
        "path": [
            {
                "strength": point.strength,
                "objective": point.objective,
                "relative_gap": point.certificate.relative_gap,
                "old_excess": point.old_excess,
                "kept": len(point.kept),
                "validation": point.accuracy,
            }
            for point in found.path
        ],
    }


def main() -> None:
    """Polish, test and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    options = parser.parse_args()
    torch.manual_seed(0)
    split = load("cifar-10", seed=0, validation=0.1)
    train, validation, test = (
        batches(normalised(part[:TRAINED][0]), part[:TRAINED][1])
        for part in (split.train, split.validation, split.test)
    )
    ann = pretrained(20, options.weights)
    calibration, _, _ = calibration_and_test(500, test=1)
    snn = convert(ann, [calibration], neuron="group", members=8, time_steps=2, calibrate="bias").model
    for name, network in (("ResNet-20", ann), ("ResNet-20, Group Neurons, T = 2", snn)):
        before = share_right(network, test)
        for penalty in ("group", "l1"):
            start = time.perf_counter()
            found = polish(network, train, validation, penalty=penalty)
            line = {"network": name, "penalty": penalty, "seconds": time.perf_counter() - start, **summary(found)}
            line |= {"test_before": before, "test": share_right(found.model, test)}
            print(name, penalty, found, f"test {before} -> {line['test']}", sep="\n", flush=True)
            with RESULTS.open("a") as file:
                file.write(json.dumps({**line, "environment": environment()}) + "\n")


if __name__ == "__main__":
    main()
