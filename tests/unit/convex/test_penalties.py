"""Penalties: the proximal step minimises what it should, sizes are the dual norm, errors vanish at optima only."""

from __future__ import annotations

import numpy as np
import pytest

from spikebridge.convex.penalties import find_penalty

from .readouts import PENALTIES


@pytest.mark.parametrize("name", PENALTIES)
def test_prox_is_not_beaten_by_its_neighbours(name: str) -> None:
    penalty, random = find_penalty(name), np.random.default_rng(0)
    given = random.normal(size=(40, 3))
    found = penalty.prox(given, 0.8)

    def objective(weights: np.ndarray) -> float:
        return 0.5 * float(np.square(weights - given).sum()) + 0.8 * penalty.value(weights)

    assert 0 < np.count_nonzero(found.any(axis=1)) < 40
    for size in (1e-3, 1e-1, 1.0):
        for _ in range(20):
            assert objective(found) <= objective(found + size * random.normal(size=given.shape))


@pytest.mark.parametrize("name", PENALTIES)
def test_sizes_are_the_dual_norm(name: str) -> None:
    penalty, random = find_penalty(name), np.random.default_rng(1)
    gradient = random.normal(size=(6, 3))
    largest = penalty.sizes(gradient).max()
    reached = 0.0
    for _ in range(2000):
        weights = random.normal(size=gradient.shape) * (random.random(gradient.shape) < 0.3)
        if weights.any():
            reached = max(reached, float((gradient * weights).sum()) / penalty.value(weights))
    aligned = np.where(penalty.sizes(gradient) == largest, gradient, 0.0)
    assert 0.5 * largest < reached <= largest * (1 + 1e-12)
    assert np.isclose((gradient * aligned).sum() / penalty.value(aligned), largest)


@pytest.mark.parametrize("name", PENALTIES)
def test_errors_vanish_at_a_proximal_fixed_point_only(name: str) -> None:
    penalty, random = find_penalty(name), np.random.default_rng(2)
    given = random.normal(size=(40, 3))
    weights = penalty.prox(given, 0.8)
    assert penalty.errors(weights, weights - given, 0.8).max() < 1e-12
    assert penalty.errors(weights + 0.01, weights + 0.01 - given, 0.8).max() > 5e-3
    assert penalty.errors(np.zeros_like(given), -given, 0.8).max() == pytest.approx(penalty.sizes(given).max() - 0.8)


def test_an_unknown_penalty_is_refused() -> None:
    with pytest.raises(ValueError, match="a penalty among l1, group"):
        find_penalty("l2")
