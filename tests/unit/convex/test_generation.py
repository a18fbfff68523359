"""Column generation finds the optimum over columns that it never stores, and knows when it has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikebridge.convex import (
    L1,
    BitDictionary,
    DenseDictionary,
    PoolPricer,
    Priced,
    ThresholdPricer,
    fit_sparse,
    generate_columns,
    lambda_max,
)
from spikebridge.convex.penalties import find_penalty

from .readouts import LOSSES, PENALTIES, features, targets

TOLERANCE = 1e-5


def membranes(rows: int = 70, units: int = 12, *, seed: int = 0) -> np.ndarray[Any, Any]:
    """With ties, as membranes of few distinct inputs have."""
    return np.round(np.random.default_rng(seed).normal(size=(rows, units)), 1)


def all_thresholds(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.concatenate([(column[:, None] >= np.unique(column)).astype(float) for column in values.T], axis=1)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("outputs", [1, 3])
def test_the_best_threshold_is_that_of_all_thresholds(penalty: str, outputs: int) -> None:
    dual, values = np.random.default_rng(1).normal(size=(70, outputs)), membranes()
    norm = find_penalty(penalty)
    priced = ThresholdPricer(values).price(dual, norm, above=2.0, most=5)
    sizes = norm.sizes(all_thresholds(values).T @ dual).max(axis=1)
    found = norm.sizes(priced.columns.T @ dual).max(axis=1)
    assert priced.largest == pytest.approx(sizes.max()) == pytest.approx(found.max())
    assert 1 < len(found) <= 5 and found.min() > 2.0 and (np.diff(found) <= 1e-12).all()
    for column, (unit, threshold) in zip(priced.columns.T, priced.names, strict=True):
        assert np.array_equal(column, values[:, unit] >= threshold)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_optimum_over_all_thresholds_is_reached_and_proven(loss: str, penalty: str, intercept: bool) -> None:
    values, wanted = membranes(), targets(loss)
    everything = all_thresholds(values)
    strength = 0.2 * lambda_max(everything, wanted, loss, penalty, intercept)
    best = fit_sparse(everything, wanted, loss, penalty, strength, intercept, tol=TOLERANCE / 10)
    pricers = [ThresholdPricer(values)]
    found = generate_columns(pricers, wanted, loss, penalty, strength, intercept, TOLERANCE, most=3)
    assert found.relative_gap <= TOLERANCE
    assert abs(found.solution.objective - best.objective) <= TOLERANCE * best.objective
    assert all(round_.bound <= best.objective for round_ in found.rounds)
    assert found.columns.shape == (70, len(found.names)) and len(found.names) < everything.shape[1] / 4
    again = fit_sparse(found.columns, wanted, loss, penalty, strength, intercept, tol=TOLERANCE)
    assert abs(again.objective - found.solution.objective) <= 2 * TOLERANCE * best.objective
    scores = found.columns @ found.solution.weights
    assert scores.shape == np.shape(wanted) if loss != "softmax" else scores.shape == (70, 3)


def test_objectives_fall_and_bounds_rise() -> None:
    values, wanted = membranes(), targets("logistic")
    found = generate_columns([ThresholdPricer(values)], wanted, strength=0.01, tol=TOLERANCE, most=2, patience=0)
    objectives, bounds = [round_.objective for round_ in found.rounds], [round_.bound for round_ in found.rounds]
    assert len(objectives) > 5
    assert (np.diff(objectives) <= TOLERANCE).all() and (np.diff(bounds) >= 0.0).all()
    assert found.rounds[-1].columns < sum(2 for _ in found.rounds)


def test_several_pricers_serve_one_readout_and_names_say_whose() -> None:
    pool, wanted = features(columns=100), targets("softmax")
    values = membranes()
    pricers = [PoolPricer(BitDictionary.from_columns(pool)), ThresholdPricer(values)]
    found = generate_columns(pricers, wanted, "softmax", strength=0.01, tol=TOLERANCE)
    best = fit_sparse(np.hstack([pool, all_thresholds(values)]), wanted, "softmax", strength=0.01)
    assert abs(found.solution.objective - best.objective) <= TOLERANCE * best.objective
    assert {number for number, _ in found.names} == {0, 1}
    for column, (number, name) in zip(found.columns.T, found.names, strict=True):
        wanted_column = pool[:, name] if number == 0 else values[:, name[0]] >= name[1]
        assert np.array_equal(column, wanted_column)


def test_a_column_is_added_once_whatever_it_is_called() -> None:
    pool, wanted = features(columns=60), targets("logistic")
    twice = PoolPricer(BitDictionary.from_columns(np.hstack([pool, pool])))
    found = generate_columns([twice, twice], wanted, strength=0.005, tol=TOLERANCE)
    once = generate_columns([PoolPricer(BitDictionary.from_columns(pool))], wanted, strength=0.005, tol=TOLERANCE)
    assert len(np.unique(found.columns, axis=1).T) == len(found.names) > 10
    assert abs(found.solution.objective - once.solution.objective) <= 2 * TOLERANCE * once.solution.objective


def test_a_pricer_that_offers_the_idle_again_and_again_comes_to_an_end() -> None:
    pool = features(columns=40)

    class Insists:
        looks = 0

        def price(self, dual: Any, penalty: Any, *, above: float, most: int) -> Priced:
            self.looks += 1
            return Priced(pool, list(range(40)), np.inf)

    insists = Insists()
    found = generate_columns([insists], targets("logistic"), strength=0.05, patience=0, tries=2, max_rounds=100)
    best = fit_sparse(pool, targets("logistic"), strength=0.05)
    assert insists.looks < 10 and len(found.solution.support) < 40
    assert abs(found.solution.objective - best.objective) <= 1e-4 * best.objective


def test_a_search_that_finds_nothing_looks_again() -> None:
    class Late:
        looks = 0

        def price(self, dual: Any, penalty: Any, *, above: float, most: int) -> Priced:
            self.looks += 1
            offer = features(columns=10) if self.looks == 3 else dual[:, :0]
            return Priced(offer, list(range(offer.shape[1])), np.inf)

    for tries, looks, is_found in ((2, 2, False), (3, 6, True)):
        late = Late()
        found = generate_columns([late], targets("logistic"), strength=0.01, tries=tries)
        assert (late.looks, len(found.names) > 0) == (looks, is_found)


def test_a_pricer_that_has_not_seen_all_proves_nothing() -> None:
    class Guess:
        def price(self, dual: Any, penalty: Any, *, above: float, most: int) -> Priced:
            return ThresholdPricer(membranes()).price(dual, penalty, above=above, most=most)._replace(largest=np.inf)

    found = generate_columns([Guess()], targets("logistic"), strength=0.01)
    assert found.relative_gap == np.inf
    assert found.solution.certificate.relative_gap <= 1e-4


def test_what_cannot_be_priced_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one pricer"):
        generate_columns([], targets("logistic"))
    with pytest.raises(ValueError, match="zeros and ones"):
        PoolPricer(DenseDictionary(features() + 0.5))
    with pytest.raises(ValueError, match="finite membranes"):
        ThresholdPricer(np.zeros(3))
    assert ThresholdPricer(membranes()).price(np.zeros((70, 1)), L1(), above=0.0, most=3).columns.shape == (70, 0)
