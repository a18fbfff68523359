"""What a training run would do, and what it would take, without doing it."""

from __future__ import annotations

from dataclasses import dataclass

import yaml
from rich.console import Console

from ..training.fitting import check_start
from .build import build_learner, machines_of, network_for, split_for
from .config import TrainConfig
from .folder import check_folder
from .memory import activation_bytes, weight_bytes
from .settings import as_plain


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A training run in numbers.

    Attributes:
        parameters: trained numbers.
        train, validation, test: samples.
        steps: optimiser steps, all epochs together.
        weight_bytes: of parameters, their gradients and the optimiser's state.
        activation_bytes: estimate of what one process keeps from the forward to the backward pass of a step.
    """

    parameters: int
    train: int
    validation: int
    test: int
    steps: int
    weight_bytes: int
    activation_bytes: int


def plan(config: TrainConfig, *, resume: bool = False) -> Plan:
    """Build the network, take two small steps forward and count; nothing is trained and nothing written.

    Raises:  ValueError, OSError: whatever would keep the run from starting.
    """
    split = split_for(config)
    network, classes = network_for(config, split)
    check_folder(config, resume=resume)
    learner = build_learner(config, network, classes=classes, compiled=False)
    check_start(learner, machines=machines_of(config), resume_from=config.folder if resume else None)
    devices = config.devices if isinstance(config.devices, int) else 1
    batch = min(config.data.batch_size, len(split.train))
    copies = 2 if config.optimiser.name == "adamw" else int(config.optimiser.momentum > 0)
    values, targets = split.train[:4]
    return Plan(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        train=len(split.train),
        validation=len(split.validation),
        test=len(split.test),
        steps=config.epochs * max(1, len(split.train) // config.data.batch_size),
        weight_bytes=weight_bytes(learner, precision=config.precision, copies=copies),
        activation_bytes=activation_bytes(
            learner,
            (values, targets),
            size=max(1, batch // (config.num_nodes * devices)),
            precision=config.precision,
        ),
    )


def show(config: TrainConfig, *, resume: bool = False, console: Console | None = None) -> Plan:
    """Print the resolved settings and the plan.

    Raises:  ValueError, OSError: whatever would keep the run from starting.
    """
    console = console or Console()
    found = plan(config, resume=resume)
    console.print(yaml.safe_dump(as_plain(config), sort_keys=False), highlight=False, markup=False, soft_wrap=True)
    steps = f"{found.steps:,} steps in {config.epochs} epochs, batches of {config.data.batch_size}"
    lines = {
        "data": f"{found.train:,} training, {found.validation:,} validation, {found.test:,} test samples",
        "parameters": f"{found.parameters:,}",
        "training": steps,
        "memory": f"{_mib(found.weight_bytes)} for weights, gradients and optimiser, about "
        f"{_mib(found.activation_bytes)} for what a step keeps in each process (estimated from two small steps, "
        f"uncompiled)",
        "folder": str(config.folder),
    }
    for name, text in lines.items():
        console.print(f"{name:<11} {text}", highlight=False, markup=False, soft_wrap=True)
    return found


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
