"""Claim: real CIFAR-10 ResNets convert without training, accurate in 1 to 4 steps; peers need far more steps.

For every depth and every (T, members), plain and signed: accuracy on test images, calibrated on the first 1,000
training images and their mirror images. Peers, on the same weights and images: SpikingJelly's RateCodingRecipe and
LocalThresholdBalancingRecipe, sinabs.from_model. Settings were chosen on training images, never on test images.

Needs the weights (see cifar_resnets.py) and CIFAR-10 (`spikebridge data get cifar-10`). Resumes where it stopped:
what results/cifar_conversion.jsonl has is skipped.
Run: python benchmarks/cifar_conversion.py WEIGHTS_FOLDER [--depths 20 32 44 56] [--test 10000] [--peers]
     [--calibrate bias weights none] [--least-steps 1] [--most-steps 16]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from cifar_resnets import calibration_and_test, pretrained, with_layers_alone
from torch import Tensor, nn

from spikebridge import convert
from spikebridge.measure.record import environment

RESULTS = Path(__file__).parent / "results" / "cifar_conversion.jsonl"
SETTINGS = [(1, 16), (1, 8), (1, 4), (1, 32), (2, 8), (4, 4), (8, 2), (16, 1)]
CALIBRATION, BATCH = 1000, 250
FIRST = 2000
PEER_STEPS = (1, 2, 4, 8, 16, 32, 64)

Readouts = Callable[[Tensor], Iterator[Tensor]]
"""From images to what the network would answer after each step."""


@torch.no_grad()
def accuracies(readouts: Readouts, images: Tensor, labels: Tensor, reference: Tensor) -> dict[str, Any]:
    """Accuracy in % after every step, and at the last step the share of answers that are the ANN's."""
    right: list[int]
    right_of_first: list[int]
    right, right_of_first, same = [], [], 0
    for start in range(0, len(images), BATCH):
        answers = [readout.argmax(1) for readout in readouts(images[start : start + BATCH])]
        here = slice(start, start + BATCH)
        right = right or [0] * len(answers)
        right = [r + int((a == labels[here]).sum()) for r, a in zip(right, answers, strict=True)]
        right_of_first = right if start + BATCH <= FIRST else right_of_first
        same += int((answers[-1] == reference[here]).sum())
    return {
        "accuracy": [100 * r / len(images) for r in right],
        f"accuracy_of_first_{FIRST}": [100 * r / min(FIRST, len(images)) for r in right_of_first],
        "agreement": 100 * same / len(images),
    }


def ours(network: nn.Module, calibration: Tensor, settings: dict[str, Any]) -> tuple[Readouts, dict[str, Any]]:
    """A converted network, and what its report says."""
    began = time.perf_counter()
    conversion = convert(network, calibration.split(50), **settings)
    about = {
        "convert_s": time.perf_counter() - began,
        "spikes_per_sample": conversion.report.spikes,
        "acs_per_sample": sum(site.accumulates or 0.0 for site in conversion.report.sites),
        "macs_per_sample": sum(site.multiplies or 0.0 for site in conversion.report.sites),
    }
    return lambda images: iter(conversion.model.readouts(images).unbind(0)), about


def spikingjelly(network: nn.Module, calibration: Tensor, recipe: str) -> Readouts:
    """SpikingJelly's conversion, driven step by step."""
    from spikingjelly.activation_based import ann2snn, functional

    batches = list(calibration.split(BATCH))
    makers = {
        "rate-coding 99.9 %": lambda: ann2snn.RateCodingRecipe(batches, mode="99.9%"),
        "rate-coding max": lambda: ann2snn.RateCodingRecipe(batches, mode="Max"),
        "local threshold balancing": lambda: ann2snn.LocalThresholdBalancingRecipe(batches),
    }
    snn = ann2snn.FXConverter(makers[recipe]()).convert(network).eval()

    def readouts(images: Tensor) -> Iterator[Tensor]:
        functional.reset_net(snn)
        total = torch.zeros(())
        for step in range(1, PEER_STEPS[-1] + 1):
            total = total + snn(images)
            if step in PEER_STEPS:
                yield total

    return readouts


