"""Asked: a training step of Spiking ResNet-18 in half of SpikingJelly's time, and in 1.25 times that of the bare ANN.

Not recorded yet. By hand, on a busy machine, one thread, float32: 1.02 times the ANN, and 1.2 times faster than
SpikingJelly, whose step is only 1.2 times the ANN's there: half its time is not to be had.

T = 4, batch 16, 32x32: the SEW ResNet-18 here, compiled and not, SpikingJelly 2.0's own of the same layers, and the
same definition with ReLUs on T * batch images, which multiplies as much. Likewise Spikformer-2-256, and the SEW ResNet
with adaptive neurons against frozen ones. Forward, cross-entropy of the mean over time, backward; no optimiser.

All in one process, in turn, medians of ratios within a round; then each network in a process of its own, for the peak
of its memory during a step, over what it had before. Precision float32, or bfloat16 by autocast (--precision bf16);
images and kernels of the networks here with channels last, SpikingJelly's as its documentation has them.

Appends a line to results/training_step.jsonl. Needs requirements.txt.
Run: python benchmarks/training_step.py [resnet18|spikformer|adaptive] [--precision bf16] [--rounds 9] [--threads 2]
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import multiprocessing
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from alternating import Action, alternate
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import LIF, Direct, SpikingNetwork, adapt
from spikebridge.core.allocator import keep_freed_memory
from spikebridge.measure.record import environment
from spikebridge.models import spikformer, spiking_resnet

RESULTS = Path(__file__).parent / "results" / "training_step.jsonl"
STEPS, BATCH, SIDE, CLASSES = 4, 16, 32, 10
Network = Callable[[Tensor], Tensor]


def here(body: nn.Module) -> nn.Module:
    """A network of ours on a repeated image, channels last."""
    return SpikingNetwork(body, encoder=Direct(time_steps=STEPS)).to(memory_format=torch.channels_last)


class AllSteps(nn.Module):
    """The same layers as an ANN, on as many images as the spiking network has steps of images."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        answers: Tensor = self.body(images.repeat(STEPS, 1, 1, 1)).unflatten(0, (STEPS, -1)).mean(0)
        return answers


class Jelly(nn.Module):
    """A network of SpikingJelly, reset before every batch as its training loops do."""

    def __init__(self, network: nn.Module, *, repeats: bool) -> None:
        from spikingjelly.activation_based import functional

        super().__init__()
        functional.set_step_mode(network, "m")
        self.network, self.repeats, self.reset = network, repeats, functional.reset_net

    def forward(self, images: Tensor) -> Tensor:
        self.reset(self.network)
        given = images.repeat(STEPS, 1, 1, 1, 1) if self.repeats else images
        answers: Tensor = self.network(given)
        return answers.mean(0) if answers.ndim == 3 else answers


def jelly_resnet() -> nn.Module:
    """Its SEW ResNet-18 of LIF neurons."""
    from spikingjelly.activation_based import neuron, surrogate
    from spikingjelly.activation_based.model import sew_resnet

    settings = {"tau": 2.0, "detach_reset": True, "surrogate_function": surrogate.Sigmoid()}
    made = sew_resnet.sew_resnet18(cnf="ADD", spiking_neuron=neuron.LIFNode, num_classes=CLASSES, **settings)
    return Jelly(made, repeats=True)


def jelly_spikformer() -> nn.Module:
    """Its Spikformer, with its own LIF neurons."""
    from spikingjelly.activation_based.model.spikformer import Spikformer

    sizes = {"img_size_h": SIDE, "img_size_w": SIDE, "patch_size": 4, "embed_dims": 256, "num_heads": 8, "depths": 2}
    return Jelly(Spikformer(T=STEPS, in_channels=3, num_classes=CLASSES, mlp_ratio=4.0, **sizes), repeats=False)


lif = partial(LIF, decay_input=True)
resnet = partial(spiking_resnet, depth=18, stem="imagenet", classes=CLASSES)
former = partial(spikformer, depth=2, width=256, heads=8, classes=CLASSES, image_size=SIDE, published_norms=False)
NETWORKS: dict[str, dict[str, Callable[[], nn.Module]]] = {
    "resnet18": {
        "here": lambda: here(resnet(activation=lif)),
        "ANN": lambda: AllSteps(resnet(activation=nn.ReLU)),
        "SpikingJelly": jelly_resnet,
    },
    "spikformer": {
        "here": lambda: here(former(activation=lif)),
        "SpikingJelly": jelly_spikformer,
    },
    "adaptive": {
        "here": lambda: here(resnet(activation=lif)),
        "adaptive": lambda: adapt(here(resnet(activation=lif)), STEPS).to(memory_format=torch.channels_last),
    },
}
COMPILED = ("here", "ANN", "adaptive")
AGAINST = {"resnet18": "ANN, compiled", "spikformer": "here, compiled", "adaptive": "here, compiled"}


def step(network: Network, images: Tensor, targets: Tensor, *, precision: str) -> None:
    """Forward and backward."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        loss = F.cross_entropy(network(images).float(), targets)
    loss.backward()


def batch() -> tuple[Tensor, Tensor]:
    """Drawn images."""
    images = torch.rand(BATCH, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    return images, torch.randint(CLASSES, (BATCH,))


def made(which: str, name: str) -> Network:
    """A network by its name; compiled where that says so."""
    torch.manual_seed(0)
    plain, _, how = name.partition(", ")
    network = NETWORKS[which][plain]().train()
    return torch.compile(network) if how else network


def names(which: str) -> list[str]:
    """All ways to run the networks."""
    each = list(NETWORKS[which])
    return [f"{name}, compiled" for name in each if name in COMPILED] + each


def peak(which: str, name: str, precision: str, threads: int, answer: Any) -> None:
    """MiB that a step takes at its peak over what the process had before it, when the network has run before."""
    torch.set_num_threads(threads)
    network, given = made(which, name), batch()
    for _ in range(2):
        step(network, *given, precision=precision)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what the C library has kept is not the network's
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    step(network, *given, precision=precision)
    answer.put(resident("VmHWM") - before)


def resident(what: str) -> float:
    """A line of the process's memory, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))


def main() -> None:
    """Measure times, then memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=NETWORKS, nargs="?", default="resnet18")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    which, given, keeps = options.network, batch(), keep_freed_memory()
    actions: dict[str, Action] = {
        name: partial(step, made(which, name), *given, precision=options.precision) for name in names(which)
    }
    found = alternate(actions, rounds=options.rounds, against=AGAINST[which])
    context = multiprocessing.get_context("spawn")
    for name in found:
        answer = context.Queue()
        process = context.Process(target=peak, args=(which, name, options.precision, options.threads, answer))
        process.start()
        found[name]["peak_mib"] = round(answer.get(timeout=1200), 1)
        process.join()
        print(f"{name:<24} {found[name]}", flush=True)
    line = {
        "network": which,
        "precision": options.precision,
        "threads": options.threads,
        "against": AGAINST[which],
        "allocator": "keeps memory" if keeps else "as it is",
        "found": found,
    }
    with RESULTS.open("a") as file:
        file.write(json.dumps({**line, "environment": environment()}) + "\n")


if __name__ == "__main__":
    main()
