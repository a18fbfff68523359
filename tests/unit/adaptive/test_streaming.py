"""Adapted networks piece by piece: what is carried from step to step is all there is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikebridge import LIF, Direct, EachStep, Encoder, Hybrid, InPieces, Latency, OverTime, declare_time, run
from spikebridge.adaptive import adapt, fold_adaptive
from spikebridge.core import TimeAxis

from .networks import HOSTS, STEPS, images, spiking, varied

ROUNDING = 1e-12
"""Of convolutions in float64 over other numbers of frames."""


def in_pieces(network: TimeAxis, train: Tensor, cuts: tuple[int, ...]) -> tuple[Tensor, Any]:
    state, sent = None, []
    for piece in train.split(cuts):
        found, state = network.resume(piece, state)
        sent.append(found)
    return torch.cat(sent), state


def codes() -> list[Encoder]:
    return [Direct(time_steps=STEPS), Latency(time_steps=STEPS), Hybrid(time_steps=STEPS)]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("cuts", [(1, 3), (2, 1, 1), (1, 1, 1, 1)])
def test_pieces_one_after_another_are_the_whole(host: str, cuts: tuple[int, ...]) -> None:
    values = images(host).double()
    switches: dict[str, Any] = {"leak": "channel", "readout": "class", "batch": values} if len(cuts) == 3 else {}
    network = varied(adapt(spiking(host, double=True), STEPS, encoder=codes()[len(cuts) - 2], **switches))
    piecewise, train = InPieces(network.body), network.encoder(values)
    with torch.no_grad():
        sent, state = in_pieces(piecewise, train, cuts)
        torch.testing.assert_close(sent, network.train_out(values), rtol=0, atol=ROUNDING)
        assert sent.std(1).max() > 0
        with pytest.raises(ValueError, match="expects at most 4 steps"):
            piecewise.resume(train[-1:], state)
        torch.testing.assert_close(piecewise(train), sent, rtol=0, atol=ROUNDING)


def test_a_folded_network_takes_pieces_up_to_its_readout() -> None:
    network = varied(adapt(spiking("lenet_cifar", double=True), STEPS, encoder=Hybrid(time_steps=STEPS)))
    folded, values = fold_adaptive(network).model, images().double()
    piecewise, train = InPieces(folded.body[:-1]), network.encoder(values)
    with torch.no_grad():
        sent, _ = in_pieces(piecewise, train, (1, 2, 1))
        torch.testing.assert_close(sent, network.body[:-1](train), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("lift", [OverTime, EachStep])
def test_lifted_layers_take_pieces_whatever_was_declared(lift: type[nn.Module]) -> None:
    lifted, train = declare_time(lift(nn.Linear(3, 2)), time_steps=STEPS), torch.rand(STEPS, 5, 3)
    sent, state = in_pieces(lifted, train, (1, 3))
    torch.testing.assert_close(sent, lifted(train))
    assert state is None


class Doubled(OverTime):
    def forward(self, train: Tensor) -> Tensor:
        return 2 * super().forward(train)


def test_lifted_layers_with_a_forward_of_their_own_say_that_they_need_a_resume() -> None:
    with pytest.raises(NotImplementedError, match=r"Doubled cannot go on from a state.*Write its resume"):
        Doubled(nn.Linear(3, 2)).resume(torch.rand(2, 5, 3))


class Again(nn.Module):
    """One neuron at two places."""

    def __init__(self) -> None:
        super().__init__()
        self.neuron = LIF(threshold=0.7)

    def forward(self, train: Tensor) -> Tensor:
        return self.neuron(currents=self.neuron(train) + train)


def test_every_call_of_a_neuron_has_a_state_of_its_own() -> None:
    network, train = Again(), torch.rand(6, 5, 3)
    sent, state = in_pieces(InPieces(network), train, (2, 3, 1))
    assert torch.equal(sent, network(train))
    ends = [run(network.neuron, train)[1], run(network.neuron, network.neuron(train) + train)[1]]
    for expected, found in zip(ends, state.values(), strict=True):
        assert torch.equal(found.membrane, expected.membrane)
    assert not torch.equal(ends[0].membrane, ends[1].membrane)


class Branches(nn.Module):
    def forward(self, train: Tensor) -> Tensor:
        return train if train.max() > 0 else -train


def test_what_has_no_graph_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a network that torch\.fx can trace; Branches is not: .* resume"):
        InPieces(Branches())


def test_a_second_name_of_what_is_changed_in_place_streams() -> None:
    class Aliased(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.neuron, self.head = LIF(threshold=0.2), OverTime(nn.Linear(6, 3))

        def forward(self, train: Tensor) -> Tensor:
            spikes = self.neuron(train)
            alias = spikes
            alias *= 0.3
            return self.head(spikes)

    torch.manual_seed(0)
    network, train = Aliased().double().eval(), torch.rand(STEPS, 4, 6).double()
    with torch.no_grad():
        sent, _ = in_pieces(InPieces(network), train, (1, 3))
        torch.testing.assert_close(sent, network(train), rtol=0, atol=ROUNDING)
