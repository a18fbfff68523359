"""Asked: how long the reference networks take to compile, and how long once the compiler's cache is warm.

The first training step of each network (forward, loss and backward, T = 4, batch 8), compiled, in a process of its own:
first with an empty cache, then again with what that process left on disk. Beside them an uncompiled first step, and the
step after, compiled.

Appends to results/compile_cost.jsonl. Run: python benchmarks/compile_cost.py [NAME ...]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from spikebridge import LIF, Direct, Hybrid, SpikingNetwork, adapt
from spikebridge.measure.record import environment
from spikebridge.models import has_resnet, lenet_cifar, spikformer, spiking_resnet

RESULTS = Path(__file__).parent / "results" / "compile_cost.jsonl"
STEPS, BATCH = 4, 8
NEURON = partial(LIF, decay_input=True)


def spiking(body: nn.Module) -> nn.Module:
    """On a repeated image."""
    return SpikingNetwork(body, encoder=Direct(time_steps=STEPS))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "LeNet": lambda: spiking(lenet_cifar(activation=NEURON)),
    "SEW ResNet-18": lambda: spiking(spiking_resnet(stages=(2, 2, 2, 2), activation=NEURON)),
    "SEW ResNet-18, adaptive": lambda: adapt(
        spiking(spiking_resnet(stages=(2, 2, 2, 2), activation=NEURON)), STEPS, encoder=Hybrid(time_steps=STEPS)
    ),
    "Spikformer-2-256": lambda: spiking(spikformer(depth=2, width=256, published_norms=False, activation=NEURON)),
    "HAS-8-ResNet-b32": lambda: has_resnet(width=32, stem="cifar"),
}


def first_steps(name: str, *, is_compiled: bool) -> dict[str, float]:
    """Seconds of the first step and of the third."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    network = NETWORKS[name]().train()
    drive = torch.compile(network, fullgraph=True) if is_compiled else network
    images, targets = torch.rand(BATCH, 3, 32, 32), torch.randint(10, (BATCH,))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        F.cross_entropy(drive(images), targets).backward()
        seconds.append(round(time.perf_counter() - start, 3))
    return {"first_s": seconds[0], "third_s": seconds[2]}


def in_a_process(name: str, cache: str, *, is_compiled: bool) -> dict[str, float]:
    """The same, in a fresh interpreter with its own cache of compiled code."""
    words = [sys.executable, __file__, name, "--inside", *(["--eager"] if not is_compiled else [])]
    settings = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
    done = subprocess.run(words, env=settings, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Every network: eager, cold, warm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(NETWORKS))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--eager", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(first_steps(options.names[0], is_compiled=not options.eager)))
        return
    for name in options.names:
        with tempfile.TemporaryDirectory() as cache:
            found = {
                "eager": in_a_process(name, cache, is_compiled=False),
                "cold": in_a_process(name, cache, is_compiled=True),
                "warm": in_a_process(name, cache, is_compiled=True),
            }
        print(name, found, flush=True)
        with RESULTS.open("a") as file:
            file.write(json.dumps({"network": name, **found, "environment": environment()}) + "\n")


if __name__ == "__main__":
    main()
