"""The head of a trained network, found by what it does to the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from spikebridge import LIF, Direct, OverTime, Rate, SpikingNetwork
from spikebridge.convex.heads import find_head, see

SAMPLES, INPUTS, HIDDEN, CLASSES, STEPS = 6, 5, 7, 3, 4
CLOSE = 1e-5
"""float32 sums of a few numbers of size 1, in another order."""


class Loop(nn.Module):
    """A loop over time by hand: every step calls the head, and ``over`` says what becomes of the answers."""

    def __init__(self, over: Callable[[Tensor], Tensor], *, axis: int | None = None) -> None:
        super().__init__()
        self.body, self.head, self.over, self.axis = nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, CLASSES), over, axis

    def forward(self, values: Tensor) -> Tensor:
        """[batch, INPUTS] -> [batch, CLASSES]."""
        steps = [torch.relu(self.body(values) * (step + 1) - step) for step in range(STEPS)]
        if self.axis is None:
            return self.over(torch.stack([self.head(input=step) for step in steps]))
        return self.over(self.head(torch.stack(steps, self.axis)))


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
    "an axis, summed": (lambda: Loop(lambda answers: answers.sum(0), axis=0), "sum"),
    "batch first, the mean": (lambda: Loop(lambda answers: answers.mean(1), axis=1), "mean"),
    "batch first, the last": (lambda: Loop(lambda answers: answers[:, -1], axis=1), "last"),
}


def batches(count: int = 2, *, classes: int = CLASSES) -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(1)
    return [(torch.rand(SAMPLES, INPUTS), torch.randint(classes, (SAMPLES,))) for _ in range(count)]


@pytest.mark.parametrize("name", NETWORKS)
def test_features_times_weights_are_the_answer(name: str) -> None:
    torch.manual_seed(0)
    make, over = NETWORKS[name]
    network, data = make(), batches()
    head = find_head(network, data)
    assert head.over == over
    assert head.steps == (1 if over == "once" else STEPS)
    seen = see(network, head, data)
    bias = 0.0 if head.layer.bias is None else head.bias_share * head.layer.bias.detach().numpy()
    wanted = seen.features @ head.layer.weight.detach().double().numpy().T + bias
    np.testing.assert_allclose(seen.logits, wanted, atol=CLOSE)
    assert seen.features.shape == (2 * SAMPLES, HIDDEN)
    assert seen.targets.tolist() == torch.cat([targets for _, targets in data]).tolist()


@pytest.mark.parametrize("over", [lambda answers: answers.mean(1), lambda answers: answers[:, -1]])
def test_where_a_batch_says_too_little_others_decide(over: Callable[[Tensor], Tensor]) -> None:
    network, data = Loop(over, axis=1), batches(3)
    with torch.no_grad():
        network.body.bias.clamp_(max=0.0)
    silent = (torch.zeros(SAMPLES, INPUTS), data[0][1])
    single = (data[0][0][:1], data[0][1][:1])
    none = (data[0][0][:0], data[0][1][:0])
    wanted = find_head(network, data)
    assert wanted.is_batch_first
    for first in (silent, single, none):
        assert find_head(network, [first, *data]) == wanted
        assert len(see(network, wanted, [first, *data]).targets) == 3 * SAMPLES + len(first[1])


class Clamped(nn.Sequential):
    """Linear only where answers are small."""

    def forward(self, values: Tensor) -> Tensor:
        """[batch, INPUTS] -> [batch, CLASSES]."""
        return super().forward(values).clamp(-1.0, 1.0)


def test_an_answer_is_held_to_the_head_on_every_batch() -> None:
    torch.manual_seed(0)
    network, data = Clamped(nn.Linear(INPUTS, CLASSES)), batches(3)
    data[2] = (20.0 * data[2][0], data[2][1])
    head = find_head(network, data)
    with pytest.raises(ValueError, match=r"linear in what arrives at '0'.*; on batch 2 it is not. Does a clamp follow"):
        see(network, head, data)


def test_targets_and_answers_are_as_many() -> None:
    network, (values, targets) = plain(), batches()[0]
    with pytest.raises(ValueError, match="batch 0 has 6 samples and 4 targets"):
        see(network, find_head(network, batches()), [(values, targets[:4])])


def test_a_loop_that_does_something_else_is_refused() -> None:
    torch.manual_seed(0)
    for over in (lambda answers: answers.amax(0), lambda answers: answers.softmax(-1).mean(0)):
        with pytest.raises(ValueError, match="linear in what arrives at the head; that of Loop is not the output of"):
            find_head(Loop(over), batches())


def test_a_network_that_keeps_its_state_is_reset_before_every_batch() -> None:
    torch.manual_seed(0)
    network, data = Keeping(), batches(3)
    head = find_head(network, data, reset=Keeping.reset)
    seen = see(network, head, data, reset=Keeping.reset)
    assert torch.equal(torch.from_numpy(seen.features).float(), torch.cat([values for values, _ in data]))
    assert network.membrane is None


class Fading(Keeping):
    """Forgets so fast that the same batch again gives the same spikes, but not after another one."""

    def forward(self, values: Tensor) -> Tensor:
        """[batch, INPUTS] -> [batch, CLASSES]."""
        centred = values - 0.5
        self.membrane = centred if self.membrane is None else 0.5 * self.membrane + centred
        return self.head((self.membrane > 0).float())


def test_a_state_that_fades_is_seen_too() -> None:
    torch.manual_seed(0)
    data, even = batches(), torch.full((SAMPLES, INPUTS), 0.5)
    assert torch.equal((network := Fading())(data[0][0]), network(data[0][0]))
    with pytest.raises(ValueError, match="Fading answers otherwise when it sees a batch again: it keeps a state"):
        find_head(Fading(), data)
    says_nothing = [(even, data[0][1]), *data]
    head = find_head(Fading(), says_nothing[:1])
    with pytest.raises(ValueError, match="Fading answers otherwise when it sees a batch again: it keeps a state"):
        see(network := Fading(), head._replace(layer=network.head), says_nothing)


def test_a_network_that_is_not_reset_is_refused() -> None:
    with pytest.raises(ValueError, match="Keeping answers otherwise when it sees a batch again: it keeps a state"):
        find_head(Keeping(), batches())


def test_a_code_that_draws_is_no_state() -> None:
    body = nn.Sequential(OverTime(nn.Linear(INPUTS, HIDDEN)), LIF(threshold=0.1), OverTime(nn.Linear(HIDDEN, CLASSES)))
    network = SpikingNetwork(body, encoder=Rate(time_steps=STEPS))
    data = batches()
    before = torch.random.get_rng_state()
    head = find_head(network, data)
    assert head.over == "mean"
    seen = [see(network, head, _drawing(data)).logits for _ in range(2)]
    assert (seen[0] == seen[1]).all()
    assert torch.equal(torch.random.get_rng_state(), before)


def _drawing(data: list[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """As a loader that shuffles or augments: the random numbers go on between batches."""
    state = torch.random.get_rng_state()
    for batch in data:
        torch.rand(3)
        yield batch
    torch.random.set_rng_state(state)


def test_the_network_is_left_as_it_was() -> None:
    network = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.Dropout(), nn.Linear(HIDDEN, CLASSES))
    network[1].eval()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    see(network, find_head(network, batches()), batches())
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    assert [part.training for part in network] == [True, False, True, True]
    assert not any(part._forward_pre_hooks for part in network.modules())


def normed() -> nn.Module:
    """Its head's weights are computed at every call."""
    network = plain()
    nn.utils.parametrizations.weight_norm(network.get_submodule("2"))
    return network


