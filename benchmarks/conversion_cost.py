"""Asked: an image through a converted ResNet-20 at T = 1 at a 40th of the cost of rate coding at T = 64, as accurate.

Not run yet.

CIFAR-10 ResNet-20 with its published weights (see cifar_resnets.py). Here: 16 levels at T = 1, calibrated as in
cifar_conversion.py, compiled and not, and in eight bits. SpikingJelly 2.0: RateCodingRecipe at the 99.9 % quantile, 64
steps, as its documentation runs it. Both on the same images, in turn, in one process; medians of ratios within a round.
Accuracies are of the same test images.

Appends a line to results/conversion_cost.jsonl. Needs requirements.txt, the weights and CIFAR-10.
Run: python benchmarks/conversion_cost.py WEIGHTS_FOLDER [--test 500] [--batch 100] [--rounds 5] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from alternating import alternate
from cifar_conversion import CALIBRATION, spikingjelly
from cifar_resnets import calibration_and_test, pretrained, with_layers_alone
from torch import Tensor

from spikebridge import convert, to_int8
from spikebridge.core.allocator import keep_freed_memory
from spikebridge.measure.record import environment

RESULTS = Path(__file__).parent / "results" / "conversion_cost.jsonl"
DEPTH, MEMBERS, RECIPE = 20, 16, "rate-coding 99.9 %"
Answer = Callable[[Tensor], Tensor]


def networks(folder: Path, calibration: Tensor) -> dict[str, Answer]:
    """What answers images: each with its logits."""
    made = convert(pretrained(DEPTH, folder), calibration.split(50), members=MEMBERS, calibrate="bias").model
    readouts = spikingjelly(with_layers_alone(pretrained(DEPTH, folder)), calibration, RECIPE)

    def at_the_end(images: Tensor) -> Tensor:
        *_, last = readouts(images)
        return last

    return {
        "T = 1, compiled": torch.compile(made),
        "T = 1": made,
        "T = 1, eight bits, compiled": torch.compile(to_int8(made).model),
        "SpikingJelly, T = 64": at_the_end,
    }


@torch.no_grad()
def main() -> None:
    """Measure accuracies, then times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    calibration, images, labels = calibration_and_test(CALIBRATION, test=options.test)
    answers = networks(options.folder, calibration)
    batches = images.split(options.batch)
    right = {
        name: 100 * float((torch.cat([answer(part) for part in batches]).argmax(1) == labels).float().mean())
        for name, answer in answers.items()
    }
    actions: dict[str, Any] = {name: (lambda answer=answer: answer(batches[0])) for name, answer in answers.items()}
    found = alternate(actions, rounds=options.rounds, against="T = 1, compiled", warm_ups=1)
    for name, line in found.items():
        line |= {"accuracy": round(right[name], 2), "ms_per_image": round(1e3 * line["seconds"] / options.batch, 3)}
        print(f"{name:<24} {line}", flush=True)
    line = {"depth": DEPTH, "test": options.test, "batch": options.batch, "threads": options.threads, "found": found}
    with RESULTS.open("a") as file:
        file.write(json.dumps({**line, "environment": environment()}) + "\n")


if __name__ == "__main__":
    main()
