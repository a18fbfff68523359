"""Claim: unscaled sine surrogates explode through codes in series; straight-through ones and rescaled ones do not.

`has_resnet` of width 8, all blocks in series (8 codes one behind the other), freshly initialised, one batch of
CIFAR-10: the norm of the loss's gradient at the weights of the first convolution, and of the readout, for each
surrogate and rescaling. Appends one line per cell and seed to results/hybrid_gradients.jsonl, and prints medians.

Run: python benchmarks/hybrid_gradients.py [--seeds 0 1 2 3 4]
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from functools import partial
from pathlib import Path

import torch
from torch import nn

from spikebridge import BitPlane
from spikebridge.data import load
from spikebridge.measure.record import environment
from spikebridge.models import has_resnet

RESULTS = Path(__file__).parent / "results" / "hybrid_gradients.jsonl"
BATCH, WIDTH, BITS = 64, 8, 8
RESCALED = itertools.product(("sig_sine", "tanh_sine", "fourier_sine"), ("none", "paper", "flat"))
CELLS = [("none", "none"), ("straight_through", "none"), *RESCALED]


def gradients(surrogate: str, rescale: str, *, seed: int) -> tuple[float, float]:
    """The gradient's norm at the first convolution and at the readout."""
    torch.manual_seed(seed)
    code = partial(BitPlane, bits=BITS, surrogate=surrogate, rescale=rescale, value_range="running")
    network = has_resnet(width=WIDTH, branches="serial", encoder=code).train()
    images, labels = load("cifar-10", seed=seed).train[:BATCH]
    nn.functional.cross_entropy(network(images), labels).backward()
    kernels = [part.weight for part in network.modules() if isinstance(part, (nn.Conv2d, nn.Linear))]
    first, last = (0.0 if kernel.grad is None else kernel.grad.norm().item() for kernel in (kernels[0], kernels[-1]))
    return first, last


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    seeds = parser.parse_args().seeds
    print("| surrogate | rescale | first convolution | readout |\n|---|---|---:|---:|")
    for surrogate, rescale in CELLS:
        found = [gradients(surrogate, rescale, seed=seed) for seed in seeds]
        with RESULTS.open("a") as file:
            for seed, (first, last) in zip(seeds, found, strict=True):
                line = {"surrogate": surrogate, "rescale": rescale, "seed": seed, "first": first, "readout": last}
                file.write(json.dumps({**line, "environment": environment()}) + "\n")
        first, last = (statistics.median(values) for values in zip(*found, strict=True))
        print(f"| {surrogate} | {rescale} | {first:.2g} | {last:.2g} |", flush=True)


if __name__ == "__main__":
    main()
