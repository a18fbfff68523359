"""Train a network, convert it if it is an ANN, measure everything on the test set, and leave a record."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader

from ..conversion import convert
from ..data import Split, find, load
from ..measure import NetworkResult, RunRecord, bits_of, measure
from ..training import BEST, LAST, Batches, EpochLines, Fitted, Machines, compiler_problem, fit, load_weights
from .build import build_learner, build_network
from .config import ConversionConfig, TrainConfig
from .settings import as_plain, read_config, write_config
from .summary import show

CALIBRATION = 1024
"""Training samples from which a conversion reads thresholds; a QCFS network brings its own and needs only shapes."""

MOVABLE = {"accelerator", "devices", "num_nodes", "strategy", "compile", "output", "data.root", "data.workers"}
"""Settings that say where a run runs; a continued run may change them."""

NAMES = {"group": "Group Neuron", "signed-group": "signed Group Neuron", "if": "IF"}


def run(
    config: TrainConfig,
    *,
    resume: bool = False,
    callbacks: tuple[Callback, ...] = (),
    console: Console | None = None,
) -> RunRecord:
    """Train as ``config`` says; the run's folder gets checkpoints, logs, ``config.yaml`` and ``record.json``.

    Args:
        config: what to do.
        resume: continue the run of this name from its last whole epoch.
        callbacks: Lightning callbacks, beside the library's own.
        console: where to speak.

    Raises:
        FileExistsError: the folder holds a run already, and ``resume`` is off.
        ValueError, OSError: settings that do not fit each other, a damaged checkpoint, a full disk.
    """
    console = console or Console()
    split = load(config.data.name, root=config.data.root, seed=config.seed)
    network, classes = network_for(config, split)
    prepare_folder(config, resume=resume)
    fitted = _train(config, network, split, classes, resume=resume, callbacks=callbacks, console=console)
    if not fitted.is_main:
        return RunRecord(name=config.name, method="train", seed=config.seed, config=as_plain(config))
    began = time.perf_counter()
    # A fresh network: training on several GPUs leaves norms of another class behind.
    networks = evaluate(config, network_for(config, split)[0], split, checkpoint=config.folder / BEST)
    record = RunRecord(
        name=config.name,
        method="train",
        seed=config.seed,
        config=as_plain(config),
        networks=networks,
        epochs=fitted.epochs,
        results={"parameters": sum(parameter.numel() for parameter in network.parameters())},
        timings_s={"train": fitted.seconds, "evaluate": time.perf_counter() - began},
    )
    record.save(config.folder / "record.json")
    show(record, console=console)
    console.print(f"wrote {config.folder / 'record.json'}", highlight=False, soft_wrap=True)
    return record


def prepare_folder(config: TrainConfig, *, resume: bool) -> None:
    """Make the run's folder and put the settings into it; never over another run.

    Raises:
        FileExistsError: another run is there.
        ValueError: a run is to be continued with settings other than those it was started with.
    """
    file = config.folder / "config.yaml"
    if resume:
        _require_same(config, file)
        return
    if getattr(rank_zero_only, "rank", 0):
        return  # another process of this run does it
    if any((config.folder / left).exists() for left in (LAST, "record.json")):
        raise FileExistsError(
            f"{config.folder} holds a run already. Continue it with --config {file} --resume, or choose another --name "
            f"or --output."
        )
    config.folder.mkdir(parents=True, exist_ok=True)
    write_config(config, file)


def _require_same(config: TrainConfig, file: Path) -> None:
    """A run that continues with other settings would not be what its record says."""
    if not file.exists():
        raise FileNotFoundError(f"There is nothing to resume: {file} does not exist. Start without resume.")
    now, then = (_flat(as_plain(each)) for each in (config, read_config(file)))
    changed = [
        f"{key} was {then.get(key)} and is {now.get(key)}"
        for key in sorted(now.keys() | then.keys())
        if key not in MOVABLE and now.get(key) != then.get(key)
    ]
    if changed:
        raise ValueError(
            f"{config.folder} was started with other settings: {'; '.join(changed)}. Continue it with --config {file} "
            f"--resume, or start a run of another name."
        )


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= (
            {f"{key}.{inner}": each for inner, each in _flat(value).items()}
            if isinstance(value, dict)
            else {key: value}
        )
    return flat


def network_for(config: TrainConfig, split: Split) -> tuple[nn.Module, int]:
    """The freshly initialised network for a data set, and the number of classes."""
    value, _ = split.train[0]
    classes = len(find(config.data.name).classes)
    return build_network(config.model, unit=tuple(value.shape), classes=classes, seed=config.seed), classes


def _train(
    config: TrainConfig,
    network: nn.Module,
    split: Split,
    classes: int,
    *,
    resume: bool,
    callbacks: tuple[Callback, ...],
    console: Console,
) -> Fitted:
    problem = compiler_problem() if config.compile else None
    if problem:
        console.print(f"Training without torch.compile, which is slower: {problem}", markup=False, soft_wrap=True)
    machines: dict[str, Any] = {key: getattr(config, key) for key in Machines.__dataclass_fields__}
    return fit(
        build_learner(config, network, classes=classes, compiled=config.compile and problem is None),
        Batches(
            split.train,
            split.validation,
            batch_size=config.data.batch_size,
            seed=config.seed,
            workers=config.data.workers,
        ),
        epochs=config.epochs,
        folder=config.folder,
        resume=resume,
        machines=Machines(**machines),
        callbacks=callbacks
        if console.is_terminal
        else (*callbacks, EpochLines(partial(console.print, markup=False, soft_wrap=True))),
        show_progress=console.is_terminal,
    )


def evaluate(config: TrainConfig, network: nn.Module, split: Split, *, checkpoint: Path) -> list[NetworkResult]:
    """Test the network with a checkpoint's weights, and whatever it converts to."""
    load_weights(network, checkpoint)
    # One layout and precision for every run: those of training would change the last bit of a score.
    network = network.float().to(device=device_of(config), memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    batches: DataLoader[Any] = DataLoader(split.test, batch_size=256)
    model, steps = config.model, config.model.time_steps
    label = f"{model.activation} {'SNN' if model.is_spiking else 'ANN'}"
    levels = model.levels if model.activation in ("QCFS", "GroupNeuron") else 1
    if model.is_spiking:
        return [measure(network, batches, name=label, kind="snn", bits=bits_of(levels, steps))]
    quantised = model.activation == "QCFS"
    own_bits = bits_of(levels, 1) if quantised else 32
    found = [measure(network, batches, name=label, kind="quantised" if quantised else "ann", bits=own_bits)]
    if config.conversion is not None:
        found += _converted(config.conversion, network, label, split, batches, config.model.levels)
    return found


def device_of(config: TrainConfig) -> torch.device:
    """Where one process measures."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator if accelerator is not None and config.accelerator != "cpu" else torch.device("cpu")


def _converted(
    conversion: ConversionConfig, network: nn.Module, label: str, split: Split, batches: Any, levels: int
) -> list[NetworkResult]:
    members, steps = conversion.members or levels, conversion.time_steps
    device = next(network.parameters()).device
    calibration = [split.train[start : start + 256][0] for start in range(0, min(CALIBRATION, len(split.train)), 256)]
    calibration = [values.to(device) for values in calibration]
    found = []
    for neuron in conversion.neurons:
        snn = convert(network, calibration, neuron=neuron, members=members, time_steps=steps).model
        bits = bits_of(1 if neuron == "if" else members, steps)
        found.append(measure(snn, batches, name=NAMES[neuron], kind="snn", source=label, bits=bits))
    return found
