"""The Group Neuron against its closed forms, its members, an IF and QCFS.

Inputs lie on a dyadic grid, so every sum and quotient is exact and "equal" means equal.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spikebridge import IF, QCFS, GroupNeuron, run
from spikebridge.measure import spike_counts

GRID = 1.0 / 64
MEMBERS = [1, 2, 4, 8, 16]


def dyadic(*shape: int, low: float = -2.0, high: float = 2.0) -> Tensor:
    return torch.randint(round(low / GRID), round(high / GRID) + 1, shape) * GRID


def counted(neuron: GroupNeuron, x: Tensor) -> Tensor:
    """N(t): spikes up to each step."""
    return spike_counts(neuron, neuron(x)).cumsum(0)


@pytest.mark.parametrize("members", MEMBERS)
@pytest.mark.parametrize("signed", [False, True])
def test_recursion_of_the_count_holds_at_every_prefix(members: int, signed: bool) -> None:
    x = dyadic(32, 20_000)
    ideal = torch.floor(x.cumsum(0) * members + 0.5)
    found = counted(GroupNeuron(members=members, signed=signed), x)
    before = torch.zeros(20_000)
    mismatches = 0
    for t in range(32):
        low = (before - members).clamp(min=0) if signed else before
        expected = torch.minimum(torch.maximum(ideal[t], low), before + members)
        mismatches += int((found[t] != expected).sum())
        before = found[t]
    assert mismatches == 0


@pytest.mark.parametrize("members", [1, 2, 3, 4, 6, 8, 16])
def test_step_counts_the_thresholds_that_are_reached(members: int) -> None:
    # Levels are the unit here, so that thresholds and the values just around them are exact for every m.
    level = torch.cat([torch.arange(-3, members + 4).float() + d for d in (-0.25, -(2.0**-20), 0.0, 2.0**-20, 0.25)])
    neuron = GroupNeuron(threshold=float(members), members=members)
    state = neuron.initial_state(level)._replace(membrane=torch.zeros_like(level))
    emitted, _ = neuron.step(level, state)
    reached = sum((level >= i).float() for i in range(1, members + 1))
    assert torch.equal(emitted, reached)


@pytest.mark.parametrize("members", [1, 2, 4, 8])
def test_equals_m_binary_members_that_share_and_inhibit(members: int) -> None:
    """The definition, with m explicit members: nested, binary, each subtracting one level from every membrane."""
    x, unit = dyadic(16, 500), 1.0 / members
    thresholds = torch.arange(1, members + 1)[:, None] * unit
    membranes = torch.full((members, 500), unit / 2)
    for t, emitted in enumerate(GroupNeuron(members=members)(x)):
        membranes = membranes + x[t]
        spikes = (membranes >= thresholds).float()
        membranes = membranes - unit * spikes.sum(0)
        assert (spikes[1:] <= spikes[:-1]).all()
        assert torch.equal(emitted, unit * spikes.sum(0))


@pytest.mark.parametrize("threshold", [0.5, 1.0, 2.0])
def test_one_member_is_an_integrate_and_fire_neuron(threshold: float) -> None:
    x = dyadic(32, 1000)
    spiking = IF(threshold=threshold, spike_value=threshold, rest=0.5)
    assert torch.equal(GroupNeuron(threshold=threshold, members=1)(x), spiking(x))


@pytest.mark.parametrize("members", MEMBERS)
@pytest.mark.parametrize("time_steps", [1, 2, 4, 8])
def test_constant_input_equals_a_longer_if_and_a_finer_qcfs(members: int, time_steps: int) -> None:
    x = dyadic(1, 2000, low=-1.0, high=3.0)
    levels = time_steps * members
    group = GroupNeuron(members=members)(x.expand(time_steps, -1)).sum(0) * members
    one_by_one = IF(rest=0.5)(x.expand(levels, -1) / 1.0).sum(0)
    quantised = QCFS(levels=levels, threshold=1.0)
    with torch.no_grad():
        activation = torch.floor(x[0] * levels + 0.5).clamp(0, levels)
        assert torch.allclose(quantised(x[0]) * levels / quantised.threshold, activation)
    assert torch.equal(group, activation)
    assert torch.equal(one_by_one, activation)


def test_charge_is_conserved() -> None:
    x = dyadic(24, 1000)
    for signed in (False, True):
        neuron = GroupNeuron(members=4, signed=signed)
        train, state = run(neuron, x)
        unit = neuron.spike_value
        assert torch.equal(train.sum(0) + (state.membrane - 0.5) * unit, x.sum(0))
        assert torch.equal(state.emitted, spike_counts(neuron, train).sum(0))


def test_signed_total_is_never_negative() -> None:
    x = dyadic(64, 5000, low=-4.0, high=2.0)
    assert (counted(GroupNeuron(members=4, signed=True), x) >= 0).all()
    assert (spike_counts(GroupNeuron(members=4, signed=True), GroupNeuron(members=4, signed=True)(x)) < 0).any()


def test_signed_is_invariant_to_the_order_of_its_inputs_and_plain_is_not() -> None:
    members, time_steps = 16, 8
    x = dyadic(time_steps, 4000, low=-0.5, high=0.5)  # |input| <= half the slew limit, which therefore stays idle
    orders = [torch.randperm(time_steps) for _ in range(20)]
    ideal = torch.floor(x.sum(0) * members + 0.5).clamp(min=0)
    totals = {
        signed: torch.stack([counted(GroupNeuron(members=members, signed=signed), x[order])[-1] for order in orders])
        for signed in (False, True)
    }
    assert torch.equal(totals[True], ideal.expand(20, -1))
    assert (totals[False] != totals[False][0]).any()
    assert (totals[False] >= ideal).all()


def test_per_channel_thresholds_equal_one_neuron_per_channel() -> None:
    x, thresholds = dyadic(8, 5, 3, 4, 4), torch.tensor([0.5, 1.0, 2.0])
    for signed in (False, True):
        together = GroupNeuron(threshold=thresholds, members=4, signed=signed)(x)
        for channel in range(3):
            alone = GroupNeuron(threshold=thresholds[channel].item(), members=4, signed=signed)(x[:, :, channel])
            assert torch.equal(together[:, :, channel], alone)


@pytest.mark.parametrize("levels", [1, 3, 7, 8, 16, 255])
@pytest.mark.parametrize("threshold", [0.1, 1.0, 3.7])
def test_one_step_is_qcfs_bit_for_bit(levels: int, threshold: float) -> None:
    """Arbitrary floats, not a grid: both sides use the same arithmetic, so not even a tie may differ."""
    z = torch.randn(1, 200_000) * threshold
    quantised = QCFS(levels=levels, threshold=threshold)
    neuron = GroupNeuron(threshold=quantised.threshold.detach(), members=levels)
    assert torch.equal(neuron(z[None])[0], quantised(z))


def test_qcfs_checkpoint_loads_into_a_group_neuron() -> None:
    quantised, neuron = QCFS(levels=4, threshold=2.7), GroupNeuron(members=4)
    neuron.load_state_dict(quantised.state_dict())
    assert torch.equal(neuron.threshold, quantised.threshold.detach())
    assert set(quantised.state_dict()) == {"raw_threshold"}


def test_counts_stay_exact_over_a_long_run_under_autocast() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, state = run(GroupNeuron(members=16), torch.ones(3000, 1, 1, dtype=torch.bfloat16))
    assert state.emitted.item() == 48_000
