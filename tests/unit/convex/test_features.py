"""What is read of a unit obeys what its train obeys, and finds its way into a dictionary unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spikebridge import IF, LIF, Direct, OverTime, SpikingNetwork
from spikebridge.convex import (
    BitDictionary,
    Count,
    CountAtLeast,
    DenseDictionary,
    Feature,
    FirstSpikeBy,
    Membrane,
    MembraneAbove,
    OnGrid,
    Spike,
    SpikeFeatures,
    Trace,
    WitnessPool,
    before_readout,
    every_step,
    gaussian_witness,
    spike_dictionary,
)

STEPS, BATCH, INPUTS = 7, 70, 5
ALL: tuple[Feature, ...] = (
    *every_step(STEPS),
    Count(),
    CountAtLeast(2),
    FirstSpikeBy(3),
    MembraneAbove(0.1),
    Membrane(),
)
GRID = OnGrid(step=2.0**-6, limit=4.0)


def witness(branches: int | Sequence[int] = 20) -> nn.Sequential:
    return gaussian_witness(INPUTS, (6, 1), branches=branches, scaling="none", grid=GRID)


def values(batch: int = BATCH) -> Tensor:
    return torch.randn(batch, INPUTS)


@pytest.fixture
def trace() -> Trace:
    return SpikeFeatures(witness(), encoder=Direct(time_steps=STEPS), features=ALL).trace(values())


def test_a_count_is_the_sum_of_the_steps(trace: Trace) -> None:
    assert torch.equal(Count()(trace), sum(spike(trace) for spike in every_step(STEPS)))  # type: ignore[arg-type]
    assert Count()(trace).max() > 2
    assert torch.equal(Count()(trace), sum(CountAtLeast(c)(trace) for c in range(1, STEPS + 1)))  # type: ignore[arg-type]


def test_spikes_count_from_either_end(trace: Trace) -> None:
    assert torch.equal(Spike()(trace), Spike(STEPS - 1)(trace)) and torch.equal(Spike(-STEPS)(trace), Spike(0)(trace))


def test_once_a_unit_has_fired_it_has_fired(trace: Trace) -> None:
    fired = torch.stack([FirstSpikeBy(step)(trace) for step in range(STEPS)])
    assert (fired.diff(dim=0) >= 0).all() and (fired.diff(dim=0) > 0).any()
    assert torch.equal(fired[0], Spike(0)(trace)) and torch.equal(fired[-1], CountAtLeast(1)(trace))


def test_a_membrane_is_above_a_level_or_below(trace: Trace) -> None:
    level = float(Membrane()(trace).median())
    assert torch.equal(MembraneAbove(level)(trace), (Membrane()(trace) >= level).float())
    above = torch.stack([MembraneAbove(bias)(trace).sum(0) for bias in (-1e9, -0.5, 0.0, 0.5, 1e9)])
    assert (above.diff(dim=0) <= 0).all() and above[0].min() == BATCH and above[-1].max() == 0


def test_the_membrane_is_what_the_neuron_would_go_on_from() -> None:
    network = nn.Sequential(OverTime(nn.Identity()), LIF(decay=0.5))
    found = SpikeFeatures(network, encoder=Direct(time_steps=3), features=(Membrane(), Count()))
    assert found(torch.tensor([[0.8]])).tolist() == [[pytest.approx(0.9), 1.0]]  # 0.8, 1.2 fires, 0.1 + 0.8


@pytest.mark.parametrize("feature", ALL, ids=repr)
@pytest.mark.parametrize("batch_size", [None, 1, 33, 64])
def test_the_dictionary_holds_what_the_module_gives(feature: Feature, batch_size: int | None) -> None:
    features, given = SpikeFeatures(witness(), encoder=Direct(time_steps=STEPS), features=(feature,)), values()
    found = spike_dictionary(features, given, batch_size=batch_size)
    assert isinstance(found, BitDictionary if feature.is_binary else DenseDictionary)
    assert np.array_equal(found.take(np.arange(20)), features(given).numpy())


def test_features_stand_side_by_side() -> None:
    features, given = SpikeFeatures(witness(), encoder=Direct(time_steps=STEPS), features=ALL), values()
    found, trace = spike_dictionary(features, given), features.trace(given)
    for column in (0, 19, 20, 7 * 20 + 3, len(ALL) * 20 - 1):
        origin = features.origin(column, columns=len(ALL) * 20)
        wanted = origin.feature(trace)[:, origin.unit].numpy()
        assert np.array_equal(found.take(np.array([column]))[:, 0], wanted)
    for column, columns in ((40, 40), (-1, len(ALL) * 20), (0, len(ALL) * 20 + 1)):
        with pytest.raises(ValueError, match=f"of {len(ALL)} features expects .* got column {column} of {columns}"):
            features.origin(column, columns=columns)


def test_counts_take_a_byte_each_and_bits_less() -> None:
    features, given = SpikeFeatures(witness(), encoder=Direct(time_steps=STEPS), features=(Count(),)), values(128)
    assert spike_dictionary(features, given).nbytes == 128 * 20
    features.features = (Spike(),)
    assert spike_dictionary(features, given).nbytes == 128 * 20 / 8


def test_every_step_as_a_row_of_its_own() -> None:
    given = values()
    features = SpikeFeatures(witness(), encoder=Direct(time_steps=STEPS), rows="steps")
    found = spike_dictionary(features, given, batch_size=9)
    train = features.trace(given).train
    assert found.shape == (BATCH * STEPS, 20)
    assert np.array_equal(found.take(np.arange(20)).reshape(BATCH, STEPS, 20), train.transpose(0, 1).numpy())


def test_any_module_makes_columns() -> None:
    body = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU())
    images = torch.rand(10, 1, 6, 6)
    features = SpikeFeatures(body, features=(Count(),))
    found = spike_dictionary(features, images, batch_size=4)
    assert isinstance(found, DenseDictionary) and found.shape == (10, 48)
    with torch.no_grad():
        assert np.allclose(found.take(np.arange(48)), body(images).flatten(1).numpy(), atol=1e-6)
    with pytest.raises(ValueError, match="expects zeros and ones"):
        spike_dictionary(SpikeFeatures(body), images)
    with pytest.raises(ValueError, match="here there is none to see"):
        SpikeFeatures(body, features=(Membrane(),))(images)
    with pytest.raises(ValueError, match=r"expects its body to send a train \[time, batch=10, \*unit\]"):
        SpikeFeatures(nn.Flatten(0, 2))(images)


def test_spikes_worth_less_than_one_stay_what_they_are() -> None:
    body = nn.Sequential(OverTime(nn.Linear(INPUTS, 8)), IF(spike_value=0.5))
    features, given = SpikeFeatures(body, encoder=Direct(time_steps=3), features=(Count(),)), values()
    with torch.no_grad():
        assert np.array_equal(spike_dictionary(features, given).take(np.arange(8)), features(given).numpy())


def test_a_trained_network_is_cut_before_its_readout() -> None:
    body = nn.Sequential(
        OverTime(nn.Linear(INPUTS, 9)), LIF(), OverTime(nn.Linear(9, 4)), LIF(), OverTime(nn.Linear(4, 2))
    )
    network, given = SpikingNetwork(body, encoder=Direct(time_steps=STEPS)), values()
    witnesses, encoder = before_readout(network)
    features = SpikeFeatures(witnesses, encoder=encoder, features=(Count(),))
    with torch.no_grad():
        assert torch.allclose(body[-1].layers(features(given) / STEPS), network(given), atol=1e-6)  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"whose body is an nn\.Sequential with neurons in it; got OverTime"):
        before_readout(SpikingNetwork(OverTime(nn.Linear(2, 2)), encoder=Direct()))


def test_features_change_neither_mode_nor_gradient_of_the_witnesses() -> None:
    body = nn.Sequential(OverTime(nn.Linear(INPUTS, 9), nn.Dropout(0.5)), LIF())
    features = SpikeFeatures(body, encoder=Direct(time_steps=2))
    first, second = (spike_dictionary(features, values(64) * 0 + 1).take(np.arange(9)) for _ in range(2))
    assert np.array_equal(first, second) and features.training and body[0][0].weight.grad is None  # type: ignore[index]


def pool_of(features: tuple[Feature, ...], units: int = 2) -> WitnessPool:
    def make(branches: Sequence[int]) -> SpikeFeatures:
        body = gaussian_witness(INPUTS, (6, units), branches=branches, scaling="none", grid=GRID, seed=4)
        return SpikeFeatures(body, encoder=Direct(time_steps=STEPS), features=features)

    return WitnessPool(make, branches=30, block=5, units=units)


@pytest.mark.parametrize("features", [(Spike(),), (Spike(), Count(), Membrane())], ids=["bits", "numbers"])
def test_columns_of_a_pool_are_those_of_their_branches_alone(features: tuple[Feature, ...]) -> None:
    pool, given = pool_of(features), values()
    streamed = pool.dictionary(given)
    assert streamed.shape == (BATCH, 60 * len(features))
    columns = np.random.default_rng(0).permutation(streamed.shape[1])[:11]
    chosen = pool.chosen(columns)
    assert len(chosen.branches) < 12
    stored = streamed.take(columns)
    assert stored.any() and np.array_equal(stored, chosen.features(given).numpy()[:, chosen.places])
    one = chosen.features(given[17:18]).numpy()[:, chosen.places]
    assert np.array_equal(one, stored[17:18])


def test_refusals(trace: Trace) -> None:
    for feature in (Spike(STEPS), Spike(-STEPS - 1), FirstSpikeBy(STEPS)):
        with pytest.raises(ValueError, match=f"expects a step of a train of {STEPS}"):
            feature(trace)
    with pytest.raises(ValueError, match="counted from 0; got -1"):
        FirstSpikeBy(-1)(trace)
    bad: list[dict[str, Any]] = [{"features": ()}, {"rows": "both"}, {"rows": "steps", "features": (Count(),)}]
    for arguments in bad:
        with pytest.raises(ValueError, match="SpikeFeatures"):
            SpikeFeatures(witness(), encoder=Direct(), **arguments)
    with pytest.raises(ValueError, match="at least one sample"):
        spike_dictionary(SpikeFeatures(witness(), encoder=Direct()), values(0))
    pool = pool_of((Spike(),))
    with pytest.raises(ValueError, match="at least one column"):
        pool.chosen(np.zeros(0, dtype=int))
    with pytest.raises(ValueError, match=r"WitnessPool expects column indices in \[0, 60\)"):
        pool.chosen(np.array([60]))
    for branches, block in ((10, 3), (0, 1), (4, 0)):
        with pytest.raises(ValueError, match="branches in whole blocks"):
            WitnessPool(pool.make, branches=branches, block=block)
    with pytest.raises(ValueError, match="expects 1 units of each branch, 5 columns a block; got 10"):
        WitnessPool(pool.make, branches=30, block=5).dictionary(values())
