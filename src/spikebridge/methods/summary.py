"""What a run found, in a few lines on the terminal."""

from __future__ import annotations

from rich.console import Console

from ..measure import NetworkResult, RunRecord
from ..report import Row, terminal_table


def show(record: RunRecord, *, console: Console) -> None:
    """Print the test accuracy of every network at T = 1, 2, 4, ... and its last step, and which neurons are silent."""
    longest = max(len(network.accuracies) for network in record.networks)
    shown = sorted({longest} | {2**power for power in range(longest.bit_length())})
    columns = ["network", *(f"T={t}" for t in shown), "bits", "spikes/neuron"]
    rows = [_row(network, shown) for network in record.networks]
    console.print(terminal_table(f"Test accuracy in %: {record.name}, seed {record.seed}", columns, rows))
    for network in record.networks:
        silent = [layer for layer, rate in network.rates.items() if rate == 0.0]
        if silent:
            console.print(
                f"{network.name}: no neuron of {', '.join(silent)} spiked on the test set. After few steps of training "
                f"the running statistics of BatchNorm have not arrived yet: train longer; else lower the threshold.",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )


def _row(network: NetworkResult, shown: list[int]) -> Row:
    accuracies = [f"{100 * network.accuracies[t - 1]:.2f}" if t <= len(network.accuracies) else "" for t in shown]
    spikes = f"{network.spikes_per_neuron[-1]:.2f}" if network.spikes_per_neuron else ""
    return Row(network.name, (*accuracies, str(network.bits), spikes))
