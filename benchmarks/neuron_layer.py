"""Asked: a LIF layer, T = 4 and 8.4 million currents, in at most 2 copies of them forward, 6 with backward.

Not recorded yet.

A copy goes into memory that is there already. The same layer by SpikingJelly 2.0, snnTorch 1.0 and norse 1.1, as their
documentation runs them, and by the time loop here, compiled and not: decay 1/2, soft reset, the sigmoid surrogate of
slope 4 where a library has these (norse: reset to zero and its own surrogate). All in one process, in turn; medians of
ratios within a round. Once as the C library is, which gives large blocks back to the system, and once when it has been
told to keep them (docs/scale.md).

Appends two lines to results/neuron_layer.jsonl. Needs requirements.txt. Run: python benchmarks/neuron_layer.py
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import norse.torch as norse
import snntorch
import torch
from alternating import Action, alternate
from snntorch import surrogate as snntorch_surrogate
from spikingjelly.activation_based import functional, neuron, surrogate
from torch import Tensor

from spikebridge import LIF
from spikebridge.core.allocator import keep_freed_memory
from spikebridge.measure.record import environment

RESULTS = Path(__file__).parent / "results" / "neuron_layer.jsonl"
SHAPE = (4, 64, 128, 16, 16)  # [time, batch, channels, height, width]
Layer = Callable[[Tensor], Tensor]


def spikingjelly_layer() -> Layer:
    """Its multi-step node; state is reset before every train, as its training loops do."""
    node = neuron.LIFNode(
        tau=2.0, decay_input=False, v_reset=None, surrogate_function=surrogate.Sigmoid(alpha=4.0), step_mode="m"
    )

    def layer(currents: Tensor) -> Tensor:
        functional.reset_net(node)
        spikes: Tensor = node(currents)
        return spikes

    return layer


def snntorch_layer() -> Layer:
    """Its node, in the loop over time of its tutorials."""
    node = snntorch.Leaky(beta=0.5, spike_grad=snntorch_surrogate.sigmoid(slope=4), reset_mechanism="subtract")

    def layer(currents: Tensor) -> Tensor:
        membrane, steps = node.reset_mem(), []
        for current in currents:
            spikes, membrane = node(current, membrane)
            steps.append(spikes)
        return torch.stack(steps)

    return layer


def norse_layer() -> Layer:
    """Its box neuron lifted over time, which has no synaptic current."""
    node = norse.Lift(norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=torch.tensor(500.0))))

    def layer(currents: Tensor) -> Tensor:
        spikes: Tensor = node(currents)[0]
        return spikes

    return layer


def actions() -> dict[str, Action]:
    """A copy, and every layer forward and with backward."""
    currents = torch.randn(SHAPE)
    target, leaf, grad = torch.empty(SHAPE), currents.clone().requires_grad_(), torch.randn(SHAPE)
    ours = LIF()
    layers: dict[str, Layer] = {
        "here, compiled": torch.compile(ours, fullgraph=True),
        "here": ours,
        "SpikingJelly": spikingjelly_layer(),
        "snnTorch": snntorch_layer(),
        "norse": norse_layer(),
    }

    def forward(layer: Layer) -> None:
        with torch.no_grad():
            layer(currents)

    def both(layer: Layer) -> None:
        leaf.grad = None
        layer(leaf).backward(grad)

    found: dict[str, Action] = {"copy": lambda: target.copy_(currents)}
    for name, layer in layers.items():
        found[f"{name}: forward"] = lambda layer=layer: forward(layer)  # type: ignore[misc]
        found[f"{name}: forward and backward"] = lambda layer=layer: both(layer)  # type: ignore[misc]
    return found


def main() -> None:
    """Measure as it is, then keeping memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    for allocator in ("as it is", "keeps memory"):
        if allocator == "keeps memory" and not keep_freed_memory():
            break
        found = alternate(actions(), rounds=options.rounds, against="copy")
        for name, line in found.items():
            print(f"{allocator:<13} {name:<40} {line['ratio']:>7} copies {line['quartiles']}", flush=True)
        line = {"shape": SHAPE, "threads": options.threads, "allocator": allocator, "copies": found}
        with RESULTS.open("a") as file:
            file.write(json.dumps({**line, "environment": environment()}) + "\n")


if __name__ == "__main__":
    main()
