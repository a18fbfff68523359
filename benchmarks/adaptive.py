"""Claim: what leaks, gains and readouts that differ from step to step are worth, by code, against frozen neurons.

One configuration per data set (configs/*-adaptive*.yaml), changed by one cell of a table at a time, for every seed;
within a seed all cells have the same initial weights of equal layers and the same order of batches. "Frozen" is the
same network with all three switches off.

- main: direct, latency and hybrid code, each with frozen and with adaptive neurons.
- switches: on the hybrid code, leak, gain and readout alone; all; per channel and class; each stem.
- codes: thresholds and last frames of the latency code, the hybrid code with both kinds of thresholds, binary levels.
- steps: T = 2 to 8, hybrid and adaptive against direct and frozen.
- rivals: on the hybrid code with one stem, a learned decay that is the same at every step (PLIF), norms with
  statistics, or with a scale (and shift) of each step, and the ANN of the same layers.
- events: all recordings of a set, each tested once by cross-validation; the network of the last epoch, without choice.

Every line has validation accuracy, by which settings are chosen, and test accuracy; one of "events" has a fold's
accuracy and which samples were wrong. Resumes where it stopped: what results/adaptive.jsonl has is skipped, unless
it was run with other settings: every line has a digest of the settings that its run was told, seed and folders aside.
A cell that another experiment has too is run once, and its line copied. Processes may share a file, if their seeds or
experiments differ.
Run: python benchmarks/adaptive.py EXPERIMENT [--data digits] [--seeds 0 1 2] [--epochs N] [--first CELLS]
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import tempfile
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from sklearn.model_selection import StratifiedKFold
from torch import Tensor
from torch.utils.data import TensorDataset

from spikebridge.data import load
from spikebridge.measure import NetworkResult, measure
from spikebridge.measure.record import environment
from spikebridge.methods.adaptive_config import AdaptiveConfig
from spikebridge.methods.build import build_learner, build_network, machines_of
from spikebridge.methods.code_config import CodeConfig
from spikebridge.methods.config import TrainConfig
from spikebridge.methods.model_config import ModelConfig
from spikebridge.methods.neuron_config import NeuronConfig
from spikebridge.methods.settings import read_config
from spikebridge.methods.train import run
from spikebridge.training import BEST, Batches, fit
from spikebridge.training.checkpoint import read_checkpoint

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "adaptive.jsonl"
BASES = {
    path.stem.replace("-adaptive", ""): path for path in sorted((HERE.parent / "configs").glob("*-adaptive*.yaml"))
}

Cell = dict[str, Any]

FROZEN: Cell = {"leak": "fixed", "gain": "fixed", "readout": "fixed"}
ADAPTIVE: Cell = {"leak": "layer", "gain": "layer", "readout": "step"}
LATENCY: Cell = {"encoder": "Latency", "stem": "shared"}
HYBRID: Cell = {"encoder": "Hybrid", "stem": "own"}
DIRECT: Cell = {"encoder": "Direct", "stem": "shared"}


def matrix() -> Iterator[Cell]:
    """Codes with frozen and with adaptive neurons."""
    yield from (code | neurons for code in (DIRECT, LATENCY, HYBRID) for neurons in (FROZEN, ADAPTIVE))


def switches() -> Iterator[Cell]:
    """None, all, each alone; with one stem for all steps; in a finer grain."""
    yield HYBRID | FROZEN
    yield HYBRID | ADAPTIVE
    yield from (HYBRID | FROZEN | {name: ADAPTIVE[name]} for name in ("leak", "gain", "readout"))
    yield from (HYBRID | neurons | {"stem": "shared"} for neurons in (FROZEN, ADAPTIVE))
    yield HYBRID | {"leak": "channel", "gain": "channel", "readout": "class"}


def codes() -> Iterator[Cell]:
    """Codes with adaptive neurons; thresholds are uniform and last frames strict where a cell does not say."""
    yield HYBRID | ADAPTIVE
    yield from (HYBRID | ADAPTIVE | {"thresholds": name} for name in ("equal-mass", "standardised"))
    yield LATENCY | ADAPTIVE
    yield LATENCY | ADAPTIVE | {"thresholds": "equal-mass"}
    yield from (LATENCY | ADAPTIVE | {"last_frame": mode} for mode in ("reference", "silent"))
    yield LATENCY | ADAPTIVE | {"encoder": "BinaryLevel"}
    yield HYBRID | ADAPTIVE | {"rest": "BinaryLevel"}


def steps() -> Iterator[Cell]:
    """From few steps to many."""
    yield from (code | {"time_steps": count} for count in range(2, 9) for code in (DIRECT | FROZEN, HYBRID | ADAPTIVE))


def rivals() -> Iterator[Cell]:
    """What else might explain a difference."""
    frozen = HYBRID | FROZEN | {"stem": "shared"}
    yield frozen
    yield frozen | ADAPTIVE
    yield frozen | {"learn_decay": True}
    yield from (frozen | {"norm": mode} for mode in ("per-step", "reference", "step-scale", "step-affine"))
    yield frozen | ADAPTIVE | {"norm": "per-step"}
    yield {"activation": "ReLU"}


def events() -> Iterator[Cell]:
    """Switches on a recording, whose code is as it is; fewer and more frames of it."""
    yield FROZEN
    yield ADAPTIVE
    yield from (FROZEN | {name: ADAPTIVE[name]} for name in ("leak", "gain", "readout"))
    yield from (neurons | {"time_steps": count} for count in (4, 16) for neurons in (FROZEN, ADAPTIVE))


EXPERIMENTS = {
    "main": matrix,
    "switches": switches,
    "codes": codes,
    "steps": steps,
    "rivals": rivals,
    "events": events,
}


def configured(config: TrainConfig, cell: Cell, *, seed: int, epochs: int) -> TrainConfig:
    """The base configuration with a cell's settings, each where it belongs."""
    model = config.model
    if cell.get("activation") == "ReLU":
        model = ModelConfig(name=model.name, activation="ReLU", **model.layout)
        return replace(config, seed=seed, epochs=epochs, model=model, conversion=None)
    changes: Cell = dict(cell)
    for section, kind in (("adaptive", AdaptiveConfig), ("code", CodeConfig), ("neuron", NeuronConfig)):
        own = {name: changes.pop(name) for name in {each.name for each in fields(kind)} & set(changes)}
        changes[section] = replace(getattr(model, section), **own)
    return replace(config, seed=seed, epochs=epochs, model=replace(model, **changes))


