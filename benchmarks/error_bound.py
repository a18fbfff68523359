"""Claim: of 10^6 inputs, random, corners and adversarial, none breaks `error_bound`; and how tight it is, by layer.

A digits MLP and a digits CNN, trained here, each converted at T = 1, 2 and 4, plain and signed; the inputs are shared
out among the twelve. Tightness is the largest error seen as a share of the bound. `point` is the bound of the output
for boxes of one test image each, and the error found there, as means over images.
Appends one line per conversion to results/error_bound.jsonl. Run: python benchmarks/error_bound.py [inputs]
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikebridge import Conversion, convert, error_bound
from spikebridge.conversion import ErrorBound, adversarial
from spikebridge.data import load
from spikebridge.measure.record import environment

RESULTS = Path(__file__).parent / "results" / "error_bound.jsonl"
SETTINGS = [(steps, neuron) for steps in (1, 2, 4) for neuron in ("group", "signed-group")]
BATCH, ATTACKED, MOVES, POINTS, EPOCHS = 4096, 0.01, 10, 20, 40


def mlp() -> nn.Module:
    """Two hidden layers of 64."""
    hidden = [nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(64, 10))


def cnn() -> nn.Module:
    """Two convolutions with BatchNorm and max-pooling."""
    first = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(64, 10))


def trained(network: nn.Module, images: Tensor, labels: Tensor) -> nn.Module:
    """The network after a few seconds of Adam."""
    optimiser = torch.optim.Adam(network.parameters(), 3e-3, weight_decay=1e-4)
    for _ in range(EPOCHS):
        for part in torch.randperm(len(images)).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(images[part]), labels[part]).backward()
            optimiser.step()
    return network.eval()


def inputs(bound: ErrorBound, images: Tensor, count: int) -> Iterator[Tensor]:
    """Uniform in the box, its corners, images with noise; a share of each moved uphill against every site in turn."""
    low, high = bound.box
    names = [site.name for site in bound.sites]
    turn, left = 0, count
    while left:
        size = min(BATCH, left)
        uniform = low + (high - low) * torch.rand(size, *low.shape)
        corners = torch.where(torch.rand_like(uniform) < torch.rand(size, *[1] * low.ndim), low, high)
        noisy = images[torch.randint(len(images), (size,))] + 0.2 * (high - low) * torch.randn_like(uniform)
        values = (uniform, corners, noisy)[turn % 3].clamp(low, high)
        worst = max(1, int(ATTACKED * size))
        values[:worst] = adversarial(bound, values[:worst], site=names[turn % len(names)], moves=MOVES)
        yield values
        turn, left = turn + 1, left - size


def point_bounds(network: nn.Module, conversion: Conversion, images: Tensor) -> dict[str, float]:
    """The output's bound for one image at a time, and the error found."""
    rows = [error_bound(network, conversion, box=(image, image)).measure(image[None]) for image in images[:POINTS]]
    bounds, errors = ([getattr(row["output"], name) for row in rows] for name in ("bound", "observed"))
    return {"bound": sum(bounds) / POINTS, "error": sum(errors) / POINTS, "violations": sum(r.violations for r in rows)}


def layers(bound: ErrorBound) -> list[dict[str, Any]]:
    """A row for every site."""
    names = ("name", "bound", "mean", "local", "ranges", "vacuous", "observed", "tightness")
    return [{name: getattr(site, name) for name in names} for site in bound.sites]


def outcome(network: nn.Module, images: Tensor, *, steps: int, neuron: str, count: int) -> dict[str, Any]:
    """Convert, bound, and try to break the bound."""
    start = time.perf_counter()
    conversion = convert(network, images[:500], time_steps=steps, members=8, neuron=neuron)
    bound = error_bound(network, conversion)
    took = time.perf_counter() - start
    for values in inputs(bound, images, count):
        bound = bound.measure(values)
    print(bound, flush=True)
    point = point_bounds(network, conversion, images[500:])
    counts = {"inputs": bound.inputs, "violations": bound.violations, "seconds_to_bound": round(took, 2)}
    return {"time_steps": steps, "members": 8, "neuron": neuron, **counts, "layers": layers(bound), "point": point}


def main() -> None:
    """Both networks, every setting."""
    torch.manual_seed(0)
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    train, _, _ = load("digits")
    images, labels = (torch.stack([torch.as_tensor(sample[i]) for sample in train]) for i in (0, 1))
    about = environment()
    share = -(-total // (2 * len(SETTINGS)))
    for name, build in (("digits MLP", mlp), ("digits CNN", cnn)):
        network = trained(build(), images, labels)
        for steps, neuron in SETTINGS:
            line = {"network": name, **outcome(network, images, steps=steps, neuron=neuron, count=share)}
            with RESULTS.open("a") as file:
                file.write(json.dumps({**line, "environment": about}) + "\n")


if __name__ == "__main__":
    main()
