"""A unit's columns are made again from its numbers, and a network of what was found answers as the readout does."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from spikebridge import LIF, Direct, SpikingNetwork
from spikebridge.convex import (
    L1,
    Count,
    CountAtLeast,
    FirstSpikeBy,
    Generated,
    MembraneAbove,
    OnGrid,
    PoolPricer,
    SearchPricer,
    Spike,
    Units,
    as_dictionary,
    exact_readout,
    gaussian_witness,
    generate_columns,
)
from spikebridge.core.readout import outputs_over_time
from spikebridge.encoders import Recorded

STEPS, INPUTS = 5, 3
NEURON = partial(LIF, decay=0.75)
KINDS: dict[str, dict[str, Any]] = {
    "last spike": {},
    "has fired": {"features": (FirstSpikeBy(STEPS - 1),)},
    "several features": {"features": (CountAtLeast(2), Spike(1), CountAtLeast(1))},
    "upon witnesses": {"below": gaussian_witness(INPUTS, (20,), scaling="none", bias=0.5)},
    "analog inputs": {"grid": OnGrid(step=2.0**-8, limit=4.0)},
    "every step": {"rows": "steps"},
}


def values(samples: int = 150, *, kind: str = "", seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(samples, STEPS, INPUTS, generator=generator)
    return 4.0 * drawn - 2.0 if kind == "analog inputs" else (drawn < 0.5).float()


def units(kind: str, seen: Tensor | None = None) -> Units:
    seen = values(kind=kind) if seen is None else seen
    return Units(seen, encoder=Recorded(time_steps=STEPS), neuron=NEURON, **KINDS[kind])


def labels(seen: Tensor, *, kind: str = "", question: int = 0) -> np.ndarray[Any, Any]:
    """Of a sample; or of each of its steps, what came before included."""
    if kind == "every step":
        return (seen.cumsum(1)[..., question:].sum(2) >= 4.0 - question).flatten().long().numpy()
    return ((seen[:, 0] + seen[:, -1])[:, question:].sum(1) > 3.0 - question).long().numpy()


def scores_of(network: SpikingNetwork, seen: Tensor) -> np.ndarray[Any, Any]:
    """A row for every row of the dictionary."""
    return np.asarray(outputs_over_time(network, seen).detach().transpose(0, 1).flatten(0, 1).numpy())


def columns_of(found: Generated, kind: str, seen: Tensor) -> np.ndarray[Any, Any]:
    """The columns that were found, for other samples."""
    family = units(kind, seen)
    return np.hstack([family.dictionary(np.array([name[:-1]])).take(np.array([name[-1]])) for _, name in found.names])


def generated(kind: str, *, strength: float = 0.01, question: int = 0) -> tuple[Units, Generated]:
    family = units(kind)
    pricers = [SearchPricer(family, pool=30, starts=4, steps=2, copies=4, seed=seed) for seed in range(2)]
    wanted = labels(values(kind=kind), kind=kind, question=question)
    return family, generate_columns(
        pricers, wanted, "softmax", "group", strength, True, 1e-3, most=6, tries=1, max_rounds=8
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_does_not_depend_on_the_units_beside_it(kind: str) -> None:
    family = units(kind)
    rows = family.drawn(9, np.random.default_rng(0))
    rows[:, -1] = np.random.default_rng(1).uniform(0.5, 2.0, size=9)
    together = family.dictionary(rows)
    columns = together.take(np.arange(together.shape[1]))
    assert 0.02 < columns.mean() < 0.98
    names = family.names(rows, np.arange(together.shape[1]))
    assert len(set(names)) == together.shape[1] == 9 * len(family.features)
    for column, name in zip(columns.T, names, strict=True):
        alone = family.dictionary(np.array([name[:-1]])).take(np.array([name[-1]]).astype(int))
        assert np.array_equal(alone[:, 0], column)


@pytest.mark.parametrize("kind", KINDS)
def test_the_network_of_what_was_found_answers_as_the_readout_bit_for_bit(kind: str) -> None:
    family, found = generated(kind)
    assert 3 < len(found.solution.support) <= len(found.names) and {number for number, _ in found.names} == {0, 1}
    network, exact = family.network(found), exact_readout(found.solution)
    seen, fresh = values(kind=kind), values(60, kind=kind, seed=1)
    scores = scores_of(network, seen)
    assert np.array_equal(scores, exact.scores(found.columns))
    assert np.array_equal(scores_of(network, fresh), exact.scores(columns_of(found, kind, fresh)))
    parts = [scores_of(network, part) for part in fresh.split(7)]
    assert np.array_equal(np.concatenate(parts), scores_of(network, fresh))
    assert (scores.argmax(1) == labels(seen, kind=kind)).mean() > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_one_network_answers_several_questions_with_units_of_each(kind: str) -> None:
    family, first = generated(kind)
    _, second = generated(kind, question=1)
    network, fresh = family.network([first, second]), values(60, kind=kind, seed=1)
    scores = scores_of(network, fresh)
    assert scores.shape[1] == 4
    alone = [scores_of(family.network(found), fresh) for found in (first, second)]
    assert np.allclose(scores, np.hstack(alone), rtol=0, atol=1e-12)


def test_where_nothing_is_used_the_network_says_the_intercept() -> None:
    family, found = generated("last spike", strength=10.0)
    assert not len(found.names)
    with torch.no_grad():
        scores = family.network(found)(values(5))
    assert np.array_equal(scores.numpy(), np.tile(exact_readout(found.solution).intercept, (5, 1)))


@pytest.mark.parametrize("feature", [FirstSpikeBy(2), CountAtLeast(1)])
def test_the_best_threshold_of_a_first_spike_is_that_of_all_thresholds(feature: Any) -> None:
    seen = values(80)
    family = Units(seen, encoder=Recorded(time_steps=STEPS), neuron=NEURON, features=(feature,))
    dual = np.random.default_rng(2).normal(size=(80, 1))
    rows = family.drawn(12, np.random.default_rng(3))
    tuned = family.tuned(rows, dual, L1())
    assert np.array_equal(tuned[:, :-1], rows[:, :-1]) and not np.array_equal(tuned, rows)
    reached = np.abs(family.dictionary(tuned).rmatvec(dual)[:, 0])
    for row, size in zip(rows, reached, strict=True):
        swept = np.tile(row, (600, 1))
        swept[:, -1] = np.geomspace(1e-3, 30.0, 600)
        sizes = np.abs(family.dictionary(swept).rmatvec(dual)[:, 0])
        can_tell = 0.0 < size  # where all that fires at any threshold is worst, thresholds stay
        assert sizes.max() <= size + 1e-9 or not can_tell
    before = np.abs(family.dictionary(rows).rmatvec(dual)[:, 0])
    assert (reached >= before - 1e-9).all() and (reached > before + 1e-9).sum() > 6


def test_other_features_leave_thresholds_alone() -> None:
    family = units("last spike")
    rows = family.drawn(4, np.random.default_rng(0))
    assert np.array_equal(family.tuned(rows, np.ones((150, 1)), L1()), rows)


def test_what_makes_no_units_is_refused() -> None:
    seen, encoder = values(4), Recorded(time_steps=STEPS)
    for features in ((Count(),), ()):
        with pytest.raises(ValueError, match="Units expects features of 0 and 1"):
            Units(seen, encoder=encoder, features=features)
    with pytest.raises(ValueError, match="a grid only where no witnesses are below"):
        Units(seen, encoder=encoder, below=KINDS["upon witnesses"]["below"], grid=OnGrid(step=0.5, limit=1.0))
    pool = as_dictionary((np.random.default_rng(0).random((150, 9)) < 0.5).astype(float))
    foreign = generate_columns([PoolPricer(pool)], labels(values()), "softmax", strength=0.001)
    with pytest.raises(ValueError, match="one question at least; got an empty sequence"):
        units("last spike").network([])
    with pytest.raises(ValueError, match="rows='steps' reads the spike of each step"):
        Units(seen, encoder=encoder, features=(CountAtLeast(2),), rows="steps")
    with pytest.raises(ValueError, match="names of units of 3 inputs; got others, such as"):
        units("last spike").network(foreign)
    membranes = Units(torch.rand(20, 3), encoder=Direct(time_steps=2), features=(MembraneAbove(0.1),))
    found = generate_columns([SearchPricer(membranes, pool=20)], np.arange(20) % 2, "softmax", strength=0.01)
    with pytest.raises(ValueError, match="reconstruct expects features of spikes"):
        membranes.network(found)
