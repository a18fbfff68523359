"""The units that a reconstruction chooses from, by where their weights come from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from ..blocks import SpikingNetwork
from ..convex import (
    Count,
    Feature,
    Spike,
    SpikeFeatures,
    before_readout,
    critical_scaling,
    every_step,
    gaussian_witness,
    perturbed_witness,
)
from ..convex.readout import SpikeReadout
from ..convex.stacking import stacked
from ..core.time import OverTime
from ..neurons import LIF
from .reconstruct_config import WitnessConfig
from .tasks import Task

CALIBRATION, TRIED = 256, 256
"""Training samples, and units of a layer, from which "critical" finds how strong weights are."""


def read_of(body: nn.Module, task: Task, config: WitnessConfig) -> SpikeFeatures:
    """What a readout sees of units."""
    if task.is_per_step:
        return SpikeFeatures(body, encoder=task.encoder, rows="steps")
    return SpikeFeatures(body, encoder=task.encoder, features=_features(config, task.encoder.time_steps))


def drawn(task: Task, config: WitnessConfig, *, seed: int) -> nn.Sequential:
    """Gaussian units."""
    settings: dict[str, Any] = {"neuron": partial(LIF, decay=config.decay), "grid": task.grid, "seed": seed}
    scaling: Any = config.scaling
    if scaling == "critical":
        values, _ = task.split.train[: min(CALIBRATION, len(task.split.train))]
        scaling = critical_scaling(
            values, encoder=task.encoder, widths=config.widths, rate=config.rate, branches=_tried(config), **settings
        )
    return gaussian_witness(task.units, config.widths, branches=config.branches, scaling=scaling, **settings)


def drawn_in_turn(
    task: Task, config: WitnessConfig, *, seed: int, solve: Callable[[SpikeFeatures], Any]
) -> nn.Sequential:
    """Gaussian units of several layers, each on the units that a readout of the layer below uses."""

    def draw(inputs: int, units: int, layer: int) -> nn.Sequential:
        grid = task.grid if layer == 0 else None
        neuron = partial(LIF, decay=config.decay)
        scaling = "fan-in" if config.scaling == "critical" else config.scaling
        return gaussian_witness(inputs, (units,), scaling=scaling, neuron=neuron, grid=grid, seed=seed + layer)

    slots = len(read_of(nn.Identity(), task, config).features)
    return stacked(
        task.units,
        widths=config.widths,
        draw=draw,
        solve=lambda network: solve(read_of(network, task, config)),
        slots=slots,
    )


def untrained(task: Task, config: WitnessConfig, *, seed: int) -> SpikingNetwork:
    """A network to train as a whole, with a readout of what :func:`read_of` reads."""
    torch.manual_seed(seed)
    parts: list[nn.Module] = []
    below = task.units
    for width in config.widths:
        rounding = [task.grid] if task.grid is not None and not parts else []
        parts += [OverTime(*rounding, nn.Linear(below, width)), LIF(decay=config.decay)]
        below = width
    features = read_of(nn.Identity(), task, config)
    layer = nn.Linear(below * len(features.features), sum(task.heads))
    readout = SpikeReadout(layer, features=features.features, rows=features.rows)
    return SpikingNetwork(nn.Sequential(*parts, readout), encoder=task.encoder)


def of_trained(network: SpikingNetwork, task: Task) -> nn.Sequential:
    """The units of a trained network, with weights moved to the grid of exact currents."""
    body, _ = before_readout(network)
    return perturbed_witness(body, copies=1, spread=0.0, grid=task.grid)


def _tried(config: WitnessConfig) -> int:
    """Branches of which a layer has about ``TRIED`` units."""
    return max(1, TRIED // max(config.widths))


def _features(config: WitnessConfig, time_steps: int) -> tuple[Feature, ...]:
    if config.read == "every":
        return every_step(time_steps)
    return (Count(),) if config.read == "count" else (Spike(),)
