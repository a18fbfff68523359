"""Claim: compiled, the time loop `run` costs a small multiple of copying its input once, forward and backward.

Measured as ratios inside one process, each call against a copy made right before it: machines are noisy, ratios are
less so.
Appends one line per neuron to results/driver.jsonl. Run: make bench
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from spikebridge.measure.record import environment
from spikebridge.neurons import NEURONS

SHAPE = (4, 64, 128, 16, 16)  # [time, batch, channels, height, width]: 8.4 million currents
REPEATS = 9
RESULTS = Path(__file__).parent / "results" / "driver.jsonl"


def seconds(action: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def multiple(action: Callable[[], object], copy: Callable[[], object]) -> float:
    """The median ratio of a call to a copy made right before it, after a warm-up."""
    action()
    return round(statistics.median([1.0 / seconds(copy) * seconds(action) for _ in range(REPEATS)]), 1)


def ratios(neuron: torch.nn.Module) -> dict[str, float]:
    """Time of the neuron as multiples of one copy of its input into memory that is there already."""
    x = torch.randn(SHAPE)
    leaf, target = x.clone().requires_grad_(), torch.empty(SHAPE)
    compiled = torch.compile(neuron, fullgraph=True)

    def forward(module: Callable[[torch.Tensor], torch.Tensor]) -> None:
        with torch.no_grad():
            module(x)

    def both(module: Callable[[torch.Tensor], torch.Tensor]) -> None:
        leaf.grad = None
        module(leaf).sum().backward()

    return {
        f"{stage} {mode}": multiple(partial(action, module), partial(target.copy_, x))
        for mode, module in (("eager", neuron), ("compiled", compiled))
        for stage, action in (("forward", forward), ("forward+backward", both))
    }


def main() -> None:
    """Measure every neuron of the catalogue."""
    torch.manual_seed(0)
    RESULTS.parent.mkdir(exist_ok=True)
    about = environment()
    for name, kind in NEURONS.items():
        torch._dynamo.reset()
        line = {"neuron": name, "shape": SHAPE, "multiples_of_a_copy": ratios(kind()), "environment": about}
        print(name, line["multiples_of_a_copy"])
        with RESULTS.open("a") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
