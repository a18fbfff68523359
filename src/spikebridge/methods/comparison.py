"""What the demo found about one network and its spiking versions, as a table, as pictures and as numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..conversion import ConvertedNetwork
from ..data import Split
from ..measure import NetworkResult, record_spikes
from ..report import Row, accuracy_over_time, firing_rates, raster

TIME_STEPS = (1, 2, 4, 8)
NEURONS = {"IF": "if", "Group Neuron": "group", "signed Group": "signed-group"}
LAYERS = {"1": "conv 1", "3": "conv 2", "5": "conv 3", "7": "hidden"}


@dataclass(frozen=True)
class Comparison:
    """One network and everything it became.

    Attributes:
        own: the network itself.
        spiking: neuron -> what the spiking network with that neuron did.
        networks: neuron -> that network.
        quantised: levels -> accuracy of the network with its activations quantised to so many levels.
        matched: the quantised networks that say as much as the spiking ones after their last step.
    """

    own: NetworkResult
    spiking: dict[str, NetworkResult]
    networks: dict[str, ConvertedNetwork]
    quantised: dict[int, float]
    matched: list[NetworkResult]


def by_levels(found: Comparison) -> dict[str, float]:
    """For the record: levels -> accuracy of the network quantised to them."""
    return {str(levels): share for levels, share in found.quantised.items()}


def table(comparisons: dict[str, Comparison], members: int) -> tuple[tuple[str, ...], list[Row]]:
    """Columns and rows: each network, its spiking versions, and the quantised networks of as many levels."""
    columns = ("network", "ANN", *(f"T={t}" for t in TIME_STEPS), "spikes", "kAC", "kMAC")
    rows = []
    for name, found in comparisons.items():
        blank = [""] * len(TIME_STEPS)
        multiplies = _thousands(found.own.multiplies(1))
        heading = (_percent(found.own.accuracies[0]), *blank, "", "", multiplies)
        rows.append(Row(name, heading, is_heading=True))
        rows += [_spiking_row(neuron, found.spiking[neuron]) for neuron in NEURONS]
        for label, per_step in ((f"quantised, {members}T levels", members), ("quantised, T levels", 1)):
            accuracies = [_percent(found.quantised[t * per_step]) for t in TIME_STEPS]
            rows.append(Row(label, ("", *accuracies, "", "", multiplies)))
    return columns, rows


def _spiking_row(neuron: str, found: NetworkResult) -> Row:
    first, last = TIME_STEPS[0], TIME_STEPS[-1]
    accuracies = [_percent(found.accuracies[t - 1]) for t in TIME_STEPS]
    spikes = f"{found.spikes_per_neuron[first - 1]:.2f}-{found.spikes_per_neuron[last - 1]:.2f}"
    accumulates = f"{_thousands(found.accumulates(first))}-{_thousands(found.accumulates(last))}"
    return Row(neuron, ("", *accuracies, spikes, accumulates, _thousands(found.multiplies(last))))


def caption(*, members: int, test_images: int) -> str:
    """What a reader needs to know to read the table."""
    bits = ", ".join(str(math.ceil(math.log2(t * members + 1))) for t in TIME_STEPS)
    return (
        f"{test_images} test images, so one image is {100 / test_images:.1f} points. Group Neurons have "
        f"{members} members. Spikes per neuron and thousand accumulates (kAC) are per image, at T=1 and at T=8; "
        f"kMAC are analog operations, in an SNN those of the first layer, which sees the image. 'quantised' is the ANN "
        f"itself, not spiking, with as many levels as the neuron it is compared with: {members}T for a Group "
        f"Neuron ({bits} bits at T=1, 2, 4, 8), T for an IF. At T=1 a Group Neuron is that quantised activation, in "
        f"spikes."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _thousands(operations: float) -> str:
    return f"{operations / 1000:.0f}"


def _curves(found: Comparison, members: int) -> dict[str, list[float]]:
    curves = {neuron: [scored.accuracies[t - 1] for t in TIME_STEPS] for neuron, scored in found.spiking.items()}
    return {**curves, f"quantised, {members}T levels": [found.quantised[t * members] for t in TIME_STEPS]}


def draw(folder: Path, comparisons: dict[str, Comparison], split: Split, members: int) -> list[Path]:
    """Draw accuracy over time, the spikes of one image, and firing rates; return the files."""
    curves = {name: _curves(found, members) for name, found in comparisons.items()}
    references = {name: found.own.accuracies[0] for name, found in comparisons.items()}
    source, last = list(comparisons.items())[-1]
    rates = {
        neuron: {label: found.rates[layer] for layer, label in LAYERS.items()} for neuron, found in last.spiking.items()
    }
    images, labels = split.test.tensors
    unit = "spikes per neuron and step"
    return [
        accuracy_over_time(folder / "accuracy.png", time_steps=TIME_STEPS, curves=curves, references=references),
        raster(
            folder / "raster.png",
            image=images[0, 0].numpy(),
            panels={neuron: _spikes_of(last.networks[neuron], images[:1]) for neuron in ("IF", "Group Neuron")},
            title=f"a test image, {labels[0].item()},\nin the {source}",
        ),
        firing_rates(
            folder / "firing_rates.png",
            rates=rates,
            unit=unit,
            title=f"converted from the {source}, T = 8",
        ),
    ]


def _spikes_of(network: ConvertedNetwork, image: Tensor) -> dict[str, Any]:
    with torch.no_grad(), record_spikes(network) as trains:
        network(image, time_steps=TIME_STEPS[-1])
    return {label: trains[layer].flatten(1).numpy() for layer, label in LAYERS.items()}
