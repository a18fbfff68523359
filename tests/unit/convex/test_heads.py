"""The head of a trained network, found by what it does to the answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spikebridge import LIF, Direct, OverTime, Rate, SpikingNetwork
from spikebridge.convex.heads import find_head, see

SAMPLES, INPUTS, HIDDEN, CLASSES, STEPS = 6, 5, 7, 3, 4
CLOSE = 1e-5
"""float32 sums of a few numbers of size 1, in another order."""


class Loop(nn.Module):
    """A loop over time by hand: every step calls the head, and ``over`` says what becomes of the answers."""

    def __init__(self, over: Callable[[Tensor], Tensor], *, axis: bool = False) -> None:
        super().__init__()
        self.body, self.head, self.over, self.axis = nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, CLASSES), over, axis

    def forward(self, values: Tensor) -> Tensor:
        """[batch, INPUTS] -> [batch, CLASSES]."""
        train = torch.stack([torch.relu(self.body(values) * (step + 1)) for step in range(STEPS)])
        answers = self.head(train) if self.axis else torch.stack([self.head(step) for step in train])
        return self.over(answers)


class Keeping(nn.Module):
    """A network that keeps its membrane in itself, as some libraries' do, and is wrong unless it is reset."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.membrane = nn.Linear(INPUTS, CLASSES), None

    def reset(self) -> None:
        """Forget."""
        self.membrane = None

    def forward(self, values: Tensor) -> Tensor:
        """[batch, INPUTS] -> [batch, CLASSES]."""
        self.membrane = values if self.membrane is None else self.membrane + values
        return self.head(self.membrane)


def ours() -> nn.Module:
    body = nn.Sequential(OverTime(nn.Linear(INPUTS, HIDDEN)), LIF(threshold=0.1), OverTime(nn.Linear(HIDDEN, CLASSES)))
    return SpikingNetwork(body, encoder=Direct(time_steps=STEPS))


def plain(*, bias: bool = True) -> nn.Module:
    return nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES, bias=bias))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "one step": (plain, "once"),
    "no bias": (lambda: plain(bias=False), "once"),
    "ours, mean over time": (ours, "mean"),
    "a loop, summed": (lambda: Loop(lambda answers: answers.sum(0)), "sum"),
    "a loop, the mean": (lambda: Loop(lambda answers: answers.mean(0)), "mean"),
    "a loop, the last": (lambda: Loop(lambda answers: answers[-1]), "last"),
    "a train of answers": (lambda: Loop(lambda answers: answers), "mean"),
    "an axis, summed": (lambda: Loop(lambda answers: answers.sum(0), axis=True), "sum"),
}


def batches(count: int = 2, *, classes: int = CLASSES) -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(1)
    return [(torch.rand(SAMPLES, INPUTS), torch.randint(classes, (SAMPLES,))) for _ in range(count)]


@pytest.mark.parametrize("name", NETWORKS)
def test_features_times_weights_are_the_answer(name: str) -> None:
    torch.manual_seed(0)
    make, over = NETWORKS[name]
    network, data = make(), batches()
    head = find_head(network, data[0][0])
    assert head.over == over
    assert head.steps == (1 if over == "once" else STEPS)
    seen = see(network, head, data)
    bias = 0.0 if head.layer.bias is None else head.bias_share * head.layer.bias.detach().numpy()
    wanted = seen.features @ head.layer.weight.detach().double().numpy().T + bias
    np.testing.assert_allclose(seen.logits, wanted, atol=CLOSE)
    assert seen.features.shape == (2 * SAMPLES, HIDDEN)
    assert seen.targets.tolist() == torch.cat([targets for _, targets in data]).tolist()


def test_a_loop_that_does_something_else_is_refused() -> None:
    torch.manual_seed(0)
    for over in (lambda answers: answers.amax(0), lambda answers: answers.softmax(-1).mean(0)):
        with pytest.raises(ValueError, match="linear in what arrives at the head; that of Loop is not the output of"):
            find_head(Loop(over), torch.rand(SAMPLES, INPUTS))


def test_a_network_that_keeps_its_state_is_reset_before_every_batch() -> None:
    torch.manual_seed(0)
    network, data = Keeping(), batches(3)
    head = find_head(network, data[0][0], reset=Keeping.reset)
    seen = see(network, head, data, reset=Keeping.reset)
    assert torch.equal(torch.from_numpy(seen.features).float(), torch.cat([values for values, _ in data]))
    assert network.membrane is None


def test_a_network_that_is_not_reset_is_refused() -> None:
    with pytest.raises(ValueError, match="Keeping answers otherwise when it sees a batch again: it keeps a state"):
        find_head(Keeping(), batches()[0][0])


def test_a_code_that_draws_is_no_state() -> None:
    body = nn.Sequential(OverTime(nn.Linear(INPUTS, HIDDEN)), LIF(threshold=0.1), OverTime(nn.Linear(HIDDEN, CLASSES)))
    network = SpikingNetwork(body, encoder=Rate(time_steps=STEPS))
    values, _ = batches()[0]
    before = torch.random.get_rng_state()
    assert find_head(network, values).over == "mean"
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_network_is_left_as_it_was() -> None:
    network = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.Dropout(), nn.Linear(HIDDEN, CLASSES))
    network[1].eval()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    see(network, find_head(network, batches()[0][0]), batches())
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    assert [part.training for part in network] == [True, False, True, True]
    assert not any(part._forward_pre_hooks for part in network.modules())


REFUSED: dict[str, tuple[Any, str]] = {
    "no linear layer": (lambda: find_head(nn.Conv2d(1, 2, 3), torch.rand(2, 1, 4, 4)), "Conv2d has none"),
    "another name": (lambda: find_head(plain(), torch.rand(2, INPUTS), name="3"), "got '3'. It has '0', '2'"),
    "a tuple": (
        lambda: find_head(Loop(lambda answers: (answers, answers)), torch.rand(2, INPUTS)),  # type: ignore[arg-type,return-value]
        "got tuple. Wrap it in a module that returns the logits",
    ),
    "no batch": (
        lambda: see(plain(), find_head(plain(), torch.rand(2, INPUTS)), []),
        "at least one batch (values, targets); the loader yields nothing",
    ),
    "no targets": (
        lambda: see(plain(), find_head(plain(), torch.rand(2, INPUTS)), [torch.rand(2, INPUTS)]),
        "batches (values, targets); got Tensor",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case: str) -> None:
    call, message = REFUSED[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_features_that_are_not_finite_are_refused() -> None:
    network = plain()
    head = find_head(network, torch.rand(2, INPUTS))
    nn.init.constant_(network.get_submodule("0").bias, float("inf"))
    with pytest.raises(ValueError, match="arrives at '2' is not finite"):
        see(network, head, batches())