def digest(config: TrainConfig) -> str:
    """What tells the settings of two runs apart, whatever their seed and wherever their files are.

    Settings at their defaults are left out, so that lines stay valid when the library has one setting more.
    """
    settings = chosen(replace(config, seed=0, output=Path(), data=replace(config.data, root=None)))
    if settings.get("precision") == "32-true":
        del settings["precision"]  # the default when the first lines were made
    return sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:12]


def chosen(settings: Any) -> dict[str, Any]:
    """What differs from the defaults, section by section."""
    found: dict[str, Any] = {}
    for each in fields(settings):
        value = getattr(settings, each.name)
        default = each.default if each.default_factory is MISSING else each.default_factory()
        if value != default:
            found[each.name] = chosen(value) if is_dataclass(value) else value
    return found


def one_run(config: TrainConfig) -> dict[str, Any]:
    """What is kept of a run: the weights with the best validation accuracy, on the test set."""
    with tempfile.TemporaryDirectory() as folder:
        config = replace(config, output=Path(folder))
        record = run(config, console=Console(file=io.StringIO()))
        weights: dict[str, Tensor] = read_checkpoint(config.folder / BEST)["state_dict"]
    network = record.networks[0]
    return {
        "validation": max(epoch["validation/accuracy"] for epoch in record.epochs),
        "test": network.accuracies[-1],
        "parameters": record.results["parameters"],
        **costs(network),
        "learned": learned(weights),
        "train_s": record.timings_s["train"],
    }


def costs(network: NetworkResult) -> dict[str, Any]:
    """Operations of one sample over all steps."""
    last = len(network.accuracies)
    return {
        "spikes_per_neuron": network.spikes_per_neuron[-1] if network.spikes_per_neuron else 0.0,
        "accumulates": network.accumulates(last),
        "multiplies": network.multiplies(last),
    }


