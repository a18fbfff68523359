"""The test set, once: a trained network, and whatever it is converted to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.data import DataLoader

from ..conversion import convert
from ..core.devices import device_for
from ..data import Split
from ..measure import NetworkResult, bits_of, measure
from ..training import load_weights
from .config import ConversionConfig, TrainConfig

CALIBRATION = 1024
"""Training samples from which a conversion reads thresholds; a QCFS network brings its own and needs only shapes."""

TEST_BATCH = 64
"""Small enough that a step of a layer stays in a processor's cache: a wide network is a third faster than at 256."""

NAMES = {"group": "Group Neuron", "signed-group": "signed Group Neuron", "if": "IF"}


def evaluate(config: TrainConfig, network: nn.Module, split: Split, *, checkpoint: Path) -> list[NetworkResult]:
    """Test the network with a checkpoint's weights, and whatever it converts to."""
    load_weights(network, checkpoint)
    # One layout and precision for every run: those of training would change the last bit of a score.
    network = network.float().to(device=device_for(config.accelerator), memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    batches: DataLoader[Any] = DataLoader(split.test, batch_size=TEST_BATCH)
    model, steps = config.model, config.model.time_steps
    adaptive = "adaptive " if model.adaptive.is_on else ""
    label = f"{adaptive}{model.activation} {'SNN' if model.is_spiking else 'ANN'}"
    levels = model.levels if model.activation in ("QCFS", "GroupNeuron") else 1
    if model.is_spiking:
        return [measure(network, batches, name=label, kind="snn", bits=bits_of(levels, steps))]
    if model.has_branches:
        kinds: dict[str, Literal["ann", "hybrid", "snn"]] = {"ann": "ann", "snn": "snn"}
        kind = kinds.get(model.hybrid.branches, "hybrid")
        return [measure(network, batches, name=f"{model.name}, {model.hybrid.branches}", kind=kind)]
    quantised = model.activation == "QCFS"
    own_bits = bits_of(levels, 1) if quantised else 32
    found = [measure(network, batches, name=label, kind="quantised" if quantised else "ann", bits=own_bits)]
    if config.conversion is not None:
        found += _converted(config.conversion, network, label, split, batches, config.model.levels)
    return found


def _converted(
    conversion: ConversionConfig, network: nn.Module, label: str, split: Split, batches: Any, levels: int
) -> list[NetworkResult]:
    members, steps = conversion.members or levels, conversion.time_steps
    device = next(network.parameters()).device
    calibration = [split.train[start : start + 256][0] for start in range(0, min(CALIBRATION, len(split.train)), 256)]
    calibration = [values.to(device) for values in calibration]
    found = []
    for neuron in conversion.neurons:
        snn = convert(
            network,
            calibration,
            neuron=neuron,
            members=members,
            time_steps=steps,
            thresholds=conversion.thresholds,
            granularity=conversion.granularity,
            calibrate=conversion.calibrate,
        ).model
        bits = bits_of(1 if neuron == "if" else members, steps)
        found.append(measure(snn, batches, name=NAMES[neuron], kind="snn", source=label, bits=bits))
    return found
