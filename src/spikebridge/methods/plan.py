"""What a training run would do, and what it would take, without doing it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import yaml
from rich.console import Console
from torch import Tensor, nn

from ..core.readout import outputs_over_time
from ..data import load
from .build import build_learner
from .config import TrainConfig
from .settings import as_plain
from .train import network_for

PROBE = 2
"""Samples of the forward that is measured; what a step keeps grows in proportion to the batch."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A training run in numbers.

    Attributes:
        parameters: trained numbers.
        train, validation, test: samples.
        steps: optimiser steps, all epochs together.
        weight_bytes: of parameters, their gradients and the optimiser's state.
        activation_bytes: that one process keeps from the forward to the backward pass of a step.
    """

    parameters: int
    train: int
    validation: int
    test: int
    steps: int
    weight_bytes: int
    activation_bytes: int


def plan(config: TrainConfig) -> Plan:
    """Build the network, run it forward on two samples and count.

    Activations are what autograd saved there, in the run's precision, scaled to one process's share of a batch; the
    compiler may keep less, and the allocator needs some more.
    """
    split = load(config.data.name, root=config.data.root, seed=config.seed)
    network, classes = network_for(config, split)
    learner = build_learner(config, network, classes=classes, compiled=False)
    devices = config.devices if isinstance(config.devices, int) else 1
    processes = config.num_nodes * devices
    parameters = sum(parameter.numel() for parameter in network.parameters())
    state = 2 if config.optimiser.name == "adamw" else int(config.optimiser.momentum > 0)
    saved = saved_bytes(learner.model, split.train[:PROBE][0], precision=config.precision)
    batch = config.data.batch_size
    return Plan(
        parameters=parameters,
        train=len(split.train),
        validation=len(split.validation),
        test=len(split.test),
        steps=config.epochs * max(1, len(split.train) // batch),
        weight_bytes=4 * parameters * (2 + state),
        activation_bytes=saved * batch // (PROBE * processes),
    )


def saved_bytes(network: nn.Module, values: Tensor, *, precision: str) -> int:
    """Memory that autograd holds after one forward, parameters aside."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    held: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16-mixed"):
            outputs = outputs_over_time(network, values)
    total = sum(held.values())
    del outputs  # until here, so that no storage is counted twice under a recycled address
    return total


def show(config: TrainConfig, *, console: Console | None = None) -> Plan:
    """Print the resolved settings and the plan."""
    console = console or Console()
    found = plan(config)
    console.print(yaml.safe_dump(as_plain(config), sort_keys=False), highlight=False, markup=False, soft_wrap=True)
    steps = f"{found.steps:,} steps in {config.epochs} epochs, batches of {config.data.batch_size}"
    lines = {
        "data": f"{found.train:,} training, {found.validation:,} validation, {found.test:,} test samples",
        "parameters": f"{found.parameters:,}",
        "training": steps,
        "memory": f"{_mib(found.weight_bytes)} for weights, gradients and optimiser, about "
        f"{_mib(found.activation_bytes)} for the activations of a step in each process",
        "folder": str(config.folder),
    }
    for name, text in lines.items():
        console.print(f"{name:<11} {text}", highlight=False, markup=False, soft_wrap=True)
    return found


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
