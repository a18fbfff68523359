"""Claim: converted classifiers may stop before T with exactly 0 changed predictions; how early is a matter of depth.

Mean T of ``decide``, which stops a sample when it is proved that no step left can change the arg-max at T, for T in
4, 8, 16 and 4 or 16 members, plain and signed; beside it the time it takes as a part of the full run's, the median
over batches of one process. Digits: networks trained here in seconds, all test images. ResNet-20: published weights
(see cifar_resnets.py) on the first CIFAR-10 test images, calibrated on training images.

Measured (results/early_stop.jsonl), T = 16: a perceptron of two hidden layers takes 1.2 to 2.3 steps on average, a
network of three convolutions 13.4 to 14.7, ResNet-20 15.4 to 15.8. Steps are saved, not time: see time_of_full_run.

Run: python benchmarks/early_stop.py [--weights FOLDER] [--images 1000]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from cifar_resnets import calibration_and_test, pretrained
from torch import Tensor, nn

from spikebridge import convert
from spikebridge.conversion import ConvertedNetwork
from spikebridge.data import digits
from spikebridge.measure.record import environment
from spikebridge.models import cnn
from spikebridge.training import Batches, Learner, fit

RESULTS = Path(__file__).parent / "results" / "early_stop.jsonl"
STEPS, MEMBERS, NEURONS = (4, 8, 16), (4, 16), ("group", "signed-group")
CALIBRATION = 200
Task = tuple[str, nn.Module, Tensor, Tensor, Tensor]


def perceptron() -> nn.Module:
    """Two hidden layers."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 10))


def on_digits() -> Iterator[Task]:
    """Networks trained on the digits, with calibration and test data."""
    split = digits(seed=0)
    images, labels = split.test[:]
    for name, build in (("digits perceptron", perceptron), ("digits cnn", cnn)):
        torch.manual_seed(0)
        learner = Learner(build(), optimiser=partial(torch.optim.AdamW, lr=5e-3), warm_up=1)
        batches = Batches(split.train, batch_size=64, seed=0)
        network = fit(learner, batches, epochs=10, show_progress=False).network
        yield name, network, split.train[:CALIBRATION][0], images, labels


def on_cifar(folder: Path, images: int) -> Iterator[Task]:
    """ResNet-20 with its published weights."""
    yield "cifar-10 resnet-20", pretrained(20, folder), *calibration_and_test(CALIBRATION, test=images)


@torch.no_grad()
def measured(snn: ConvertedNetwork, images: Tensor, labels: Tensor, *, time_steps: int) -> dict[str, object]:
    """Stop early, and not, batch by batch; compare."""
    steps, changed, correct, ratios = [], 0, 0, []
    batches = images.split(max(len(images) // 4, 1))
    snn.decide(batches[0][:8], time_steps=time_steps)  # to warm up
    for batch, answers in zip(batches, labels.split(len(batches[0])), strict=True):
        start = time.perf_counter()
        decision = snn.decide(batch, time_steps=time_steps)
        middle = time.perf_counter()
        full = snn(batch, time_steps=time_steps).argmax(1)
        ratios.append((middle - start) / (time.perf_counter() - middle))
        steps.append(decision.steps)
        changed += int((decision.prediction != full).sum())
        correct += int((full == answers).sum())
    taken = torch.cat(steps)
    return {
        "images": len(images),
        "mean_steps": round(taken.float().mean().item(), 3),
        "stopped_early": int((taken < time_steps).sum()),
        "changed": changed,
        "accuracy": correct / len(images),
        "time_of_full_run": round(statistics.median(ratios), 2),
        "time_range": [round(min(ratios), 2), round(max(ratios), 2)],
    }


def main() -> None:
    """Measure everything, one line per network, neuron, T and members."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, help="folder of resnet20-*.th; without it, digits only")
    parser.add_argument("--images", type=int, default=1000, help="of the CIFAR-10 test set")
    asked, about = parser.parse_args(), environment()
    tasks = [*on_digits(), *(on_cifar(asked.weights, asked.images) if asked.weights else ())]
    for name, network, calibration, images, labels in tasks:
        for neuron in NEURONS:
            for members in MEMBERS:
                snn = convert(network, calibration, neuron=neuron, members=members).model
                for time_steps in STEPS:
                    found = measured(snn, images, labels, time_steps=time_steps)
                    line = {"network": name, "neuron": neuron, "members": members, "time_steps": time_steps, **found}
                    print(line, flush=True)
                    with RESULTS.open("a") as file:
                        file.write(json.dumps({**line, "environment": about}) + "\n")


if __name__ == "__main__":
    main()
