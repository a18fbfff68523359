"""Leak, gain, rate and cost at every step, against what can be counted by hand."""

from __future__ import annotations

import copy
import dataclasses
import json

import pytest
import torch
from torch import nn

from spikebridge import IF, LIF, Direct, GroupNeuron, Hybrid, Latency, OverTime, SpikingNetwork, StepReadout
from spikebridge.adaptive import adapt, fold_adaptive, step_profile
from spikebridge.measure import count_operations, record_spikes

from .networks import HOSTS, SIDE, STEPS, Twice, eager, images, neurons_of, own, spiking, varied


@pytest.mark.parametrize("host", HOSTS)
def test_a_profile_has_every_neuron_in_the_order_it_runs(host: str) -> None:
    network, values = varied(adapt(spiking(host), STEPS, encoder=Hybrid(time_steps=STEPS))), images(host)
    profile = step_profile(network, values)
    with record_spikes(network) as trains, torch.no_grad():
        network(values)
    assert [neuron.layer for neuron in profile.neurons] == list(trains)
    for neuron in profile.neurons:
        module, train = network.body.get_submodule(neuron.layer), trains[neuron.layer]
        assert neuron.leak == tuple(module.leak.tolist())
        assert neuron.gain == tuple(module.gain.tolist())
        assert neuron.rates == pytest.approx([step.mean().item() for step in train], abs=1e-6)
        assert neuron.rate == pytest.approx(train.mean().item(), abs=1e-6)
    readout = next(module for module in network.modules() if isinstance(module, StepReadout))
    assert list(profile.scales.values()) == [tuple(readout.scale.tolist())]
    assert (profile.time_steps, profile.samples) == (STEPS, 4)


def test_the_first_convolution_multiplies_at_step_0_and_accumulates_spikes_afterwards() -> None:
    network, values = spiking("lenet_cifar"), images()
    adapted, shared = (adapt(network, STEPS, encoder=Hybrid(time_steps=STEPS), stem=stem) for stem in ("own", "shared"))
    frames = adapted.encoder(values)
    dense = sum(min(r, SIDE - 1 - r, 1) + 2 for r in range(SIDE)) ** 2 * 3 * 32  # a map of 3 x 3, padding left out
    found = step_profile(adapted, values)
    assert found.multiplies == (dense, 0, 0, 0)
    ones = torch.ones(1, 3, 3, 3)
    reached = nn.functional.conv2d(frames[1:].flatten(0, 1), ones, padding=1).view(STEPS - 1, 4, -1).sum(2).mean(1) * 32
    assert found.accumulates == pytest.approx([0.0, *reached.tolist()])
    assert {layer.layer for layer in found.first} == {"stem.first.0", "stem.rest.0"}
    again = step_profile(shared, values)
    assert (again.multiplies, again.accumulates) == (found.multiplies, pytest.approx(found.accumulates))


@pytest.mark.parametrize(
    ("code", "macs", "acs"), [(Direct(time_steps=STEPS), [1, 0, 0, 0], 0), (Latency(time_steps=STEPS), [0, 0, 0, 0], 4)]
)
def test_codes_of_numbers_multiply_and_codes_of_spikes_accumulate(code: nn.Module, macs: list[int], acs: int) -> None:
    found = step_profile(adapt(spiking("sew-add"), STEPS, encoder=code), images())
    assert [count > 0 for count in found.multiplies] == [bool(count) for count in macs]
    assert sum(count > 0 for count in found.accumulates) == acs


def test_a_repeated_frame_multiplies_once() -> None:
    network = SpikingNetwork(nn.Sequential(OverTime(nn.Linear(6, 5)), LIF()), encoder=Direct(time_steps=STEPS))
    assert step_profile(network, torch.rand(2, 6)).multiplies == (30, 0, 0, 0)


