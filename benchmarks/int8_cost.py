"""Claim: spiking networks in eight bits are faster than in float32, mobilenet_v2 on one image aside, and as accurate.

The float network, its conversion at T = 1 with 16 levels, and that in eight bits (`to_int8`), all compiled, channels
last, on one thread, in turn in one process: medians of ratios within a round. CIFAR ResNet-20, torchvision's resnet18
and mobilenet_v2 at 224, batches of 1 and 32; random weights, which cost what trained ones do. Likewise a SEW ResNet-18
as it is trained, T = 4, 32x32: in float32, in bfloat16 by autocast, and in eight bits. With --weights, the accuracy of
the four published CIFAR-10 ResNets on all 10,000 test images before and after, calibrated as in cifar_conversion.py.

Appends to results/int8_cost.jsonl. Run: python benchmarks/int8_cost.py [--weights FOLDER] [--rounds 15] [--no-times]
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from alternating import alternate
from cifar_conversion import CALIBRATION
from cifar_resnets import PUBLISHED, calibration_and_test, pretrained
from inference_cost import BATCHES, MEMBERS, NETWORKS
from rich.progress import track
from torch import Tensor, nn

from spikebridge import LIF, Direct, SpikingNetwork, convert, to_int8
from spikebridge.core.allocator import keep_freed_memory
from spikebridge.measure.record import environment
from spikebridge.models import spiking_resnet

RESULTS = Path(__file__).parent / "results" / "int8_cost.jsonl"


def times(name: str, batch: int, rounds: int) -> dict[str, Any]:
    """One network at one size."""
    torch.manual_seed(0)
    torch._dynamo.reset()
    make, size = NETWORKS[name]
    network = make().eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    snn = convert(network, torch.randn(8, 3, size, size), members=MEMBERS, thresholds="max").model
    found = to_int8(snn)
    ways = {"float": network, "converted": snn, "eight bits": found.model}
    compiled = {way: torch.compile(module, fullgraph=True) for way, module in ways.items()}
    actions: dict[str, Any] = {way: (lambda module=module: module(images)) for way, module in compiled.items()}
    times = alternate(actions, rounds=rounds, against="float", warm_ups=2)
    return {"layers": len(found.layers), "kept": len(found.kept), "found": times}


def trained(batch: int, rounds: int) -> dict[str, Any]:
    """A network of neurons in three arithmetics."""
    torch.manual_seed(0)
    torch._dynamo.reset()
    body = spiking_resnet(stages=(2, 2, 2, 2), activation=partial(LIF, decay_input=True))
    network = SpikingNetwork(body, encoder=Direct(time_steps=4)).to(memory_format=torch.channels_last)
    images = torch.rand(batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    network(images)  # in training mode, for its norms: silent neurons would cost less
    found = to_int8(network.eval())
    single, small = (torch.compile(module, fullgraph=True) for module in (network, found.model))

    def narrow(values: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            answers: Tensor = single(values)
        return answers

    ways: dict[str, Any] = {
        "float": lambda: single(images),
        "bfloat16": lambda: narrow(images),
        "eight bits": lambda: small(images),
    }
    times = alternate(ways, rounds=rounds, against="float", warm_ups=2)
    return {"layers": len(found.layers), "kept": len(found.kept), "found": times}


def right(network: nn.Module, images: Tensor, labels: Tensor, what: str) -> float:
    """Accuracy in percent."""
    parts = [network(part).argmax(1) for part in track(images.split(250), what)]
    return round(100 * float((torch.cat(parts) == labels).float().mean()), 2)


def accuracies(depth: int, folder: Path) -> dict[str, float]:
    """Of the network, of its conversion, and of that in eight bits."""
    calibration, images, labels = calibration_and_test(CALIBRATION, test=10_000)
    network = pretrained(depth, folder)
    snn = convert(network, calibration.split(50), members=MEMBERS, calibrate="bias").model
    ways = {"float": network, "converted": snn, "eight bits": to_int8(snn).model}
    return {way: right(module, images, labels, f"ResNet-{depth}, {way}") for way, module in ways.items()}


def keep(line: dict[str, Any]) -> None:
    """Show a line, and append it."""
    print(line, flush=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps({**line, "members": MEMBERS, "environment": environment()}) + "\n")


@torch.no_grad()
def main() -> None:
    """Times, then accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-times", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    for name in [] if options.no_times else NETWORKS:
        for batch in BATCHES:
            keep({"network": name, "batch": batch, **times(name, batch, options.rounds)})
    for batch in () if options.no_times else BATCHES:
        keep({"network": "SEW ResNet-18, T = 4", "batch": batch, **trained(batch, options.rounds)})
    for depth in PUBLISHED if options.weights else ():
        keep({"network": f"CIFAR-10 ResNet-{depth}", "accuracy": accuracies(depth, options.weights)})


if __name__ == "__main__":
    main()
