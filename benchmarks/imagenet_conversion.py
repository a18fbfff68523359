"""Claim: networks with real ImageNet weights convert without training, and answer as they did in 1 to 4 steps.

EfficientNet-Lite0 and SqueezeNet 1.1. For every (T, members), plain and signed: the share of crops of real photos on
which the arg-max is the float network's, all crops and those of which the float network is sure, and the relative error
of the logits; beside it neurons, analog calls, spikes and accumulations from the report. Calibrated on crops of photos
of which none is in the test. No labels: what the networks say of a few well-known photos is a first check of them.

Needs Pillow, torchvision for the names of categories, the weights (see imagenet_networks.py), and packages with photos
unpacked under one folder (see imagenet_photos.py). Weights that are absent are skipped. Resumes where it stopped: what
results/imagenet_conversion.jsonl has is skipped.
Run: python benchmarks/imagenet_conversion.py PHOTOS_FOLDER [--lite0 FILE.pth] [--squeezenet FILE.pkl]
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from imagenet_networks import SIZES, pretrained, relative_error
from imagenet_photos import KNOWN, crops, halves, photos
from torch import Tensor, nn

from spikebridge import convert
from spikebridge.measure.record import environment

RESULTS = Path(__file__).parent / "results" / "imagenet_conversion.jsonl"
SETTINGS = [(1, 8), (1, 16), (1, 32), (1, 255), (2, 16), (4, 8)]
BATCH = 16
SURE = 0.5
"""Share of its probability that the float network gives to its answer, where it is called sure."""


@torch.no_grad()
def first_check(network: nn.Module, folder: Path, size: int) -> dict[str, Any]:
    """What the float network says of the middle of well-known photos."""
    import torchvision

    categories = torchvision.models.ResNet18_Weights.DEFAULT.meta["categories"]
    known = [name for name in KNOWN if name in photos(folder)]
    answers = [categories[i] for i in network(crops(folder, known, each=1, size=size)).argmax(1)]
    right = sum(answer in KNOWN[name] for name, answer in zip(known, answers, strict=True))
    return {"known_photos": len(known), "known_right": right, "said": dict(zip(known, answers, strict=True))}


def in_parts(function: Any, images: Tensor) -> Tensor:
    """A function of batches, applied to many images; the samples are on the last axis but one."""
    return torch.cat([function(part) for part in images.split(BATCH)], -2)


@torch.no_grad()
def converted(network: nn.Module, calibration: Tensor, test: Tensor, settings: dict[str, Any]) -> dict[str, Any]:
    """One conversion, compared with the float network."""
    began = time.perf_counter()
    conversion = convert(network, calibration.split(BATCH), **settings)
    seconds = time.perf_counter() - began
    expected, readouts = in_parts(network, test), in_parts(conversion.model.readouts, test)
    sure = expected.softmax(1).amax(1) >= SURE
    same = [readout.argmax(1) == expected.argmax(1) for readout in readouts]
    sites = conversion.report.sites
    return {
        "agreement": [100 * s.float().mean().item() for s in same],
        "agreement_where_sure": [100 * s[sure].float().mean().item() for s in same],
        "relative_error": [relative_error(readout, expected) for readout in readouts],
        "sure": int(sure.sum()),
        "distinct_answers": len(expected.argmax(1).unique()),
        "neurons": len(conversion.report.neurons),
        "analog_calls": len(conversion.report.analog),
        "analog_operations": dict(Counter(site.operation for site in conversion.report.analog)),
        "spikes_per_sample": conversion.report.spikes,
        "acs_per_sample": sum(site.accumulates or 0.0 for site in sites),
        "macs_per_sample": sum(site.multiplies or 0.0 for site in sites),
        "convert_s": seconds,
        "seconds": time.perf_counter() - began,
    }


def jobs(networks: list[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What is to be measured: network, who, settings."""
    yield from ((network, "ann", {}) for network in networks)
    for calibrate in ("bias", "none"):
        for time_steps, members in SETTINGS:
            for neuron in ("group", "signed-group") if time_steps > 1 else ("group",):
                settings = {"time_steps": time_steps, "members": members, "neuron": neuron, "calibrate": calibrate}
                yield from ((network, "spikebridge", settings) for network in networks)


def main() -> None:
    """Measure what is missing, a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--lite0", type=Path, default=Path("efficientnet-lite0-57934424.pth"))
    parser.add_argument("--squeezenet", type=Path, default=Path("squeezenet_weights.pkl"))
    parser.add_argument("--calibration-crops", type=int, default=3, help="crops of each photo for calibration")
    parser.add_argument("--test-crops", type=int, default=6, help="crops of each photo for the test")
    options = parser.parse_args()
    weights = dict(zip(SIZES, (options.lite0, options.squeezenet), strict=True))
    for name, path in weights.items():
        if not path.exists():
            print(f"{name}: there is no {path}; skipped")
    names = halves(options.photos)
    about = {
        "calibration": [len(names[0]), options.calibration_crops],
        "test": [len(names[1]), options.test_crops],
    }
    RESULTS.touch()
    done = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    for network_name, who, settings in jobs([name for name, path in weights.items() if path.exists()]):
        key = {"network": network_name, "who": who, "settings": settings, **about}
        if any(all(line[k] == v for k, v in key.items()) for line in done):
            continue
        size, network = SIZES[network_name], pretrained(network_name, weights[network_name])
        if who == "ann":
            found = first_check(network, options.photos, size)
        else:
            calibration = crops(options.photos, names[0], each=options.calibration_crops, size=size)
            test = crops(options.photos, names[1], each=options.test_crops, size=size)
            found = converted(network, calibration, test, settings)
        print(key, found, flush=True)
        with RESULTS.open("a") as file:
            file.write(json.dumps({**key, **found, "environment": environment()}) + "\n")


if __name__ == "__main__":
    main()
