"""PyTorch's checkpointing over networks and neurons: the same gradients, from less that is kept."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from spikebridge import Direct, Neuron, SpikingNetwork
from spikebridge.measure.saved import saved_peak

from ..cases import NEURON_CASES, currents
from .host_networks import SIDE, SPIKING, eager, settled

STEPS = 3
SMALL = [name for name in SPIKING if "pools" not in name and "imagenet" not in name]


def gradients(network: nn.Module, values: Tensor, *, again: bool) -> tuple[list[Tensor], int]:
    """Of the parameters and the values; and what was kept between the passes."""
    leaf = values.clone().requires_grad_()
    with saved_peak(network) as saved:
        answers = checkpoint(network, leaf, use_reentrant=False) if again else network(leaf)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    slope = torch.linspace(0.0, 1.0, answers.numel(), dtype=answers.dtype).view_as(answers)
    found = torch.autograd.grad((answers * slope).sum(), [leaf, *trained], allow_unused=True)
    return [each for each in found if each is not None], saved.peak


@pytest.mark.parametrize("name", SMALL)
def test_a_checkpointed_network_has_the_same_gradients(name: str) -> None:
    torch.manual_seed(0)
    network = SpikingNetwork(SPIKING[name](activation=eager), encoder=Direct(time_steps=STEPS)).double()
    values = torch.rand(2, 3, SIDE, SIDE, dtype=torch.float64)
    settled(network, values)
    plain, kept = gradients(network, values, again=False)
    computed_again, kept_less = gradients(network, values, again=True)
    assert len(plain) > 4
    assert any(each.abs().max() > 0 for each in plain[1:])
    for one, other in zip(plain, computed_again, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)
    assert kept_less < kept / 4


@pytest.mark.parametrize("neuron", NEURON_CASES.values(), ids=NEURON_CASES)
def test_a_checkpointed_neuron_has_the_same_gradients(neuron: Neuron) -> None:
    torch.manual_seed(0)
    x = currents(neuron)
    plain, _ = gradients(neuron, x, again=False)
    computed_again, _ = gradients(neuron, x, again=True)
    assert all(torch.equal(one, other) for one, other in zip(plain, computed_again, strict=True))
