"""One definition, three networks: names, weights, values, gradients and time of every host."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from spikebridge import Direct, Neuron, SpikingNetwork, declare_time
from spikebridge.models.stem import Stem

from .host_networks import HOSTS, LEVELS, SPIKING, eager, group, images, qcfs, settled

every_host = pytest.mark.parametrize("name", HOSTS)
every_spiking = pytest.mark.parametrize("name", SPIKING)


@every_host
def test_the_three_networks_load_the_weights_of_each_other(name: str) -> None:
    networks = {kind: HOSTS[name](activation=made) for kind, made in [("ann", nn.ReLU), ("qcfs", qcfs), ("snn", eager)]}
    own = {kind: {key for key, _ in network.named_parameters()} for kind, network in networks.items()}
    assert own["ann"] == own["snn"] == {key for key in own["qcfs"] if not key.endswith("raw_threshold")}
    state = networks["ann"].state_dict()
    for kind in ("qcfs", "snn"):
        missing, unexpected = networks[kind].load_state_dict(state, strict=False)
        assert not unexpected
        assert all(key.endswith(("threshold", "_spike_value", "fixed_decay")) for key in missing)


@every_host
def test_one_step_of_group_neurons_is_the_qcfs_network(name: str) -> None:
    # In double precision: a sum that lies on a tie must not be rounded to another level by a kernel's order.
    values = images().double()
    ann, snn = settled(HOSTS[name](activation=qcfs).double(), values), HOSTS[name](activation=group).double().eval()
    snn.load_state_dict(ann.state_dict())
    expected = ann(values)
    assert expected.std(0).min() > 0
    torch.testing.assert_close(SpikingNetwork(snn, encoder=Direct(time_steps=1))(values), expected)


@every_spiking
def test_two_forwards_are_equal_and_a_sample_does_not_depend_on_its_batch_mates(name: str) -> None:
    values = images().double()
    network = settled(SpikingNetwork(SPIKING[name](activation=eager), encoder=Direct(time_steps=3)).double(), values)
    together = network(values)
    assert torch.equal(network(values), together)
    assert together.std(0).max() > 0
    torch.testing.assert_close(torch.cat([network(value[None]) for value in values]), together)


@every_spiking
def test_the_gradient_reaches_every_parameter_that_learns(name: str) -> None:
    network = SpikingNetwork(SPIKING[name](activation=eager), encoder=Direct(time_steps=2))
    F.cross_entropy(network(images()), torch.arange(4)).backward()
    for key, parameter in network.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, key
    weight = network.body.stem[0].weight
    assert torch.isfinite(weight.grad).all()
    assert weight.grad.abs().sum() > 0


@every_spiking
def test_another_time_than_declared_is_an_error_that_names_the_layer(name: str) -> None:
    network = declare_time(SPIKING[name](activation=eager), time_steps=4)
    values = images()
    expected = (
        "Stem 'stem' expects a train [time=4, batch, *unit]; got shape (3, 4, 3, 16, 16), whose leading axis is 3."
    )
    with pytest.raises(ValueError, match=re.escape(expected)):
        network(values.expand(3, *values.shape))
    with pytest.raises(ValueError, match=re.escape("OverTime 'readout' expects a train [time=4, batch, *unit]; got")):
        network.readout(torch.zeros(8, 5, 1, 1))


@every_spiking
def test_every_neuron_sees_time_first(name: str) -> None:
    network, seen = SPIKING[name](activation=eager), set()
    for module in network.modules():
        if isinstance(module, Neuron):
            module.register_forward_hook(lambda _, inputs, train: seen.add(tuple(train.shape[:2])))
    network(torch.rand(3, 2, 3, 16, 16))
    assert seen == {(3, 2)}


@every_host
def test_the_stem_computes_a_repeated_frame_once_in_training_too(name: str) -> None:
    stem, values = HOSTS[name](activation=eager).stem, images()
    seen: list[int] = []
    assert isinstance(stem, Stem)
    stem[0].register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    repeated, copied = stem(values.expand(3, *values.shape)), stem(values.repeat(3, 1, 1, 1, 1))
    assert seen == [4, 12]
    torch.testing.assert_close(repeated, copied)


def test_a_stem_learns_from_a_repeated_frame_what_it_learns_from_copies() -> None:
    stem, values = Stem(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).double(), torch.rand(5, 1, 8, 8, dtype=torch.float64)
    found, norm, target = [], stem[1], torch.rand(3, 5, 2, 6, 6, dtype=torch.float64)
    for train in (values.expand(3, *values.shape), values.repeat(3, 1, 1, 1, 1)):
        norm.reset_running_stats()
        stem.zero_grad()
        F.mse_loss(stem(train), target).backward()
        found.append(([each.grad.clone() for each in stem.parameters()], norm.running_mean.clone(), norm.running_var))
        norm.running_var = norm.running_var.clone()
    torch.testing.assert_close(found[0][:2], found[1][:2])
    samples = 5 * 6 * 6
    ratio = (found[1][2] - 0.9) / (found[0][2] - 0.9)
    torch.testing.assert_close(ratio, torch.full_like(ratio, (samples - 1) / (samples - 1 / 3)))


@pytest.mark.parametrize("name", SPIKING)
def test_compiles_in_training_without_a_break(name: str) -> None:
    torch._dynamo.reset()
    values = images(2, side=224) if "four pools" in name else images()
    network = SpikingNetwork(SPIKING[name](activation=eager), encoder=Direct(time_steps=2))
    found = []
    for drive in (network, torch.compile(network, fullgraph=True, backend="eager")):
        network.zero_grad()
        output = drive(values)
        output.square().sum().backward()
        found.append([output, *(weight.grad for weight in network.parameters() if weight.requires_grad)])
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def test_levels_and_members_are_the_same_number() -> None:
    assert group().members == qcfs().levels == LEVELS
