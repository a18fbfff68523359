"""A task that only the time of a pattern decides: blind to it, a frozen network guesses; an adapted one learns it."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import LIF, OverTime, by_subtraction, to_zero
from spikebridge.adaptive import adapt

from .networks import STEPS

PATTERNS, WIDTH = 64, 8
frozen = {"leak": "fixed", "gain": "fixed", "readout": "fixed"}


def task(seed: int) -> tuple[Tensor, Tensor]:
    """The same patterns once at every step, nothing at the others; the step is the class."""
    patterns = torch.randn(PATTERNS, WIDTH, generator=torch.Generator().manual_seed(seed))
    train = torch.zeros(STEPS, STEPS, PATTERNS, WIDTH)
    for step in range(STEPS):
        train[step, step] = patterns
    return train.flatten(1, 2), torch.arange(STEPS).repeat_interleave(PATTERNS)


def host(*, is_blind: bool = True) -> nn.Module:
    """Blind without biases before the neurons, which reset to zero: nothing happens but at the step of the pattern."""
    torch.manual_seed(0)
    lif = partial(LIF, reset=to_zero if is_blind else by_subtraction)
    return nn.Sequential(OverTime(nn.Linear(WIDTH, 48, bias=not is_blind)), lif(), OverTime(nn.Linear(48, STEPS)))


def accuracy(network: nn.Module, seed: int) -> float:
    train, classes = task(seed)
    with torch.no_grad():
        return (network(train).mean(0).argmax(1) == classes).double().mean().item()


def learn(network: nn.Module, *, steps: int = 150) -> nn.Module:
    train, classes = task(1)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.03)
    for _ in range(steps):
        optimiser.zero_grad()
        F.cross_entropy(network(train).mean(0), classes).backward()
        optimiser.step()
    return network


def test_every_class_has_the_same_sum_over_steps() -> None:
    train, _ = task(1)
    sums = train.sum(0).view(STEPS, PATTERNS, WIDTH)
    assert torch.equal(sums, sums[:1].expand_as(sums))


def test_a_frozen_network_answers_alike_whenever_the_pattern_comes() -> None:
    network = learn(adapt(host(), STEPS, **frozen))
    answers = network(task(2)[0]).mean(0).view(STEPS, PATTERNS, STEPS)
    torch.testing.assert_close(answers, answers[:1].expand_as(answers))
    assert answers[0].std(0).max() > 0
    # One answer for all classes is right for one of them at most.
    assert accuracy(network, 2) <= 1 / STEPS


@pytest.mark.parametrize("is_blind", [True, False])
def test_an_adapted_network_learns_when_the_pattern_comes(is_blind: bool) -> None:
    network = learn(adapt(host(is_blind=is_blind), STEPS))
    assert min(accuracy(network, seed) for seed in (2, 3, 4)) > 0.9


def test_a_frozen_network_that_is_not_blind_learns_some_of_it() -> None:
    network = learn(adapt(host(is_blind=False), STEPS, **frozen))
    found = [accuracy(network, seed) for seed in (2, 3, 4)]
    assert min(found) > 2 / STEPS
    assert max(found) < 0.7


@pytest.mark.parametrize(("switch", "least"), [("leak", 0.4), ("gain", 0.5), ("readout", 0.8)])
def test_each_switch_tells_steps_apart_by_itself(switch: str, least: float) -> None:
    # A leak above 1 lets what has not fired fire later, if there is a later.
    own = {switch: "step" if switch == "readout" else "layer"}
    assert accuracy(learn(adapt(host(), STEPS, **frozen | own)), 2) > least > 1 / STEPS
