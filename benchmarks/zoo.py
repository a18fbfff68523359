"""Claim: every torchvision classifier converts or is refused with every call named, and answers as the network does.

Random weights, since no others are at hand; BatchNorm statistics from random images, so that activations have the sizes
they have in trained networks. For each model: convert(model, images, members=255), then the share of further images on
which the arg-max is the network's, beside how many different answers there were; and how many calls are neurons, exact
and analog. Some random networks are chaotic, and then 255 levels are coarse: below 99 %, the same with 65,535 levels;
and for all, what noise of 0.001 of an image does to the network itself. Then its twin with QCFS of 8 levels in place of
every ReLU module: the largest difference at T = 1.

With --quick only the first claim, on as few images as it takes: 4 images, thresholds="max", compared on the same.

Needs torchvision. Resumes where it stopped: models already in results/zoo.jsonl (zoo_quick.jsonl) are skipped.
Run: python benchmarks/zoo.py [--quick] [MODEL ...]
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from spikebridge import QCFS, ConversionError, convert
from spikebridge.measure.record import environment

MEMBERS, FINE, LEVELS = 255, 65535, 8
CALIBRATION, TEST, BATCH = 32, 32, 16
RESULTS = Path(__file__).parent / "results"
SIZES = {"inception_v3": 299, "alexnet": 224}
"""Image sizes of models that need a particular one; the attention models need 224, the others do with 96."""


def random_images(count: int, size: int) -> Tensor:
    """Images with structure on every scale: a sum of noises from 2 x 2 pixels up, each as strong as the next."""
    images = torch.zeros(count, 3, size, size)
    side = 2
    while side <= size:
        noise = torch.randn(count, 3, side, side)
        images += nn.functional.interpolate(noise, size=(size, size), mode="bilinear", antialias=False)
        side *= 2
    return images / images.std()


def with_statistics(network: nn.Module, images: Tensor) -> nn.Module:
    """Let BatchNorm layers take their statistics from images."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None
    if norms:
        network(images)
    return network.eval()


def quantise(network: nn.Module) -> int:
    """Replace every ReLU module by QCFS; how many there were."""
    count = 0
    for name, child in network.named_children():
        if type(child) is nn.ReLU:
            setattr(network, name, QCFS(levels=LEVELS, threshold=4.0))
            count += 1
        else:
            count += quantise(child)
    return count


def prepared(name: str, count: int) -> tuple[nn.Module, Tensor, int]:
    """A model with statistics from images, those images, and their size."""
    torch.manual_seed(0)
    size = SIZES.get(name, 224 if name.startswith(("vit", "swin", "maxvit")) else 96)
    images = random_images(count, size)
    settings = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return with_statistics(torchvision.models.get_model(name, weights=None, **settings).eval(), images), images, size


def refusal(error: ConversionError) -> dict[str, Any]:
    """What was refused, by name."""
    calls = re.findall(r"^  '[^']+' \((.+?)\) at (.+?):\d+: ", str(error), flags=re.MULTILINE)
    named = {"operations": sorted({operation for operation, _ in calls}), "calls": len(calls)}
    return {"outcome": "refused", **(named if calls else {"reason": str(error).splitlines()[0]})}


@torch.no_grad()
def quick_outcome(name: str) -> dict[str, Any]:
    """Convert one model on a few images, and compare on the same."""
    network, images, _ = prepared(name, 4)
    began = time.perf_counter()
    try:
        conversion = convert(network, images, members=MEMBERS, thresholds="max")
    except ConversionError as error:
        return refusal(error)
    seconds = time.perf_counter() - began
    expected, found = network(images), conversion.model(images)
    return {
        "outcome": "converted",
        "convert_s": seconds,
        "neurons": len(conversion.report.neurons),
        "calls": dict(Counter(site.fidelity for site in conversion.report.sites)),
        "agreement": agreement(found, expected),
        "error": ((found - expected).norm() / expected.norm()).item(),
    }


@torch.no_grad()
def outcome(name: str) -> dict[str, Any]:
    """Convert one model, and compare."""
    network, images, size = prepared(name, CALIBRATION)
    test = random_images(TEST, size)
    began = time.perf_counter()
    try:
        conversion = convert(network, images.split(BATCH), members=MEMBERS)
    except ConversionError as error:
        return refusal(error)
    seconds = time.perf_counter() - began
    expected = answers(network, test)
    noisy = answers(lambda part: network(part + 1e-3 * torch.randn_like(part)), test)
    compared = {"": answers(conversion.model, test), "_noise": noisy}
    if agreement(compared[""], expected) < 99.0:
        fine = convert(network, images.split(BATCH), members=FINE).model
        compared["_65535"] = answers(fine, test)
    spread = (expected - expected.mean(0)).norm()
    return {
        "outcome": "converted",
        "convert_s": seconds,
        "neurons": len(conversion.report.neurons),
        "calls": dict(Counter(site.fidelity for site in conversion.report.sites)),
        "distinct_answers": len(expected.argmax(1).unique()),
        **{f"agreement{which}": agreement(found, expected) for which, found in compared.items()},
        **{f"error{which}": ((found - expected).norm() / spread).item() for which, found in compared.items()},
        "qcfs_difference": qcfs_difference(network, images),
    }


def answers(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """The logits of all images."""
    return torch.cat([network(part) for part in images.split(BATCH)])


def agreement(found: Tensor, expected: Tensor) -> float:
    """The share of images in % with the same arg-max."""
    return 100 * (found.argmax(1) == expected.argmax(1)).float().mean().item()


def qcfs_difference(network: nn.Module, images: Tensor) -> float | None:
    """The largest difference at T = 1 from the twin with QCFS; None where it has other activations too."""
    twin = copy.deepcopy(network)
    if not quantise(twin):
        return None
    conversion = convert(twin.eval(), images[:2], members=LEVELS, thresholds="max")
    if any(neuron.fidelity != "exact" for neuron in conversion.report.neurons):
        return None
    difference: float = (conversion.model(images[:2]) - twin(images[:2])).abs().max().item()
    return difference


def weights(name: str) -> int:
    """How large a model is, so that the small ones come first."""
    return int(torchvision.models.get_model_weights(name).DEFAULT.meta["num_params"])


def main() -> None:
    """Go through the zoo, one line per model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    results = RESULTS / ("zoo_quick.jsonl" if options.quick else "zoo.jsonl")
    done = {json.loads(line)["model"] for line in results.read_text().splitlines()} if results.exists() else set()
    about = environment()
    names = options.models or sorted(torchvision.models.list_models(module=torchvision.models), key=weights)
    for name in names:
        if name not in done:
            found = quick_outcome(name) if options.quick else outcome(name)
            line = {"model": name, **found, "torchvision": torchvision.__version__, "environment": about}
            print(name, {key: value for key, value in line.items() if key not in ("model", "environment")}, flush=True)
            with results.open("a") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
