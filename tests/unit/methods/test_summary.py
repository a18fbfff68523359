"""A run's summary says which neurons are silent, and stays quiet where none is."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from spikebridge.measure import NetworkResult, RunRecord
from spikebridge.methods.summary import show


def shown(network: NetworkResult) -> str:
    console = Console(file=io.StringIO(), width=200)
    show(RunRecord(name="run", method="train", seed=0, config={}, networks=[network]), console=console)
    return console.file.getvalue()


def test_silent_neurons_are_named_with_what_may_be_the_reason() -> None:
    network = NetworkResult(name="SNN", kind="snn", accuracies=[0.1], rates={"1": 0.2, "3": 0.0, "5": 0.0})
    assert "SNN: no neuron of 3, 5 spiked on the test set. After few steps" in shown(network)
    assert "spiked" not in shown(replace(network, rates={"1": 0.2}))
