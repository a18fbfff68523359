"""Claim: every torchvision classifier converts, equal at T = 1 to its QCFS twin, or is refused with every call named.

Random weights, since the claim is about arithmetic: ReLU modules become QCFS with 8 levels, members = 8, two images.
Needs torchvision. Resumes where it stopped: models already in results/zoo.jsonl are skipped.
Run: python benchmarks/zoo.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
import torchvision
from torch import nn

from spikebridge import QCFS, ConversionError, convert
from spikebridge.measure.record import environment

LEVELS = 8
RESULTS = Path(__file__).parent / "results" / "zoo.jsonl"
SIZES = {"inception_v3": 299, "alexnet": 224}
"""Image sizes of models that need a particular one; the attention models need 224, the others do with 96."""


def quantise(network: nn.Module) -> nn.Module:
    """Replace every ReLU module by QCFS."""
    for name, child in network.named_children():
        if type(child) is nn.ReLU:
            setattr(network, name, QCFS(levels=LEVELS, threshold=4.0))
        else:
            quantise(child)
    return network


@torch.no_grad()
def outcome(name: str) -> dict[str, object]:
    """Convert one model, and compare."""
    torch.manual_seed(0)
    network = quantise(torchvision.models.get_model(name, weights=None).eval())
    size = SIZES.get(name, 224 if name.startswith(("vit", "swin", "maxvit")) else 96)
    images = torch.randn(2, 3, size, size)
    try:
        conversion = convert(network, images, members=LEVELS)
    except ConversionError as error:
        calls = re.findall(r"^  '[^']+' \((.+?)\) at (.+?):\d+: ", str(error), flags=re.MULTILINE)
        named = {"operations": sorted({operation for operation, _ in calls}), "calls": len(calls)}
        return {"outcome": "refused", **(named if calls else {"reason": str(error).splitlines()[0]})}
    difference = (conversion.model(images) - network(images)).abs().max().item()
    return {"outcome": "converted", "neurons": len(conversion.report.neurons), "largest_difference": difference}


def main() -> None:
    """Go through the zoo, one line per model."""
    done = {json.loads(line)["model"] for line in RESULTS.read_text().splitlines()} if RESULTS.exists() else set()
    about = environment()
    for name in torchvision.models.list_models(module=torchvision.models):
        if name not in done:
            line = {"model": name, **outcome(name), "torchvision": torchvision.__version__, "environment": about}
            print(name, {key: value for key, value in line.items() if key not in ("model", "environment")}, flush=True)
            with RESULTS.open("a") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
