"""Polishing: never worse on training data, not chosen if worse on validation data, and only what is kept is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spikebridge import LIF, Direct, OverTime, SpikingNetwork
from spikebridge.convex import Polished, polish
from spikebridge.convex.shrink import Picked, shrunk, with_head

INPUTS, HIDDEN, CLASSES, USELESS = 6, 12, 3, 4
CLOSE = 1e-5
"""float32 answers of size 1, summed over other inputs that are zero."""


def rule(values: Tensor) -> Tensor:
    return (values[:, 0] > 0.5).long() + (values[:, 1] > 0.5).long()


def batches(count: int, *, seed: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    values = [torch.rand(50, INPUTS, generator=generator) for _ in range(count)]
    return [(part, rule(part)) for part in values]


TRAIN, VALIDATION = batches(6, seed=0), batches(3, seed=1)


def analog(*, bias: bool = True) -> nn.Module:
    layers = [nn.Linear(INPUTS, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES, bias=bias)]
    return nn.Sequential(*layers).eval()


def spiking() -> nn.Module:
    first = OverTime(nn.Linear(INPUTS, HIDDEN), nn.BatchNorm1d(HIDDEN))
    body = nn.Sequential(first, LIF(threshold=0.3), OverTime(nn.Linear(HIDDEN, CLASSES)))
    return SpikingNetwork(body, encoder=Direct(time_steps=5)).eval()


class Summed(nn.Module):
    """Three steps whose answers are summed, so the bias counts three times."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, CLASSES)

    def forward(self, values: Tensor) -> Tensor:
        """[batch, INPUTS] -> [batch, CLASSES]."""
        steps = [self.head(torch.relu(self.body(values) - 0.1 * step)) for step in range(3)]
        return torch.stack(steps).sum(0)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "analog": analog,
    "no bias": lambda: analog(bias=False),
    "spiking": spiking,
    "summed": Summed,
}


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[name]()


def polished(name: str, **settings: Any) -> tuple[nn.Module, Polished]:
    network = made(name)
    return network, polish(network, TRAIN, VALIDATION, **{"strengths": 5, **settings})


def accuracy(network: nn.Module, data: list[tuple[Tensor, Tensor]]) -> float:
    with torch.no_grad():
        return float(np.mean([(network(values).argmax(1) == targets).float().mean() for values, targets in data]))


