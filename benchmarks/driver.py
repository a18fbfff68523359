"""Claim: compiled, the time loop `run` costs a small multiple of copying its input once, forward and backward.

Measured as ratios inside one process, against a copy of the same tensor: machines are noisy, ratios are less so.
Appends one line per neuron to results/driver.jsonl. Run: make benchmark
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from spikebridge.measure.record import environment
from spikebridge.neurons import NEURONS

SHAPE = (4, 64, 128, 16, 16)  # [time, batch, channels, height, width]: 8.4 million currents
REPEATS = 9
RESULTS = Path(__file__).parent / "results" / "driver.jsonl"


def seconds(action: Callable[[], object]) -> float:
    """The median time of one call, after a warm-up."""
    action()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def ratios(neuron: torch.nn.Module) -> dict[str, float]:
    """Time of the neuron as multiples of one copy of its input."""
    x = torch.randn(SHAPE)
    leaf = x.clone().requires_grad_()
    copy = seconds(x.clone)
    compiled = torch.compile(neuron, fullgraph=True)

    def forward(module: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], object]:
        def action() -> object:
            with torch.no_grad():
                return module(x)

        return action

    def both(module: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], object]:
        def action() -> None:
            leaf.grad = None
            module(leaf).sum().backward()

        return action

    return {
        f"{stage} {mode}": round(seconds(make(module)) / copy, 2)
        for mode, module in (("eager", neuron), ("compiled", compiled))
        for stage, make in (("forward", forward), ("forward+backward", both))
    }


def main() -> None:
    """Measure every neuron of the catalogue."""
    torch.manual_seed(0)
    RESULTS.parent.mkdir(exist_ok=True)
    for name, kind in NEURONS.items():
        torch._dynamo.reset()
        line = {"neuron": name, "shape": SHAPE, "multiples_of_a_copy": ratios(kind()), "environment": environment()}
        print(name, line["multiples_of_a_copy"])
        with RESULTS.open("a") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