def test_hosts_have_a_profile_to_stand_beside() -> None:
    neurons = [LIF(decay=0.25), LIF(decay=0.75, decay_input=True), IF(), GroupNeuron(members=2)]
    layers = [layer for neuron in neurons for layer in (OverTime(nn.Linear(6, 6)), neuron)]
    found = step_profile(nn.Sequential(*layers), torch.rand(3, 8, 6))
    assert [(neuron.leak, neuron.gain) for neuron in found.neurons] == [
        ((0.25,) * 3, (1.0,) * 3),
        ((0.75,) * 3, (0.25,) * 3),
        ((1.0,) * 3, (1.0,) * 3),
        (None, None),
    ]
    assert (found.scales, found.samples, found.time_steps) == ({}, 8, 3)


def test_settings_of_channels_and_classes_are_shown_by_their_mean() -> None:
    values = images()
    network = varied(adapt(spiking("lenet_cifar"), STEPS, leak="channel", readout="class", batch=values))
    found = step_profile(network, values)
    assert found.neurons[1].leak == pytest.approx(network.body.activation2.leak.mean(1).tolist())
    assert found.scales["readout"] == pytest.approx(network.body.readout.scale.mean(1).tolist())


def test_a_folded_network_shows_what_it_was() -> None:
    network = varied(adapt(spiking("lenet_cifar"), STEPS))
    found, folded = (step_profile(each, images()) for each in (network, fold_adaptive(network).model))
    assert folded.scales["readout"] == pytest.approx(found.scales["readout"])
    assert [neuron.leak for neuron in folded.neurons] == [neuron.leak for neuron in found.neurons]
    assert all(neuron.gain == (1.0,) * STEPS for neuron in folded.neurons)


def test_a_class_of_ones_own_and_neurons_called_twice_have_a_profile() -> None:
    network = adapt(own(), STEPS, batch=images())
    found = step_profile(network, images())
    assert [neuron.layer for neuron in found.neurons] == ["first", "second"]
    assert [layer.layer for layer in found.first] == ["sees.1"]
    twice = SpikingNetwork(Twice(), encoder=Direct(time_steps=STEPS))
    assert [neuron.layer for neuron in step_profile(twice, images()).neurons] == ["neuron", "neuron#2"]


class Bare(nn.Module):
    """Folds and lifts by hand, so that no lifted layer is the first."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.neuron = nn.Linear(6, 5), eager()

    def forward(self, train: torch.Tensor) -> torch.Tensor:
        return self.neuron(self.layer(train))


def test_where_nothing_is_lifted_the_first_layer_is_the_first_product() -> None:
    network, train = nn.Sequential(Bare(), OverTime(nn.Linear(5, 3))), torch.rand(STEPS, 8, 6)
    found = step_profile(network, train)
    assert [layer.layer for layer in found.first] == ["0.layer"]
    assert found.multiplies == (30,) * STEPS
    assert found.first == tuple(count_operations(network, train)[:1])


def test_the_table_has_a_column_for_every_step() -> None:
    network = varied(adapt(spiking("lenet_cifar"), STEPS, encoder=Hybrid(time_steps=STEPS)))
    lines = str(step_profile(network, images())).splitlines()
    assert lines[0].split() == ["layer", "t=0", "t=1", "t=2", "t=3"]
    rows = [tuple(line.split()[:2]) for line in lines[2:-2]]
    neurons = [(name, what) for name in neurons_of(network.body) for what in ("leak", "gain", "rate")]
    assert rows == [("stem.first.0", "MAC"), ("stem.rest.0", "AC"), *neurons, ("readout", "scale")]
    shown = [float(cell) for cell in lines[4].split()[2:]]
    assert shown == pytest.approx(network.body.activation1.leak.tolist(), abs=5e-4)
    assert lines[-1] == "Spikes per neuron, operations per sample, over 4."


def test_a_profile_is_plain_numbers_and_leaves_the_network_alone() -> None:
    network = varied(adapt(spiking("sew-add"), STEPS)).train()
    before = copy.deepcopy(network.state_dict())
    found = step_profile(network, images())
    assert json.loads(json.dumps(found.to_dict()))["time_steps"] == STEPS
    assert found.to_dict()["multiplies"] == found.multiplies
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.samples = 0
    assert all(module.training for module in network.modules())
    assert all(torch.equal(held, before[name]) for name, held in network.state_dict().items())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in network.modules())
