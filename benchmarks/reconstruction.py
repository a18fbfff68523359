"""Claim: where a readout solved to the optimum on drawn or trained units beats training by surrogate gradients.

Splits are by distinct input: no test string, pair of numbers or image is in training. Strengths, and the epoch of
surrogate training, are chosen on validation data; test accuracy is reported.

- xor: FIRST-LAST-XOR of T = 6, 8, 11, 14 bits; all strings, 60 % in training.
- addition: bases 2, 3 and 5; digit and carry at every step, and both right; also 2, 4 and 10 times as long.
- mnist: sequential MNIST in T = 4 and 14 pieces, 2,000 training images.
- n-mnist: recordings in 10 frames, 1,000 in training (a small file in the place of the archives, docs/data.md).
- width, depth, size, leak: of the drawn units on xor of 11 bits.

Methods: "surrogate" trains a network as a whole; "gaussian" draws its units and solves the readout; "trained" solves it
on a surrogate-trained network's units; "fine-tuned" trains on from "gaussian"; "stacked" chooses layer by layer;
"generated" asks for one unit after another, of one layer, by column generation with local search and surrogate
gradients, for every question by itself (of "count", whether a unit fires once, twice, ... at least). Beside them ridge
and logistic regression on the analog membranes of the same drawn units, and on the inputs.

Every line has accuracies of all parts, objective and relative gap. Resumes where it stopped: what
results/reconstruction.jsonl has is skipped.
Run: python benchmarks/reconstruction.py EXPERIMENT [--seeds 0 1 2] [--first CELLS] [--root FOLDER]
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from spikebridge import LIF, SpikingNetwork
from spikebridge.convex import (
    CountAtLeast,
    Feature,
    Generated,
    GradientPricer,
    Membrane,
    SearchPricer,
    Spike,
    SpikeFeatures,
    Units,
    every_step,
    generate_columns,
    lambda_max,
    spike_dictionary,
)
from spikebridge.core.readout import outputs_over_time
from spikebridge.data import Samples, Split, Stored
from spikebridge.measure.record import environment
from spikebridge.methods.reconstruct import Found, find, results_of
from spikebridge.methods.reconstruct_config import (
    ReadoutConfig,
    ReconstructConfig,
    SurrogateConfig,
    TaskConfig,
    WitnessConfig,
)
from spikebridge.methods.solving import Head, Point, in_rows
from spikebridge.methods.tasks import Task, task_for
from spikebridge.methods.units import drawn

RESULTS = Path(__file__).parent / "results" / "reconstruction.jsonl"
Cell = dict[str, Any]

SOLVED = ("surrogate", "gaussian", "trained", "fine-tuned", "stacked", "generated")
ANALOG = ("ridge, membranes", "logistic, membranes", "ridge, inputs", "logistic, inputs")
IMAGES: Cell = {"widths": [512], "decay": 0.5, "read": "every", "scaling": "critical"}
STEPS_OF_TRAINING, MOST_EPOCHS = 2500, 250
"""Optimiser steps of surrogate training, in whole epochs, but no more than so many epochs."""
FEWER_EPOCHS = {"mnist": 60, "n-mnist": 40}
ROUNDS = (4, 12, 36)
"""Limits of column generation at one strength, among which validation chooses. Lines without them had 12, fixed."""


def how(method: str) -> Cell:
    """A method, with what it chooses among."""
    return {"method": method} | ({"rounds": list(ROUNDS)} if method == "generated" else {})


def xor() -> Iterator[Cell]:
    """Every method at every length."""
    for length in (6, 8, 11, 14):
        for method, read in itertools.product(SOLVED, ("count", "last")):
            yield {"task": "first-last-xor", "time_steps": length, **how(method), "read": read}
        yield from ({"task": "first-last-xor", "time_steps": length, "method": method} for method in ANALOG)


def addition() -> Iterator[Cell]:
    """Every method that answers at every step, and inputs of one step alone."""
    for base in (2, 3, 5):
        for method in (*SOLVED[:4], "generated", "logistic, inputs"):
            yield {"task": "addition", "base": base, **how(method), "widths": [512]}


def mnist() -> Iterator[Cell]:
    """Every method on images in pieces."""
    for steps in (4, 14):
        for method in (*SOLVED[:4], "generated", *ANALOG):
            yield IMAGES | {"task": "mnist", "time_steps": steps, "train": 2000, "validation": 1000} | how(method)


def n_mnist() -> Iterator[Cell]:
    """Every method on recordings."""
    for method in (*SOLVED[:4], "generated", *ANALOG):
        yield IMAGES | {"task": "n-mnist", "time_steps": 10} | how(method)


def width() -> Iterator[Cell]:
    """Drawn units, from few to many."""
    yield from (ABLATED | {"widths": [units]} for units in (128, 256, 512, 1024, 2048, 4096))


def depth() -> Iterator[Cell]:
    """Layers, drawn at once or in turn."""
    for layers in (1, 2, 3):
        yield from (
            ABLATED | {"widths": [512] * (layers - 1) + [1024], "method": each} for each in ("gaussian", "stacked")
        )


def size() -> Iterator[Cell]:
    """Training strings."""
    yield from (
        ABLATED | {"train": samples, "method": method} for samples in (100, 300, 600, 1200) for method in SOLVED[:2]
    )


def leak() -> Iterator[Cell]:
    """Decays of the membrane, and what is read."""
    for decay, read in itertools.product((0.5, 0.8, 0.9, 0.95, 0.99), ("last", "count")):
        yield ABLATED | {"decay": decay, "read": read}


ABLATED: Cell = {"task": "first-last-xor", "time_steps": 11, "method": "gaussian"}
EXPERIMENTS = {
    "xor": xor,
    "addition": addition,
    "mnist": mnist,
    "n-mnist": n_mnist,
    "width": width,
    "depth": depth,
    "size": size,
    "leak": leak,
}


def configured(cell: Cell, *, seed: int, root: Path | None) -> ReconstructConfig:
    """The settings of a cell; those of a stacked network of one width get a layer below it."""
    own = {name: cell[name] for name in ("time_steps", "train", "validation", "base") if name in cell}
    units = {name: cell[name] for name in ("widths", "decay", "read", "scaling") if name in cell}
    is_large = cell["task"] in FEWER_EPOCHS
    method = cell["method"] if cell["method"] in SOLVED[:5] else "gaussian"
    if method == "stacked" and "widths" not in units:
        units["widths"] = [512, 1024]
    witnesses = replace(WitnessConfig(), **{**units, "widths": tuple(units.get("widths", WitnessConfig().widths))})
    return ReconstructConfig(
        name="benchmark",
        method="gaussian" if method == "fine-tuned" else method,
        fine_tune=method == "fine-tuned",
        seed=seed,
        task=TaskConfig(name=cell["task"], root=root, **own),
        witnesses=witnesses,
        readout=ReadoutConfig(strengths=6, lowest=3e-3, tol=1e-2) if is_large else ReadoutConfig(lowest=1e-3),
    )


def in_memory(task: Task) -> Task:
    """Recordings are binned once and not in every epoch; all other samples are in memory anyway."""
    if task.units != 2 * 34 * 34:
        return task
    parts = [Samples(Stored(part.tensors[0].to(torch.uint8)), part.labels) for part in task.split]
    return replace(task, split=Split(*parts))


def solved(config: ReconstructConfig, task: Task) -> dict[str, Any]:
    """One network of ours."""
    batch = 32 if len(task.split.train) < 1000 else 128
    epochs = max(1, round(STEPS_OF_TRAINING * batch / len(task.split.train)))
    surrogate = SurrogateConfig(
        epochs=min(epochs, FEWER_EPOCHS.get(config.task.name, MOST_EPOCHS)), batch_size=batch, rate=1e-2
    )
    found = find(replace(config, surrogate=surrogate), task)
    results = results_of(found, task)
    heads = [head["chosen"] for head in results.pop("heads")]
    return {**results, "heads": heads, "surrogate": vars(surrogate)}


def generated(config: ReconstructConfig, task: Task) -> dict[str, Any]:
    """Units asked for by column generation, for one question after the other.

    At limits of rounds from few to many, and strengths from strong to weak; validation chooses among all. Pricers
    remember what they offered at other strengths.
    """
    chosen = [_asked(config, task, place) for place in range(len(task.heads))]
    network = chosen[0].units.network([each.made for each in chosen])
    heads = [Head(path=each.path, chosen=each.point) for each in chosen]
    results = results_of(Found(network, heads, drawn=sum(len(each.made.names) for each in chosen)), task)
    return {**results, "heads": [{**each.point.summary, "rounds": each.rounds} for each in chosen]}


class Asked(NamedTuple):
    """What validation has chosen for one question."""

    units: Units
    made: Generated
    point: Point
    path: tuple[Point, ...]
    rounds: int


def _asked(config: ReconstructConfig, task: Task, place: int) -> Asked:
    readout, seed = config.readout, config.seed
    units = units_of_task(config, task)
    targets = in_rows(task.split.train.tensors[1])[:, place]
    problem: dict[str, Any] = {
        "loss": "softmax",
        "penalty": readout.penalty,
        "intercept": True,
        "classes": task.heads[place],
    }
    some = units.dictionary(units.drawn(config.witnesses.widths[-1], np.random.default_rng(seed)))
    largest = lambda_max(some, targets, **problem)
    found: list[Asked] = []
    for rounds in ROUNDS:
        pricers = [SearchPricer(units, seed=seed), GradientPricer(units, seed=seed)]
        for share in map(float, np.geomspace(1.0, readout.lowest, readout.strengths)[1:]):
            settings = {"strength": share * largest, "tol": readout.tol, "max_rounds": rounds}
            made = generate_columns(pricers, targets, **problem, **settings)
            right = right_of(units.network(made), task.split.validation, place)
            point = Point(strength=share * largest, share=share, solution=made.solution, validation=right)
            found.append(Asked(units, made, point, (), rounds))
    best = max(found, key=lambda each: (each.point.validation, each.point.share, -each.rounds))
    return best._replace(path=tuple(each.point for each in found))


def units_of_task(config: ReconstructConfig, task: Task) -> Units:
    """What pricers look among, and what is read of them."""
    read, steps = config.witnesses.read, task.encoder.time_steps
    features: list[Feature] = [Spike()]
    if read == "count" and not task.is_per_step:
        features = [CountAtLeast(1 + step) for step in range(steps)]
    if read == "every" and not task.is_per_step:
        features = list(every_step(steps))
    rows: Any = "steps" if task.is_per_step else "samples"
    neuron = partial(LIF, decay=config.witnesses.decay)
    values = task.split.train.tensors[0]
    return Units(values, encoder=task.encoder, neuron=neuron, features=features, rows=rows, grid=task.grid)


def right_of(network: SpikingNetwork, part: Samples, place: int) -> float:
    """The share of right answers to one question."""
    values, labels = part.tensors
    scores = torch.cat([outputs_over_time(network, some).transpose(0, 1).flatten(0, 1) for some in values.split(512)])
    return float((scores.argmax(1).numpy() == in_rows(labels)[:, place]).mean())


def analog(config: ReconstructConfig, task: Task, method: str) -> dict[str, Any]:
    """Ridge or logistic regression, its strength chosen on validation data."""
    name, of = method.split(", ")
    see = _membranes(config, task) if of == "membranes" else _inputs(task)
    parts = {key: (see(part), in_rows(part.labels)) for key, part in {**task.split._asdict(), **task.longer}.items()}
    rights = []
    for place in range(len(task.heads)):
        kinds = [_ridge(power) if name == "ridge" else _logistic(power) for power in range(-3, 4)]
        fitted = [kind.fit(parts["train"][0], parts["train"][1][:, place]) for kind in kinds]
        judged, wanted = parts["validation"]
        best = max(fitted, key=lambda model: float((model.predict(judged) == wanted[:, place]).mean()))
        rights.append({key: best.predict(seen) == labels[:, place] for key, (seen, labels) in parts.items()})
    return {
        "accuracy": {
            key: {
                **{str(place): float(right[key].mean()) for place, right in enumerate(rights)},
                "all": float(np.all([right[key] for right in rights], axis=0).mean()),
            }
            for key in parts
        }
    }


def _membranes(config: ReconstructConfig, task: Task) -> Any:
    body = drawn(task, config.witnesses, seed=config.seed)
    features = SpikeFeatures(body, encoder=task.encoder, features=(Membrane(),))

    def see(part: Samples) -> Any:
        made = spike_dictionary(features, part.tensors[0])
        return made.take(np.arange(made.shape[1]))

    return see


def _inputs(task: Task) -> Any:
    """All inputs of a sample; of a task that asks at every step, those of the step."""
    return lambda part: (
        part.tensors[0].flatten(0, 1).numpy() if task.is_per_step else part.tensors[0].flatten(1).numpy()
    )


def _ridge(power: int) -> Any:
    return make_pipeline(StandardScaler(), RidgeClassifier(alpha=10.0**power))


def _logistic(power: int) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(C=10.0**power, max_iter=200))


def main() -> None:
    """Run what is missing, a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--first", type=int, help="only so many cells")
    parser.add_argument("--root", type=Path, help="folder of all data sets")
    parser.add_argument("--file", type=Path, default=RESULTS, help="where lines are read from and appended to")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    options.file.touch()
    done = [json.loads(line) for line in options.file.read_text().splitlines()]
    cells = list(EXPERIMENTS[options.experiment]())[: options.first]
    for seed, cell in itertools.product(options.seeds, cells):
        key = {"experiment": options.experiment, "cell": cell, "seed": seed}
        if any(all(line[name] == value for name, value in key.items()) for line in done):
            continue
        config = configured(cell, seed=seed, root=options.root)
        task = in_memory(task_for(config.task, seed=seed))
        began = time.perf_counter()
        run = {"generated": generated, **dict.fromkeys(ANALOG, partial(analog, method=cell["method"]))}
        found = run.get(cell["method"], solved)(config, task)
        line = {**key, **found, "seconds": time.perf_counter() - began}
        rights = {part: round(each["all"], 4) for part, each in found["accuracy"].items()}
        print(key, rights, f"{line['seconds']:.1f} s", flush=True)
        with options.file.open("a") as file:
            file.write(json.dumps({**line, "environment": environment()}) + "\n")


if __name__ == "__main__":
    main()
