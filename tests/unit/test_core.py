"""The parts of the core that no contract test reaches."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikebridge import (
    IF,
    LIF,
    ATan,
    Direct,
    EachStep,
    GroupNeuron,
    OverTime,
    SpikingNetwork,
    Triangle,
    by_subtraction,
    declare_time,
    run,
    to_zero,
)
from spikebridge.core.catalogue import catalogue
from spikebridge.core.encoder import Encoder
from spikebridge.core.positive import FLOOR, positive, raw_of
from spikebridge.core.shapes import along_channels
from spikebridge.neurons import NEURONS, AdaptiveLIF

TOLERANCE = 1e-6


# --- traces worked by hand -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("neuron", "currents", "spikes"),
    [
        # membranes before the reset: 0.5, 1.0 (fires, 0), 0.75, 1.5 (fires, 0.5), 1.25 (fires)
        (IF(), [0.5, 0.5, 0.75, 0.75, 0.75], [0, 1, 0, 1, 1]),
        # as above, but the 0.5 left over after step 4 is lost: 0.75 does not fire
        (IF(reset=to_zero), [0.5, 0.5, 0.75, 0.75, 0.75], [0, 1, 0, 1, 0]),
        # v: 0.8, 1.2 (fires, 0.2), 0.9, 1.25 (fires, 0.25), 0.925
        (LIF(decay=0.5), [0.8, 0.8, 0.8, 0.8, 0.8], [0, 1, 0, 1, 0]),
        # v: 0.8, 1.2 (fires, 0), 0.8, 1.2 (fires, 0), 0.8
        (LIF(decay=0.5, reset=to_zero), [0.8, 0.8, 0.8, 0.8, 0.8], [0, 1, 0, 1, 0]),
        # gain 1/2: v: 0.75, 1.125 (fires, 0.125), 0.8125, 1.15625 (fires), 0.828125
        (LIF(decay=0.5, decay_input=True), [1.5, 1.5, 1.5, 1.5, 1.5], [0, 1, 0, 1, 0]),
        # in levels of 1/4, from 1/2: 1.7 -> 1; 0.7 + 1.2 -> 1; 0.9 + 8 -> 4 (all members); 4.9 - 2 -> 2; 0.9 -> 0
        (GroupNeuron(members=4), [0.3, 0.3, 2.0, -0.5, 0.0], [0.25, 0.25, 1.0, 0.5, 0.0]),
        # signed: -8 levels ask for -8, but only 4 members and only 3 spikes to take back; then nothing is left
        (GroupNeuron(members=4, signed=True), [0.75, -2.0, -2.0, 0.0, 0.0], [0.75, -0.75, 0.0, 0.0, 0.0]),
    ],
)
def test_five_steps_worked_by_hand(neuron: nn.Module, currents: list[float], spikes: list[float]) -> None:
    found = neuron(torch.tensor(currents, dtype=torch.float64)[:, None]).flatten()
    assert found.tolist() == pytest.approx(spikes)


def test_resets_do_what_they_are_called() -> None:
    membrane, spikes, threshold = torch.tensor([1.5, 0.4]), torch.tensor([1.0, 0.0]), torch.tensor(1.0)
    assert by_subtraction(membrane, spikes, threshold).tolist() == pytest.approx([0.5, 0.4])
    assert to_zero(membrane, spikes, threshold).tolist() == pytest.approx([0.0, 0.4])


def test_learned_decay_learns_and_stays_in_its_interval() -> None:
    neuron = LIF(decay=0.5, learn_decay=True)
    assert neuron.decay.item() == 0.5
    optimiser = torch.optim.SGD(neuron.parameters(), lr=100.0)
    for _ in range(20):
        optimiser.zero_grad()
        neuron(torch.full((8, 1), 0.4)).sum().backward()
        optimiser.step()
        assert 0.0 <= neuron.decay.item() <= 1.0
    assert neuron.decay.item() < 0.4  # more decay, fewer spikes: the loss was the number of spikes


# --- bad settings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NEURONS.values(), ids=NEURONS)
@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan"), float("inf"), torch.tensor([1.0, -2.0])])
def test_a_threshold_must_be_positive(kind: type[nn.Module], threshold: object) -> None:
    with pytest.raises(ValueError, match=rf"{kind.__name__} expects threshold > 0 and finite; got"):
        kind(threshold=threshold)


@pytest.mark.parametrize("kind", NEURONS.values(), ids=NEURONS)
def test_an_empty_threshold_is_refused(kind: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="to be a number, or one per channel; got an empty tensor"):
        kind(threshold=torch.tensor([]))


@pytest.mark.parametrize("kind", NEURONS.values(), ids=NEURONS)
def test_a_whole_number_will_do_for_a_threshold(kind: type[nn.Module]) -> None:
    x = torch.rand(4, 3)
    for threshold in (2, torch.tensor(2)):
        assert torch.equal(kind(threshold=threshold)(x), kind(threshold=2.0)(x))


@pytest.mark.parametrize("members", [0, -1, 2.5, True])
def test_members_must_be_a_whole_number(members: object) -> None:
    with pytest.raises(ValueError, match="GroupNeuron expects members >= 1, a whole number; got"):
        GroupNeuron(members=members)


def test_decay_and_rest_must_lie_in_their_intervals() -> None:
    with pytest.raises(ValueError, match=r"LIF expects decay in \[0, 1\); for no leak use IF; got 1"):
        LIF(decay=1.0)
    with pytest.raises(ValueError, match=r"LIF expects decay in \(0, 1\) when it is learned; got 0"):
        LIF(decay=0.0, learn_decay=True)
    with pytest.raises(ValueError, match=r"IF expects rest in \[0, 1\), a fraction of the threshold; got 1"):
        IF(rest=1.0)


def test_a_per_channel_setting_must_fit() -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\) does not fit a step of shape \(2, 4, 5\)"):
        IF(threshold=torch.ones(3))(torch.zeros(6, 2, 4, 5))
    with pytest.raises(ValueError, match=r"shape \(2, 2\) does not fit"):
        along_channels(torch.ones(2, 2), torch.zeros(5, 2, 3, 3))
    assert along_channels(torch.ones(1, 7), torch.zeros(5, 4, 7)).shape == (1, 7)


# --- time ----------------------------------------------------------------------------------------------------


def test_declaring_time_where_there_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="found no neuron and no lifted layer in Linear"):
        declare_time(nn.Linear(2, 2), time_steps=4)
    with pytest.raises(ValueError, match="declare_time expects time_steps >= 1; got 0"):
        declare_time(IF(), time_steps=0)


def test_time_that_one_module_refuses_is_declared_to_none() -> None:
    network = nn.Sequential(OverTime(nn.Linear(3, 3)), IF(), AdaptiveLIF(time_steps=4), LIF())
    with pytest.raises(ValueError, match="AdaptiveLIF '2' expects T = 4"):
        declare_time(network, time_steps=6)
    assert [(module.label, module.time_steps) for module in network] == [("", None), ("", None), ("", 4), ("", None)]
    declare_time(network, time_steps=4)
    with pytest.raises(ValueError, match=r"AdaptiveLIF 'again\.2' expects T = 4"):
        declare_time(nn.ModuleDict({"again": network}), time_steps=6)
    assert [(module.label, module.time_steps) for module in network] == [(str(place), 4) for place in range(4)]
    assert network(torch.rand(4, 2, 3)).shape == (4, 2, 3)


def test_a_spiking_network_declares_its_encoders_time() -> None:
    body = nn.Sequential(OverTime(nn.Linear(5, 4)), LIF(), nn.Flatten(0, 1), GroupNeuron())
    network = SpikingNetwork(body, encoder=Direct(time_steps=6))
    with pytest.raises(ValueError, match=r"GroupNeuron '3' expects a train \[time=6, .* got shape \(12, 4\)"):
        network(torch.randn(2, 5))
    repaired = SpikingNetwork(body[:2], encoder=Direct(time_steps=6))
    assert repaired(torch.randn(2, 5)).shape == repaired(torch.randn(7, 5))[:2].shape == (2, 4)


def test_what_takes_trains_itself_is_not_lifted() -> None:
    for lift in (OverTime, EachStep):
        with pytest.raises(
            ValueError, match=rf"{lift.__name__} lifts layers that know no time; LIF takes trains itself"
        ):
            lift(nn.Linear(5, 4), nn.Sequential(LIF()))


def test_wrong_kinds_of_arguments_are_explained() -> None:
    with pytest.raises(TypeError, match=r"expects an encoder, which declares T, such as Direct\(time_steps=4\); got 4"):
        SpikingNetwork(nn.Sequential(LIF()), encoder=4)
    with pytest.raises(TypeError, match=r"run drives one neuron; got Sequential"):
        run(nn.Sequential(LIF()), torch.zeros(2, 3))
    for kind in (IF, LIF):
        with pytest.raises(TypeError, match=rf"{kind.__name__} expects surrogate to be one, such as surrogate=ATan"):
            kind(surrogate=ATan)
        with pytest.raises(TypeError, match=r"expects reset to be one, such as reset=to_zero; got 'zero'"):
            kind(reset="zero")
    with pytest.raises(TypeError, match=r"Direct expects a tensor; got list"):
        Direct()([0.5])
    for surrogate, settings in ((ATan, {"slope": -1.0}), (Triangle, {"width": 0.0})):
        with pytest.raises(ValueError, match=rf"{surrogate.__name__} expects \w+ > 0 and finite; got"):
            surrogate(**settings)


def test_a_spiking_network_learns_a_task_from_values() -> None:
    torch.manual_seed(0)
    body = nn.Sequential(OverTime(nn.Linear(8, 32)), LIF(), OverTime(nn.Linear(32, 2)))
    network = SpikingNetwork(body, encoder=Direct(time_steps=4))
    x = torch.randn(256, 8)
    y = (x[:, 0] * x[:, 1] > 0).long()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(150):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


# --- small parts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [2e-6, 1e-3, 0.5, 4.0, 300.0])
def test_positive_and_its_inverse(value: float) -> None:
    assert positive(raw_of(torch.tensor(value))).item() == pytest.approx(value, rel=1e-5)
    assert positive(torch.tensor(-1e6)).item() == pytest.approx(FLOOR)


def test_catalogue_leaves_out_what_is_abstract_or_foreign() -> None:
    class Concrete(Encoder):
        def emit(self, values):
            return values

        @property
        def step_weights(self):
            return torch.ones(1)

    found = catalogue({"Encoder": Encoder, "Concrete": Concrete, "nn": nn, "Linear": nn.Linear}, Encoder)
    assert dict(found) == {"Concrete": Concrete}
    with pytest.raises(TypeError):
        found["more"] = Concrete
