"""One unit on strings of two or three bits: all it can do is known, so the optimum over all units is known too."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from spikebridge import LIF
from spikebridge.convex import (
    BitDictionary,
    GradientPricer,
    PoolPricer,
    Pricer,
    SearchPricer,
    Units,
    certify,
    fit_sparse,
    gaussian_witness,
    generate_columns,
    spike_dictionary,
)
from spikebridge.convex.spike_features import SpikeFeatures
from spikebridge.encoders import Recorded

DECAY, STRENGTH, TOLERANCE = 0.75, 0.01, 1e-6
STEPS = (2, 3)
Matrix = np.ndarray[Any, np.dtype[np.float64]]
PRICERS: dict[str, Callable[[int], Pricer]] = {
    "all patterns": lambda steps: PoolPricer(BitDictionary.from_columns(realisable(steps))),
    "search": lambda steps: SearchPricer(units(steps), pool=32, starts=8),
    "surrogate gradients": lambda steps: GradientPricer(units(steps), pool=1000, starts=32, steps=10),
}


def strings(steps: int) -> np.ndarray[Any, Any]:
    return np.array(list(product((0, 1), repeat=steps)))


def units(steps: int) -> Units:
    """A bit is one-hot, so a unit has two weights; its last spike is read."""
    values = torch.from_numpy(np.eye(2)[strings(steps)]).float()
    return Units(values, encoder=Recorded(time_steps=steps), neuron=partial(LIF, decay=DECAY))


@cache
def cells(steps: int) -> Matrix:
    """A point in every cell into which the lines at which anything changes cut the plane of the two weights.

    The membrane of a string at a step, after whatever spikes, is linear in the weights; a line is where it is 1.
    Between two neighbouring abscissae of crossings the lines have one order, so points between neighbours meet every
    cell. Coefficients are >= 0 and spikes closed (membrane >= 1): points on a line do as a cell beside it does.
    """
    lines = set()
    for length in range(1, steps + 1):
        leak = DECAY ** np.arange(length)[::-1]
        for bits, spikes in product(product((0, 1), repeat=length), product((0, 1), repeat=length - 1)):
            ones = float(leak @ np.array(bits))
            lines.add((float(leak.sum()) - ones, ones, 1.0 + float(leak[:-1] @ np.array(spikes))))
    first, second, level = np.array(sorted(lines)).T
    slanted = second != 0.0
    determinant = first[:, None] * second - second[:, None] * first
    one, other = np.nonzero(determinant)
    crossings = (level[one] * second[other] - level[other] * second[one]) / determinant[one, other]
    points = []
    for x in between(np.concatenate([crossings, (level / np.where(slanted, 1.0, first))[~slanted]])):
        points += [(x, y) for y in between((level[slanted] - first[slanted] * x) / second[slanted])]
    return np.array(points)


def between(numbers: Matrix) -> Matrix:
    places = np.unique(numbers)
    places = places[np.concatenate([[True], np.diff(places) > 1e-9])]
    return np.concatenate([[places[0] - 1.0], (places[1:] + places[:-1]) / 2.0, [places[-1] + 1.0]])


@cache
def realisable(steps: int) -> Matrix:
    """Every pattern of last spikes that one unit can have, by the equation: [strings, patterns]."""
    weights, bits = cells(steps), strings(steps)
    membrane = np.zeros((len(weights), len(bits)))
    for step in range(steps):
        membrane = DECAY * membrane + weights[:, bits[:, step]]
        spikes = (membrane >= 1.0).astype(float)
        membrane -= spikes
    return np.unique(spikes, axis=0).T


@cache
def relaxed(steps: int) -> Matrix:
    """What it could do with weights of its own at each step: [strings, patterns].

    s_t is a half-plane of the filtered bits and the filtered spikes before, sum_tau decay^(t - tau) (x_tau, s_tau).
    """
    bits = strings(steps)
    histories = {np.zeros((0, len(bits))).tobytes()}
    for step in range(steps):
        leak = DECAY ** np.arange(step + 1)[::-1]
        longer = set()
        for history in histories:
            spikes = np.frombuffer(history).reshape(step, len(bits))
            seen = np.stack([bits[:, : step + 1] @ leak, leak[:-1] @ spikes], axis=1)
            longer |= {np.vstack([spikes, each]).tobytes() for each in half_planes(seen)}
        histories = longer
    last = [np.frombuffer(history).reshape(steps, len(bits))[-1] for history in histories]
    return np.unique(np.array(last), axis=0).T


def half_planes(points: Matrix) -> Matrix:
    """Every way in which a half-plane can part points: [ways, points]. Turning a line, order changes at pairs only."""
    apart = (points[:, None] - points).reshape(-1, 2)
    apart = apart[np.abs(apart).max(axis=1) > 1e-9]
    turns = np.arctan2(apart[:, 1], apart[:, 0]) + np.pi / 2
    ways = []
    for angle in between(np.mod(turns, 2 * np.pi)):
        along = np.round(points @ np.array([np.cos(angle), np.sin(angle)]), 9)
        ways += [along >= level for level in between(along)]
    return np.unique(np.array(ways, dtype=float), axis=0)


def patterns(matrix: Any) -> set[tuple[float, ...]]:
    return {tuple(column) for column in np.asarray(matrix, dtype=float).T.tolist()}


def optimum(matrix: Any, labels: Any, *, intercept: bool = True) -> float:
    return fit_sparse(matrix, labels, strength=STRENGTH, intercept=intercept, tol=TOLERANCE / 10).objective


def hard_labels(steps: int) -> list[np.ndarray[Any, Any]]:
    """Patterns that no unit has, though the relaxation has them."""
    wanted = sorted(patterns(relaxed(steps)) - patterns(realisable(steps)))
    return [np.where(np.array(pattern) > 0.0, 1, -1) for pattern in wanted[:: max(1, len(wanted) // 3)]]


def test_two_bits_have_ten_patterns_among_fourteen_relaxed_ones() -> None:
    assert len(patterns(realisable(2))) == 10
    assert len(patterns(relaxed(2))) == 14
    assert 56 <= len(patterns(realisable(3))) < len(patterns(relaxed(3))) < 256


@pytest.mark.parametrize("steps", STEPS)
def test_the_simulator_has_these_patterns_and_no_others(steps: int) -> None:
    points = cells(steps)
    rows = np.hstack([points, np.zeros((len(points), 1)), np.ones((len(points), 1))])
    columns = units(steps).dictionary(rows)
    assert patterns(columns.take(np.arange(len(rows)))) == patterns(realisable(steps)) < patterns(relaxed(steps))
    # biases and thresholds add nothing: one-hot weights absorb the one, the scale of all three the other
    anything = units(steps).drawn(3000, np.random.default_rng(0))
    anything[:, -1] = np.random.default_rng(1).uniform(0.2, 3.0, size=3000)
    assert patterns(units(steps).dictionary(anything).take(np.arange(3000))) <= patterns(realisable(steps))


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("steps", STEPS)
def test_the_relaxed_optimum_is_below_the_true_one_and_that_of_a_sample_above(steps: int, intercept: bool) -> None:
    body = gaussian_witness(2, (4,), neuron=partial(LIF, decay=DECAY), scaling="none")
    bits = torch.from_numpy(np.eye(2)[strings(steps)]).float()
    sampled = spike_dictionary(SpikeFeatures(body, encoder=Recorded(time_steps=steps)), bits)
    margins = []
    for labels in hard_labels(steps):
        below, true, above = (
            optimum(matrix, labels, intercept=intercept) for matrix in (relaxed(steps), realisable(steps), sampled)
        )
        margins.append((true - below, above - true))
    assert np.min(margins) > -TOLERANCE
    assert np.max(margins, axis=0).min() > 0.01


@pytest.mark.parametrize("pricer", PRICERS)
@pytest.mark.parametrize("steps", STEPS)
def test_column_generation_reaches_the_true_optimum(steps: int, pricer: str) -> None:
    for labels in hard_labels(steps):
        best = optimum(realisable(steps), labels)
        found = generate_columns([PRICERS[pricer](steps)], labels, strength=STRENGTH, intercept=True, tol=TOLERANCE)
        assert abs(found.solution.objective - best) <= TOLERANCE * best
        assert patterns(found.columns) <= patterns(realisable(steps))
        assert (found.relative_gap <= TOLERANCE) == (pricer == "all patterns")


def test_what_a_search_found_is_proven_best_where_all_patterns_are_known() -> None:
    (labels, *_) = hard_labels(3)
    found = generate_columns([PRICERS["search"](3)], labels, strength=STRENGTH, intercept=True, tol=TOLERANCE)
    weights, everything = found.solution.weights, realisable(3)
    proven = certify(found.columns, labels, weights, strength=STRENGTH, intercept=True, pool=everything, level="D")
    assert proven.level == "D" and proven.relative_gap <= TOLERANCE
