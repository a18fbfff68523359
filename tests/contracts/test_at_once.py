"""All steps at once: what the loop over time gives, for every neuron."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spikebridge import IF, LIF, GroupNeuron, Neuron, never, run, run_at_once
from spikebridge.training import compiler_problem

from ..cases import NEURON_CASES, PER_CHANNEL, currents

every_neuron = pytest.mark.parametrize("neuron", NEURON_CASES.values(), ids=NEURON_CASES)
PARALLEL: dict[str, Neuron] = {
    "IF": IF(threshold=PER_CHANNEL, rest=0.5, reset=never),
    "LIF": LIF(decay=0.5, threshold=0.25, reset=never),
    "LIF, learned": LIF(decay=0.5, decay_input=True, learn_decay=True, threshold=0.125, reset=never),
    "Group": GroupNeuron(members=16),
    "Group per channel": GroupNeuron(members=32, threshold=PER_CHANNEL),
    "Group signed": GroupNeuron(members=32, signed=True),
    "Group negative": GroupNeuron(members=32, negative=True),
}
"""Neurons that have the form, and whose limit is idle on the currents below."""


def on_a_grid(*, time: int = 12) -> Tensor:
    """Multiples of 1/64 in float64, of which every sum here is exact, so that no tie is decided by rounding."""
    return (torch.randn(time, 4, 3, 5, dtype=torch.float64) * 16 + 6).round().clamp(-32, 32) / 64


def equal_states(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> bool:
    return all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(one, other, strict=True))


@every_neuron
def test_at_once_is_the_loop_for_every_neuron(neuron: Neuron) -> None:
    torch.manual_seed(0)
    x = currents(neuron)
    train, state = run(neuron, x)
    found, end = run_at_once(neuron, x)
    assert torch.equal(found, train)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(end, state, strict=True))


@pytest.mark.parametrize("neuron", PARALLEL.values(), ids=PARALLEL)
def test_parallel_form_has_the_trains_states_and_gradients_of_the_loop(neuron: Neuron) -> None:
    torch.manual_seed(0)
    neuron = neuron.double()
    x, weights = on_a_grid(), torch.randn(12, 4, 3, 5, dtype=torch.float64)
    found = []
    for way in (run, run_at_once):
        leaf = x.clone().requires_grad_()
        train, state = way(neuron, leaf)
        learned = list(neuron.parameters())
        found.append((train, state, torch.autograd.grad((train * weights).sum(), [leaf, *learned])))
    assert neuron.at_once(x, neuron.initial_state(x[0])) is not None
    assert torch.equal(found[0][0], found[1][0])
    assert len(found[0][0].unique()) > 1
    assert equal_states(found[0][1], found[1][1])
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(found[0][2], found[1][2], strict=True))
    assert found[0][2][0].abs().sum() > 0


@pytest.mark.parametrize("neuron", PARALLEL.values(), ids=PARALLEL)
def test_parallel_form_goes_on_from_a_state(neuron: Neuron) -> None:
    torch.manual_seed(1)
    neuron, x = neuron.double(), on_a_grid()
    whole, end = run(neuron, x)
    first, state = run_at_once(neuron, x[:5])
    second, after = run_at_once(neuron, x[5:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert equal_states(after, end)


@pytest.mark.parametrize("settings", [{}, {"signed": True}, {"negative": True}])
def test_a_busy_limit_takes_the_loop(settings: dict[str, bool]) -> None:
    neuron = GroupNeuron(members=2, **settings)
    x = torch.tensor([[1.0], [9.0], [-9.0], [0.5]])
    assert neuron.at_once(x, neuron.initial_state(x[0])) is None
    assert torch.equal(run_at_once(neuron, x)[0], run(neuron, x)[0])


def test_a_step_of_ones_own_is_not_passed_over() -> None:
    class Halved(IF):
        def step(self, current, state):
            return super().step(current / 2, state)

    neuron, x = Halved(reset=never), on_a_grid()
    assert torch.equal(run_at_once(neuron, x)[0], run(neuron, x)[0])


@pytest.mark.skipif(compiler_problem("cpu") is not None, reason="torch.compile has no compiler here")
def test_compiled_it_is_the_loop() -> None:
    neuron, x = GroupNeuron(members=16), torch.rand(4, 8)
    compiled = torch.compile(lambda x: run_at_once(neuron, x)[0], fullgraph=True)
    assert torch.equal(compiled(x), run(neuron, x)[0])


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("neuron", [LIF(reset=never), GroupNeuron(members=4)], ids=["LIF", "Group"])
def test_what_is_not_finite_harms_nothing_else(neuron: Neuron, wrong: float) -> None:
    x = torch.rand(6, 3)
    x[3, 1], x[2, 0] = wrong, 5.0
    train, found = run(neuron, x)[0], run_at_once(neuron, x)[0]
    assert torch.equal(torch.nan_to_num(found, -1), torch.nan_to_num(train, -1))


def test_autocast_does_not_narrow_the_sums() -> None:
    neuron, x = LIF(decay=0.95, reset=never), torch.rand(64, 500) * 0.2
    plain = run_at_once(neuron, x)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(run_at_once(neuron, x)[0], plain)