def pruned() -> nn.Module:
    """Its head's weights have a mask of torch's."""
    network = plain()
    prune.l1_unstructured(network.get_submodule("2"), "weight", 0.5)
    return network


REFUSED: dict[str, tuple[Any, str]] = {
    "a weight norm": (lambda: find_head(normed(), batches()), "those of '2' are computed from others"),
    "a mask": (lambda: find_head(pruned(), batches()), "those of '2' are computed from others"),
    "not a number": (
        lambda: find_head(plain(), [(torch.full((2, INPUTS), torch.nan), torch.zeros(2))]),
        "not all finite",
    ),
    "no linear layer": (lambda: find_head(nn.Conv2d(1, 2, 3), batches()), "Conv2d has none"),
    "another name": (lambda: find_head(plain(), batches(), name="3"), "got '3'. It has '0', '2'"),
    "a tuple": (
        lambda: find_head(Loop(lambda answers: (answers, answers)), batches()),  # type: ignore[arg-type,return-value]
        "got tuple. Wrap it in a module that returns the logits",
    ),
    "no batch": (
        lambda: see(plain(), find_head(plain(), batches()), []),
        "at least one batch (values, targets); the loader yields nothing",
    ),
    "no targets": (
        lambda: see(plain(), find_head(plain(), batches()), [torch.rand(2, INPUTS)]),
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
    head = find_head(network, batches())
    nn.init.constant_(network.get_submodule("0").bias, float("inf"))
    with pytest.raises(ValueError, match="arrives at '2' is not finite"):
        see(network, head, batches())