@pytest.mark.parametrize("penalty", ["group", "l1"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_objective_never_rises_and_the_proof_holds(name: str, penalty: Any) -> None:
    _, found = polished(name, penalty=penalty)
    assert len(found.path) == 5
    for point in found.path:
        assert point.objective <= point.old_objective + 1e-12
        assert point.certificate.dual <= point.objective
        assert point.certificate.relative_gap <= 1e-4
        assert point.old_excess == point.old_objective - point.objective


@pytest.mark.parametrize("name", NETWORKS)
def test_the_new_network_answers_as_its_weights_say(name: str) -> None:
    network, found = polished(name)
    assert found.replaced
    assert found.chosen is not None
    assert accuracy(found.model, VALIDATION) == pytest.approx(found.chosen.accuracy)
    assert found.chosen.accuracy >= found.old_accuracy == pytest.approx(accuracy(network, VALIDATION))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_given_network_is_left_as_it_was(name: str) -> None:
    network = made(name)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    polish(network, TRAIN, VALIDATION, strengths=1)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


def test_units_that_say_nothing_are_dropped() -> None:
    network = made("analog")
    with torch.no_grad():
        network.get_submodule("1").weight[-USELESS:] = 0.0  # their output is a constant, which the bias can say
        network.get_submodule("1").bias[-USELESS:] = 1.0
    found = polish(network, TRAIN, VALIDATION, strengths=6)
    assert found.chosen is not None
    assert not set(found.chosen.kept) & set(range(HIDDEN - USELESS, HIDDEN))


def test_a_good_head_is_not_replaced_by_one_that_is_less_often_right() -> None:
    network = made("analog")
    best = polish(network, TRAIN, VALIDATION, strengths=8).model
    found = polish(best, TRAIN, VALIDATION, strengths=[10.0])  # at which all weights are zero
    assert not found.replaced
    assert found.certificate is None
    assert "which stays" in str(found)
    values = VALIDATION[0][0]
    assert torch.equal(found.model(values), best(values))


@pytest.mark.parametrize(("name", "maker"), [("analog", "0"), ("spiking", "body.0.0"), ("summed", "body")])
def test_a_smaller_network_answers_as_the_one_with_zeros(name: str, maker: str) -> None:
    network, kept = made(name), torch.tensor([0, 3, 7])
    head = "body.2.0" if name == "spiking" else "head" if name == "summed" else "3"
    layer = network.get_submodule(head)
    with torch.no_grad():
        layer.weight[:, [unit for unit in range(HIDDEN) if unit not in kept]] = 0.0
    smaller, found = shrunk(network, head, kept, TRAIN[0][0])
    assert found == maker
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in network.parameters())
    assert smaller.get_submodule(maker).out_features == 3
    for values, _ in VALIDATION:
        torch.testing.assert_close(smaller(values), network(values), atol=CLOSE, rtol=0)


def test_where_units_cannot_be_taken_out_the_head_reads_fewer() -> None:
    class Twice(nn.Module):
        """Every unit is read by the head and by a shortcut, so none may go."""

        def __init__(self) -> None:
            super().__init__()
            self.body, self.other, self.head = nn.Linear(INPUTS, 8), nn.Linear(8, 8), nn.Linear(8, CLASSES)

        def forward(self, values: Tensor) -> Tensor:
            hidden = torch.relu(self.body(values))
            return self.head(torch.relu(self.other(hidden)) + hidden)

    torch.manual_seed(0)
    network, kept = Twice().eval(), torch.tensor([1, 2, 6])
    with torch.no_grad():
        network.head.weight[:, [0, 3, 4, 5, 7]] = 0.0
    smaller, maker = shrunk(network, "head", kept, TRAIN[0][0])
    assert maker is None
    assert isinstance(smaller.get_submodule("head"), Picked)
    torch.testing.assert_close(smaller(TRAIN[1][0]), network(TRAIN[1][0]), atol=CLOSE, rtol=0)


def test_a_head_gets_other_numbers_and_its_network_stays() -> None:
    network = made("analog")
    weight, bias = torch.randn(CLASSES, HIDDEN), torch.randn(CLASSES)
    result = with_head(network, "3", weight, bias)
    assert torch.equal(result.get_submodule("3").weight, weight)
    assert not torch.equal(network.get_submodule("3").weight, weight)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no batch": (lambda: polish(made("analog"), [], VALIDATION), "the loader yields nothing"),
    "no validation": (lambda: polish(made("analog"), TRAIN, iter(())), "the loader yields nothing"),
    "no targets": (lambda: polish(made("analog"), [TRAIN[0][0]], VALIDATION), "got Tensor"),
    "other classes": (
        lambda: polish(made("analog"), [(TRAIN[0][0], TRAIN[0][1] + 1)], VALIDATION),
        "classes 0 to 2, as '3' has outputs; got 1 to 3",
    ),
    "targets of another kind": (
        lambda: polish(made("analog"), [(TRAIN[0][0], TRAIN[0][1].float())], VALIDATION),
        "whole numbers; got float32",
    ),
    "no strength": (lambda: polish(made("analog"), TRAIN, VALIDATION, strengths=[]), "strengths > 0; got []"),
    "a strength of zero": (lambda: polish(made("analog"), TRAIN, VALIDATION, strengths=[0.0]), "got [0.0]"),
    "none of them": (lambda: polish(made("analog"), TRAIN, VALIDATION, strengths=0), "at least one strength; got 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case: str) -> None:
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_a_network_whose_units_are_silent_is_refused() -> None:
    network = made("spiking")
    with torch.no_grad():
        network.get_submodule("body.0.1").weight.zero_()
    with pytest.raises(ValueError, match="Are the units before it silent"):
        polish(network, TRAIN, VALIDATION)


def test_an_iterator_is_read_once() -> None:
    network = made("analog")
    first = polish(network, iter(TRAIN), iter(VALIDATION), strengths=2)
    assert first.path[0].objective == polish(network, TRAIN, VALIDATION, strengths=2).path[0].objective
