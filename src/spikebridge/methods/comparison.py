"""What the demo found about one network and its spiking versions, as a table, as pictures and as numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from ..core.files import write_whole
from ..measure import NetworkResult, RunRecord
from ..report import Row, accuracy_over_time, firing_rates, pool, raster

Value = TypeVar("Value")

TIME_STEPS = (1, 2, 4, 8)
NEURONS = {"IF": "if", "Group Neuron": "group", "signed Group": "signed-group"}
LAYERS = {"1": "conv 1", "3": "conv 2", "5": "conv 3", "7": "hidden"}


@dataclass(frozen=True)
class Comparison:
    """One network and everything it became.

    Attributes:
        own: the network itself.
        spiking: neuron -> what the spiking network with that neuron did.
        quantised: levels -> accuracy of the network with its activations quantised to so many levels.
        matched: the quantised networks that say as much as the spiking ones after their last step.
    """

    own: NetworkResult
    spiking: dict[str, NetworkResult]
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


def draw(folder: Path, record: RunRecord) -> list[Path]:
    """Draw accuracy over time, the spikes of one image, and firing rates, as the report does; return the files."""
    networks = pool([replace(record, networks=[_named(result) for result in record.networks])])[0].networks
    source = [network for network in networks if not network.first.source][-1].label
    spiking = [network for network in networks if network.is_spiking]
    plain = [network for network in spiking if not network.label.startswith("signed")]
    last = [network for network in spiking if network.first.source == source]
    group = next(network for network in last if network.label.startswith("Group"))
    pictures = {
        "accuracy": accuracy_over_time([*(network for network in networks if not network.first.source), *plain]),
        "raster": raster(group, name="raster"),
        "firing_rates": firing_rates(last, name="firing_rates", title=f"Firing rate of each layer: {source}"),
    }
    return [write_whole(folder / f"{name}.png", picture.png) for name, picture in pictures.items() if picture]


def _named(result: NetworkResult) -> NetworkResult:
    """The result with layers called what they are."""
    return replace(result, rates=_named_layers(result.rates), raster=_named_layers(result.raster))


def _named_layers(by_layer: dict[str, Value]) -> dict[str, Value]:
    return {LAYERS.get(layer, layer): value for layer, value in by_layer.items()}
