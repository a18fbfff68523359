"""Losses are what their duals say: Fenchel-Young, finite differences, and domains that contain the residuals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikebridge.convex.grid import quantum_for
from spikebridge.convex.losses import find_loss
from spikebridge.convex.margins import SmoothedHinge

from .readouts import LOSSES, MARGINS, SMOOTH, targets

STEP, SLOPE_TOLERANCE = 1e-6, 1e-7
"""Central differences in float64 are good to about step^2."""


def drawn(loss: str, *, rows: int = 200, spread: float = 3.0, seed: int = 0) -> tuple[Any, Any, Any]:
    """A loss, encoded targets, and scores off any kink."""
    found = find_loss(loss)
    encoded = found.encode(targets(loss, rows), None)
    return found, encoded, spread * np.random.default_rng(seed).normal(size=encoded.shape)


@pytest.mark.parametrize("name", LOSSES)
def test_residual_is_minus_the_slope(name: str) -> None:
    loss, wanted, scores = drawn(name)
    for output in range(scores.shape[1]):
        step = np.zeros_like(scores)
        step[:, output] = STEP
        slope = (loss.values(scores + step, wanted) - loss.values(scores - step, wanted)) / (2 * STEP)
        assert np.abs(loss.residual(scores, wanted)[:, output] + slope).max() < 1e3 * SLOPE_TOLERANCE


@pytest.mark.parametrize("name", SMOOTH)
def test_curvature_is_the_slope_of_the_residual_and_stays_below_the_smoothness(name: str) -> None:
    loss, wanted, scores = drawn(name)
    for output in range(scores.shape[1]):
        step = np.zeros_like(scores)
        step[:, output] = STEP
        bend = (loss.residual(scores - step, wanted) - loss.residual(scores + step, wanted))[:, output] / (2 * STEP)
        assert np.abs(loss.curvature(scores, wanted)[:, output] - bend).max() < 1e-5
    assert loss.curvature(scores, wanted).max() <= loss.smoothness + 1e-12


@pytest.mark.parametrize("name", ["softmax", "squared"])
def test_curved_is_the_second_derivative_along_a_direction(name: str) -> None:
    loss, wanted, scores = drawn(name)
    direction = np.random.default_rng(5).normal(size=scores.shape)
    ahead = loss.residual(scores + STEP * direction, wanted)
    bend = (loss.residual(scores - STEP * direction, wanted) - ahead) / (2 * STEP)
    assert np.allclose(loss.curved(scores, wanted, direction), bend, atol=1e-6)


@pytest.mark.parametrize("name", ["squared-hinge", "smoothed-hinge"])
def test_the_parabola_of_a_hinge_lies_above_it(name: str) -> None:
    loss, wanted, scores = drawn(name)
    bend = loss.curvature_above(scores, wanted)
    for other in np.random.default_rng(6).normal(size=(30, *scores.shape)) * 4:
        parabola = loss.values(scores, wanted)[:, None] - loss.residual(scores, wanted) * (other - scores)
        assert (parabola + 0.5 * bend * (other - scores) ** 2 >= loss.values(other, wanted)[:, None] - 1e-12).all()


@pytest.mark.parametrize("name", LOSSES)
def test_dual_meets_the_loss_at_its_own_residual_and_is_below_it_elsewhere(name: str) -> None:
    loss, wanted, scores = drawn(name)
    others = scores + np.random.default_rng(7).normal(size=scores.shape)
    values = loss.values(scores, wanted)
    for factor in (1.0, 0.7, 0.0):
        for at in (scores, others):
            residual = factor * loss.residual(at, wanted)
            bound = loss.dual_values(residual, wanted) - (residual * scores).sum(axis=1)
            assert (bound <= values + 1e-12).all()
    own = loss.residual(scores, wanted)
    assert np.allclose(loss.dual_values(own, wanted) - (own * scores).sum(axis=1), values, atol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e-6, 100.0])
@pytest.mark.parametrize("name", LOSSES)
def test_any_numbers_become_a_point_of_the_domain(name: str, scale: float) -> None:
    loss, wanted, _ = drawn(name)
    weights = np.random.default_rng(3).uniform(0, 1, (len(wanted), 1))
    weights[:5] = 0.0
    weights /= weights.sum()
    numbers = scale * np.random.default_rng(4).normal(size=wanted.shape)
    quantum = quantum_for(numbers)
    point = loss.into_domain(numbers, wanted, weights, quantum)
    balanced = loss.balanced(point.copy(), wanted, weights, quantum)
    for found in (point, balanced):
        assert not found[:5].any()
        assert np.array_equal(np.rint(found / quantum) * quantum, found)
        shares = found[5:] / weights[5:]
        if name in MARGINS:
            slopes = shares * wanted[5:]
            assert slopes.min() >= 0.0 and slopes.max() <= loss.largest
        if name == "softmax":
            assert (wanted[5:] - shares).min() >= -1e-9
            assert not found.sum(axis=1).any()
    assert not balanced.sum(axis=0).any()
    assert np.abs(balanced).sum() > 0.0


def test_a_residual_in_the_domain_stays_where_it_is() -> None:
    for name in LOSSES:
        loss, wanted, scores = drawn(name)
        weights = np.full((len(wanted), 1), 1 / len(wanted))
        residual = weights * loss.residual(scores, wanted)
        quantum = quantum_for(residual)
        moved = loss.into_domain(residual, wanted, weights, quantum) - residual
        assert np.abs(moved).max() <= 2 * wanted.shape[1] * quantum + 1e-13 / len(wanted)


def test_hinge_is_the_limit_of_the_smoothed_hinge() -> None:
    hinge, wanted, scores = drawn("hinge")
    for smoothing in (1.0, 0.1, 0.001):
        below = hinge.values(scores, wanted) - hinge.smoothed(smoothing).values(scores, wanted)
        assert below.min() >= 0.0 and below.max() <= smoothing / 2 + 1e-12


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("logistic", [0, 1, 1], "become these as 2 [*] targets - 1"),
        ("hinge", [True, False], "got bool"),
        ("logistic", [[1, -1]], "More classes take loss='softmax'"),
        ("softmax", [0, 1.5], "classes 0, 1"),
        ("softmax", [-1, 1], "take loss='logistic'"),
        ("squared", [0.0, np.nan], "finite targets"),
        ("squared", [], "expects targets"),
        ("softmax", ["a", "b"], "numbers"),
    ],
)
def test_targets_that_do_not_fit_are_refused(name: str, wrong: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        find_loss(name).encode(np.asarray(wrong), None)


def test_targets_outside_the_given_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="classes 0 to 2"):
        find_loss("softmax").encode(np.array([0, 3]), 3)
    with pytest.raises(ValueError, match="got classes=5"):
        find_loss("squared").encode(np.zeros((4, 2)), 5)
    with pytest.raises(ValueError, match="a loss among logistic"):
        find_loss("absolute")
    with pytest.raises(ValueError, match="smoothing > 0"):
        SmoothedHinge(0.0)
