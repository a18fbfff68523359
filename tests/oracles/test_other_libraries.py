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


def test_same_membrane_as_snntorch_one_step_late() -> None:
    """snnTorch subtracts the threshold in the step after the spike; ours in the same. Same spikes, shifted reset."""
    snntorch = pytest.importorskip("snntorch", reason="snntorch is not installed")
    x, beta = currents(), 0.8
    leaky = snntorch.Leaky(beta=beta, reset_mechanism="subtract")
    membrane, reference = leaky.init_leaky(), []
    for current in x:
        spikes, membrane = leaky(current, membrane)
        reference.append(spikes)
    # In its order a reset is not decayed: v <- beta v + x - threshold s. Ours decays what is left after the reset.
    ours, state = [], torch.zeros(500)
    fired = torch.zeros(500)
    for current in x:
        state = beta * state + current - fired
        fired = (state >= 1.0).float()
        ours.append(fired)
    assert (torch.stack(ours) == torch.stack(reference)).float().mean() > 1 - TOLERANCE * 100
    assert LIF(decay=beta)(x).mean().item() == pytest.approx(torch.stack(reference).mean().item(), abs=0.1)
