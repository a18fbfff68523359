"""Convert a network from the command line, or say what would become of it."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor, nn

from ..conversion import convert, explain
from ..training.checkpoint import load_weights
from .build import network_for, split_for
from .commands import ConvertConfig
from .settings import read_config

CALIBRATION_SAMPLES, BATCH = 512, 128


def run(config: ConvertConfig, *, console: Console | None = None) -> bool:
    """Print the report of a conversion, or the explanation; whether the network can be converted.

    Raises:
        FileNotFoundError: no such run or file. ValueError: no such network, weights that are not its own, or a network
            that cannot be converted.
    """
    console = console or Console()
    folder = Path(config.target)
    if folder.is_dir() or ":" not in config.target:
        network, samples, levels = _of_run(folder, config)
    else:
        network, samples, levels = _of_function(config)
    if config.explain:
        explanation = explain(network, max_pool=config.max_pool, unsupported=config.unsupported)
        _print(console, str(explanation))
        return explanation.is_convertible
    if samples is None:
        raise ValueError(
            "a network from MODULE:FUNCTION needs calibration inputs to be converted; pass --samples FILE.npy, or "
            "--explain to see what would become of it"
        )
    conversion = convert(
        network,
        torch.split(samples, BATCH),
        neuron=config.neuron,
        time_steps=config.time_steps,
        members=config.members or levels or 16,
        thresholds=config.thresholds,
        granularity=config.granularity,
        calibrate=config.calibrate,
        max_pool=config.max_pool,
        unsupported=config.unsupported,
    )
    _print(console, str(conversion.report))
    return True


def _of_run(folder: Path, config: ConvertConfig) -> tuple[nn.Module, Tensor | None, int | None]:
    if not (folder / "config.yaml").is_file():
        raise FileNotFoundError(
            f"{folder} is no folder of a run: it has no config.yaml. Pass one, or MODULE:FUNCTION such as "
            f"torchvision.models:resnet18"
        )
    trained = read_config(folder / "config.yaml")
    data = trained.data if config.root is None else replace(trained.data, root=config.root)
    split = split_for(replace(trained, data=data))
    network, _ = network_for(trained, split)
    load_weights(network, folder / "best.safetensors")
    samples = split.train[: min(CALIBRATION_SAMPLES, len(split.train))][0]
    return network.eval(), samples, trained.model.levels if trained.model.activation == "QCFS" else None


def _of_function(config: ConvertConfig) -> tuple[nn.Module, Tensor | None, int | None]:
    network = _made_by(config.target)
    if config.weights is not None:
        _load_foreign(network, config.weights)
    return network.eval(), None if config.samples is None else _read_samples(config.samples), None


def _made_by(path: str) -> nn.Module:
    module_name, _, function = path.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")  # a module beside which the command is run
    try:
        maker = getattr(importlib.import_module(module_name), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"cannot import {path!r}: {error}. Expected MODULE:FUNCTION, with a module on the path"
        ) from None
    network = maker if isinstance(maker, nn.Module) else maker()
    if not isinstance(network, nn.Module):
        raise ValueError(f"{path} must make an nn.Module without arguments; it made {type(network).__name__}")
    return network


def _load_foreign(network: nn.Module, file: Path) -> None:
    if file.suffix == ".safetensors":
        load_weights(network, file)
        return
    state = torch.load(file, map_location="cpu", weights_only=True)
    state = state.get("state_dict", state)
    try:
        network.load_state_dict({name.removeprefix("module."): tensor for name, tensor in state.items()})
    except RuntimeError as error:
        raise ValueError(f"{file} holds the weights of another network: {' '.join(str(error).split())}") from None


def _read_samples(file: Path) -> Tensor:
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        tensors = list(load_file(file).values())
        if len(tensors) != 1:
            raise ValueError(f"{file} holds {len(tensors)} tensors; expected one, [samples, *unit]")
        return tensors[0].float()
    import numpy

    return torch.from_numpy(numpy.load(file, allow_pickle=False)).float()


def _print(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