def sinabs(network: nn.Module, calibration: Tensor, recipe: str) -> Readouts:
    """What sinabs makes of it; it chooses no thresholds, so calibration is not used."""
    from sinabs.from_torch import from_model

    def readouts(images: Tensor) -> Iterator[Tensor]:
        snn = from_model(network, batch_size=len(images)).spiking_model.eval()
        total = torch.zeros(())
        for step in range(1, PEER_STEPS[-1] + 1):
            total = total + snn(images)
            if step in PEER_STEPS:
                yield total

    return readouts


def settings(ways: list[str], steps: range) -> Iterator[dict[str, Any]]:
    """Every setting that is measured."""
    for calibrate in ways:
        for time_steps, members in SETTINGS if calibrate != "none" else SETTINGS[:4]:
            if time_steps not in steps:
                continue
            for neuron in ("group", "signed-group") if time_steps > 1 else ("group",):
                yield {"time_steps": time_steps, "members": members, "neuron": neuron, "calibrate": calibrate}


def jobs(options: argparse.Namespace) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """What is to be measured: depth, who and settings."""
    recipes = ("rate-coding 99.9 %", "rate-coding max", "local threshold balancing")
    for depth in options.depths:
        yield depth, "ann", {}
        ways = settings(options.calibrate, range(options.least_steps, options.most_steps + 1))
        yield from ((depth, "spikebridge", setting) for setting in ways)
        if options.peers:
            yield from ((depth, "spikingjelly", {"recipe": recipe}) for recipe in recipes)
            yield depth, "sinabs", {"recipe": "from_model"}


def measure(depth: int, who: str, settings: dict[str, Any], folder: Path, test: int) -> dict[str, Any]:
    """One line of results."""
    network = pretrained(depth, folder)
    calibration, images, labels = calibration_and_test(CALIBRATION, test=test)
    with torch.no_grad():
        reference = torch.cat([network(part).argmax(1) for part in images.split(BATCH)])
    about: dict[str, Any] = {}
    began = time.perf_counter()
    if who == "ann":
        readouts: Readouts = lambda images: iter([network(images)])  # noqa: E731
    elif who == "spikebridge":
        readouts, about = ours(network, calibration, settings)
    else:
        maker = {"spikingjelly": spikingjelly, "sinabs": sinabs}[who]
        readouts = maker(with_layers_alone(network), calibration, settings["recipe"])
    found = accuracies(readouts, images, labels, reference)
    steps = list(PEER_STEPS) if who in ("spikingjelly", "sinabs") else list(range(1, len(found["accuracy"]) + 1))
    return {**found, "steps": steps, **about, "seconds": time.perf_counter() - began}


def main() -> None:
    """Measure what is missing, a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--depths", type=int, nargs="+", default=[20, 32, 44, 56])
    parser.add_argument("--test", type=int, default=10_000)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--calibrate", nargs="*", default=["bias", "weights", "none"])
    parser.add_argument("--least-steps", type=int, default=1)
    parser.add_argument("--most-steps", type=int, default=16)
    options = parser.parse_args()
    RESULTS.touch()
    keys = ("depth", "who", "settings", "test")
    done = [{key: json.loads(line)[key] for key in keys} for line in RESULTS.read_text().splitlines()]
    for depth, who, settings in jobs(options):
        key = {"depth": depth, "who": who, "settings": settings, "test": options.test}
        if key in done:
            continue
        try:
            found = measure(depth, who, settings, options.weights, options.test)
        except ImportError as error:
            print(f"{who} is not installed ({error}); see benchmarks/requirements.txt")
            continue
        print(key, {name: value for name, value in found.items() if name != "environment"}, flush=True)
        with RESULTS.open("a") as file:
            file.write(json.dumps({**key, **found, "environment": environment()}) + "\n")


if __name__ == "__main__":
    main()
