"""One spiking network on labelled data: how right at every step, with how many spikes and operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, fx

from ..core.shapes import SpikeTrain
from .accuracy import accuracy_over_time
from .operations import LayerOperations, count_operations
from .spikes import record_spikes


class Convertible(Protocol):
    """What :func:`score` needs of a network: a graph, and a readout after every step."""

    body: fx.GraphModule

    def readouts(self, values: Tensor, *, time_steps: int | None = None) -> SpikeTrain:
        """The network's answer after each step."""


@dataclass(frozen=True)
class Score:
    """What a spiking network does with a set of images; entry t - 1 of each list is for T = t.

    Attributes:
        accuracies: share of right answers after t steps.
        spikes_per_neuron: spikes sent by the mean neuron, per image, in t steps; retracted ones count too.
        rates: layer -> spikes per neuron and step, over all steps.
        operations: operations of every layer of weights, per image.
    """

    accuracies: list[float]
    spikes_per_neuron: list[float]
    rates: dict[str, float]
    operations: list[LayerOperations]

    def accumulates(self, time_steps: int) -> float:
        """Accumulate operations per image in T steps."""
        return sum(layer.until(time_steps) for layer in self.operations if layer.kind == "AC")

    def multiplies(self, time_steps: int) -> float:
        """Multiply-and-accumulate operations per image in T steps."""
        return sum(layer.until(time_steps) for layer in self.operations if layer.kind == "MAC")


def score(network: Convertible, images: Tensor, labels: Tensor, *, time_steps: int) -> Score:
    """Run a converted network once over T steps; the prefixes of that run give every smaller T."""
    with torch.no_grad():
        with record_spikes(network) as trains:  # type: ignore[arg-type]
            readouts = network.readouts(images, time_steps=time_steps)
        operations = count_operations(network, images, time_steps=time_steps)  # type: ignore[arg-type]
    sent = {layer: train.abs().flatten(1).double().mean(1) for layer, train in trains.items()}
    units = {layer: train[0, 0].numel() for layer, train in trains.items()}
    per_step = sum(sent[layer] * units[layer] for layer in sent) / sum(units.values())
    return Score(
        accuracies=accuracy_over_time(readouts, labels),
        spikes_per_neuron=torch.as_tensor(per_step).cumsum(0).tolist(),
        rates={layer: step_means.mean().item() for layer, step_means in sent.items()},
        operations=operations,
    )
