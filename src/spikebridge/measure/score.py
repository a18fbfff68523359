"""One network on labelled data: how right at every step, with how many spikes and operations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..core.neuron import Neuron
from ..core.per_step import PerStep
from ..core.readout import cumulative_mean, outputs_over_time
from ..core.shapes import SpikeTrain
from .activity import activation_sparsity, footprint
from .operations import count_operations
from .record import NetworkResult
from .spikes import neurons_of, record_spikes

RASTER_NEURONS = 40
COUNTED = 256
"""Most samples whose operations are counted: the counter runs a second, slower forward."""


def measure(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    name: str,
    kind: Literal["ann", "quantised", "hybrid", "snn"],
    time_steps: int | None = None,
    source: str | None = None,
    bits: int = 32,
    values_are_spikes: bool = False,
) -> NetworkResult:
    """Run a network once over all batches; the prefixes of that run give the figures of every smaller T.

    Args:
        network: from values to class scores, in eval mode.
        batches: (values, classes), such as a DataLoader.
        name: of the network in the record.
        kind: "ann", "quantised", "hybrid" (spiking in parts) or "snn".
        time_steps: T for a network whose T is a dial; None is the network's own.
        source: the network it was converted from.
        bits: see :class:`NetworkResult`.
        values_are_spikes: the values are whole numbers of spikes, as events are, and not analog.

    Operations and sparsity are those of at most ``COUNTED`` samples, spread evenly; all else is of every sample.
    """
    tally = _Tally(network, time_steps)
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    for values, labels in batches:
        tally.add(values.to(device), labels.to(device))
    return NetworkResult(
        name=name,
        kind=kind,
        source=source,
        bits=bits,
        accuracies=(tally.right / tally.samples).tolist(),
        operations=count_operations(
            network, tally.few.kept, time_steps=time_steps, values_are_spikes=values_are_spikes
        ),
        counted=len(tally.few.kept),
        spikes_per_neuron=tally.spikes_per_neuron(),
        rates={layer: (sent.mean() / tally.samples).item() for layer, sent in tally.sent.items()},
        sparsity=activation_sparsity(network, tally.few.kept, time_steps=time_steps),
        neurons=sum(tally.units.values()),
        footprint_bytes=footprint(network),
        thresholds=thresholds_of(network),
        neuron_parameters=parameters_over_time(network, len(tally.right)),
        raster=tally.raster,
    )


class _Tally:
    """What has been seen of a network so far."""

    def __init__(self, network: nn.Module, time_steps: int | None) -> None:
        self.network, self.time_steps = network, time_steps
        self.is_spiking = any(isinstance(module, Neuron) for module in network.modules())
        self.samples = 0
        self.few = _SpreadOut(COUNTED)
        self.right = torch.zeros(0)
        self.sent: dict[str, Tensor] = {}
        self.units: dict[str, int] = {}

    def add(self, values: Tensor, labels: Tensor) -> None:
        watched: Any = record_spikes(self.network, keep=_Sent.of) if self.is_spiking else nullcontext({})
        with torch.no_grad(), watched as sent_by:
            outputs = outputs_over_time(self.network, values, time_steps=self.time_steps)
        right = (cumulative_mean(outputs).argmax(-1) == labels).sum(1).cpu().double()
        sent = {layer: each.per_neuron for layer, each in sent_by.items()}
        if self.samples == 0:
            self.units = {layer: each.units for layer, each in sent_by.items()}
            self.raster = {layer: each.raster for layer, each in sent_by.items()}
            self.right, self.sent = right, sent
        else:
            self.right = self.right + right
            self.sent = {layer: self.sent[layer] + spikes for layer, spikes in sent.items()}
        self.samples += len(labels)
        self.few.add(values)

    def spikes_per_neuron(self) -> list[float]:
        """After 1, 2, ... T steps, per sample."""
        if not self.sent:
            return []
        per_step = sum(self.sent[layer] * self.units[layer] for layer in self.sent) / sum(self.units.values())
        return (torch.as_tensor(per_step).cumsum(0) / self.samples).tolist()


@dataclass(frozen=True)
class _Sent:
    """What is kept of a layer's counts of one batch.

    Attributes:
        per_neuron: [time], spikes per neuron, summed over samples.
        units: neurons.
        raster: [time][neuron] of the first sample, a few neurons.
    """

    per_neuron: Tensor
    units: int
    raster: list[list[int]]

    @staticmethod
    def of(counts: SpikeTrain) -> _Sent:
        flat = counts.flatten(2)
        total = torch.linalg.vector_norm(flat, ord=1, dim=2).cpu().double().sum(1)
        return _Sent(total / flat.shape[2], flat.shape[2], _few(flat[:, 0]))


class _SpreadOut:
    """Samples at even distances in a stream whose length is not known: the distance doubles when there are too many."""

    def __init__(self, most: int) -> None:
        self.most, self.distance, self.seen = most, 1, 0
        self.kept = torch.empty(0)

    def add(self, values: Tensor) -> None:
        """The next samples of the stream."""
        chosen = values[-self.seen % self.distance :: self.distance]
        self.kept = torch.cat([self.kept, chosen]) if self.seen else chosen
        self.seen += len(values)
        while len(self.kept) > self.most:
            self.kept, self.distance = self.kept[::2], 2 * self.distance


def _few(counts: Tensor) -> list[list[int]]:
    neurons = counts.shape[1]
    chosen = torch.linspace(0, neurons - 1, min(RASTER_NEURONS, neurons)).long()
    return counts[:, chosen].long().tolist()


_PER_STEP = ("leak", "gain", "scale")


def thresholds_of(network: nn.Module) -> dict[str, list[float]]:
    """Layer -> thresholds of every module that has one, in the units of its input."""
    found = {name: getattr(module, "threshold", None) for name, module in _named(network)}
    held = {name: torch.as_tensor(value) for name, value in found.items() if isinstance(value, Tensor | float)}
    return {name: value.detach().flatten().tolist() for name, value in held.items()}


def parameters_over_time(network: nn.Module, time_steps: int) -> dict[str, dict[str, list[float]]]:
    """Layer -> what it learned for each step: leak, gain, scale, or one decay for all. The mean over channels."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, module in _named(network):
        decay = getattr(module, "decay", None)
        if isinstance(module, PerStep):
            found[name] = {
                setting: value.detach().reshape(time_steps, -1).mean(1).tolist()
                for setting, value in module.named_parameters(recurse=False)
                if setting in _PER_STEP and len(value) == time_steps
            }
        elif isinstance(module, Neuron) and isinstance(decay, Tensor) and any(True for _ in module.parameters()):
            found[name] = {"decay": [decay.mean().item()] * time_steps}
    return {name: settings for name, settings in found.items() if settings}


def _named(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module by its name; neurons by those that :func:`record_spikes` gives them."""
    told = {module: name for name, module in neurons_of(network).items()}
    for name, module in network.named_modules():
        yield told[module] if isinstance(module, Neuron) else name, module