def learned(weights: dict[str, Tensor]) -> dict[str, list[float]]:
    """Leak, gain and scale of every step, the mean over channels; of a PLIF, the decay."""
    found = {name: value.float() for name, value in weights.items() if name.endswith((".leak", ".gain", ".scale"))}
    steps_of = {name: value.flatten(1).mean(1) if value.ndim > 1 else value for name, value in found.items()}
    decays = {name: value.float().sigmoid()[None] for name, value in weights.items() if name.endswith(".raw_decay")}
    return {name: [round(each, 4) for each in value.tolist()] for name, value in (steps_of | decays).items()}


def everything(config: TrainConfig) -> tuple[Tensor, Tensor]:
    """All samples of a set in one order, whatever the seed."""
    is_recorded = config.model.encoder == "Recorded"
    more: dict[str, Any] = {"validation": 0.0, "time_steps": config.model.time_steps} if is_recorded else {}
    parts = [part.tensors for part in load(config.data.name, root=config.data.root, seed=0, **more) if len(part)]
    return torch.cat([values for values, _ in parts]), torch.cat([labels for _, labels in parts])


def one_fold(config: TrainConfig, values: Tensor, labels: Tensor, *, fold: int, folds: int) -> dict[str, Any]:
    """Train on all folds but one, test on that one; folds have equal shares of every class."""
    cut = StratifiedKFold(folds, shuffle=True, random_state=config.seed).split(values, labels)
    train, test = map(torch.from_numpy, next(itertools.islice(cut, fold, None)))
    classes = int(labels.max()) + 1
    network = build_network(config.model, unit=tuple(values.shape[1:]), classes=classes, seed=config.seed)
    fitted = fit(
        build_learner(config, network, classes=classes, compiled=False),
        Batches(TensorDataset(values[train], labels[train]), batch_size=config.data.batch_size, seed=config.seed),
        epochs=config.epochs,
        machines=machines_of(config),
        show_progress=False,
    )
    network = fitted.network.float().cpu()
    with torch.no_grad():
        answers = torch.cat([network(part) for part in values[test].split(128)]).argmax(1)
    wrong = test[answers != labels[test]]
    result = measure(network, zip(values[test].split(128), labels[test].split(128), strict=True), name="", kind="snn")
    return {
        "tested": len(test),
        "test": 1 - len(wrong) / len(test),
        "wrong": sorted(wrong.tolist()),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        **costs(result),
        "learned": learned(network.state_dict()),
        "train_s": fitted.seconds,
    }


def same_runs(key: Cell, file: Path) -> list[dict[str, Any]]:
    """Lines of equal settings, whatever the experiment calls them."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    names = ("data", "seed", "epochs", "config", "fold", "folds")
    return [line for line in lines if all(line.get(name) == key.get(name) for name in names)]


def main() -> None:
    """Run what is missing, a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--data", choices=BASES, default="digits")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--first", type=int, help="only so many cells")
    parser.add_argument("--folds", type=int, default=10, help="of events")
    parser.add_argument("--file", type=Path, default=RESULTS, help="where lines are read from and appended to")
    options = parser.parse_args()
    base = read_config(BASES[options.data])
    epochs = options.epochs or base.epochs
    options.file.touch()
    is_crossed = options.experiment == "events"
    of_time: dict[int, tuple[Tensor, Tensor]] = {}
    cells = list(EXPERIMENTS[options.experiment]())[: options.first]
    for seed, cell, fold in itertools.product(options.seeds, cells, range(options.folds if is_crossed else 1)):
        key = {"experiment": options.experiment, "data": options.data, "cell": cell, "seed": seed, "epochs": epochs}
        key |= {"fold": fold, "folds": options.folds} if is_crossed else {}
        config = configured(base, cell, seed=seed, epochs=epochs)
        key["config"] = digest(config)
        known = same_runs(key, options.file)
        if any(line["experiment"] == options.experiment and line["cell"] == cell for line in known):
            continue
        if known:
            found = known[-1]
        elif is_crossed:
            if config.model.time_steps not in of_time:
                of_time = {config.model.time_steps: everything(config)}
            found = one_fold(config, *of_time[config.model.time_steps], fold=fold, folds=options.folds)
        else:
            found = one_run(config)
        found.setdefault("environment", environment())
        print(key, {name: found[name] for name in ("validation", "test", "train_s") if name in found}, flush=True)
        with options.file.open("a") as file:
            file.write(json.dumps({**found, **key}) + "\n")


if __name__ == "__main__":
    main()
