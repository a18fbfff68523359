"""IF and LIF against the libraries people come from, where those are installed: pip install -e '.[oracles]'."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spikebridge import IF, LIF, Neuron, to_zero

TOLERANCE = 1e-6


def currents() -> Tensor:
    """Off any grid, so that no membrane meets its threshold exactly, where firing rules differ."""
    return torch.rand(40, 500) * 0.9 + 0.0123


@pytest.mark.parametrize(
    ("ours", "theirs", "settings"),
    [
        (IF(), "IFNode", {"v_reset": None}),
        (IF(reset=to_zero), "IFNode", {"v_reset": 0.0}),
        (IF(threshold=0.7), "IFNode", {"v_threshold": 0.7, "v_reset": None}),
        (LIF(decay=0.5, decay_input=True, threshold=0.4), "LIFNode", {"tau": 2.0, "v_threshold": 0.4, "v_reset": None}),
        (LIF(decay=0.75, decay_input=True, reset=to_zero, threshold=0.3), "LIFNode", {"tau": 4.0, "v_threshold": 0.3}),
        (LIF(decay=0.75, reset=to_zero), "LIFNode", {"tau": 4.0, "decay_input": False}),
        (LIF(decay=0.5), "LIFNode", {"tau": 2.0, "decay_input": False, "v_reset": None}),
    ],
)
def test_same_spikes_as_spikingjelly(ours: Neuron, theirs: str, settings: dict) -> None:
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron", reason="spikingjelly is not installed")
    x = currents()
    reference = getattr(neuron, theirs)(**settings, step_mode="m")(x)
    assert 0.02 < reference.mean() < 0.9
    assert (ours(x) == reference).float().mean() > 1 - TOLERANCE * 100


def leaky_spikes(x: Tensor, *, beta: float) -> Tensor:
    """Spikes of snnTorch's Leaky, which subtracts the threshold one step after the spike."""
    snntorch = pytest.importorskip("snntorch", reason="snntorch is not installed")
    leaky = snntorch.Leaky(beta=beta, reset_mechanism="subtract")
    membrane, train = leaky.init_leaky(), []
    for current in x:
        spikes, membrane = leaky(current, membrane)
        train.append(spikes)
    return torch.stack(train)


def test_same_spikes_as_snntorch_without_a_leak() -> None:
    """Without a leak it makes no difference whether the reset comes in the step of the spike or in the next."""
    x = currents()
    reference = leaky_spikes(x, beta=1.0)
    assert 0.02 < reference.mean() < 0.9
    assert (IF()(x) == reference).float().mean() > 1 - TOLERANCE * 100


@pytest.mark.parametrize("beta", [0.5, 0.8, 0.95])
def test_same_first_spike_as_snntorch_with_a_leak(beta: float) -> None:
    """With one, spikes agree up to the first reset of each neuron: theirs is not decayed, ours is."""
    x = currents()
    ours, theirs = LIF(decay=beta)(x), leaky_spikes(x, beta=beta)
    until_first = (theirs.cumsum(0) - theirs) == 0
    assert until_first.float().mean() > 0.03
    assert (ours == theirs)[until_first].all()
