"""Certificates are lower bounds: for good weights tight ones, for any weights true ones, to the last bit."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from spikebridge.convex import DenseDictionary, Problem, certify, fit_sparse, lambda_max
from spikebridge.convex.bounds import feasible, lower_bound

from .dictionaries import streamed
from .readouts import LOSSES, PENALTIES, cases, features, name, targets

TIGHT = 1e-8


@pytest.mark.parametrize("case", cases(), ids=name)
def test_no_weights_bring_the_bound_above_the_optimum(case: dict[str, Any]) -> None:
    matrix, wanted, random = features(), targets(case["loss"]), np.random.default_rng(0)
    strength = 0.1 * lambda_max(matrix, wanted, **case)
    best = fit_sparse(matrix, wanted, strength=strength, tol=TIGHT, **case)
    for scale in (1e-3, 0.1, 1.0, 30.0, 1e4):
        weights = best.weights + scale * random.normal(size=best.weights.shape)
        for dictionary in (matrix, DenseDictionary(matrix)):
            found = certify(dictionary, wanted, weights, strength=strength, **case)
            assert found.dual <= best.objective
            assert found.primal >= best.certificate.dual
            assert found.gap >= found.primal - best.objective
    assert best.certificate.gap <= TIGHT * best.objective


@pytest.mark.parametrize("loss", LOSSES)
def test_the_dual_point_satisfies_its_constraints_in_exact_arithmetic(loss: str) -> None:
    matrix, wanted = features(20, 6), targets(loss, 20)
    problem = Problem.of(matrix, wanted, loss=loss, strength=0.01, intercept=True)
    weights = np.random.default_rng(1).normal(size=(6, problem.outputs))
    bound = lower_bound(problem, problem.residual(problem.scores(weights, np.zeros(problem.outputs))))
    factor = Fraction(bound.factor)
    for output in range(problem.outputs):
        column = [Fraction(value) for value in bound.point[:, output].tolist()]
        assert sum(column) == 0
        for feature in range(6):
            correlation = sum(value for value, bit in zip(column, matrix[:, feature], strict=True) if bit)
            assert abs(factor * correlation) <= Fraction(0.01)


def test_the_rounding_allowance_covers_columns_whose_sums_cancel() -> None:
    """An offset of 1e8 in every column: float64 gets D^T u right to 1e-8 or so, not to the last bit."""
    wanted, shifted = targets("logistic"), 1e8 + np.random.default_rng(0).normal(size=(70, 40))
    for seed in range(10):
        problem = Problem.of(shifted[:, 4 * seed : 4 * seed + 4], wanted, strength=1e-4, intercept=True)
        bound = lower_bound(problem, 0.1 * np.random.default_rng(seed).random((70, 1)) * problem.targets)
        column = [Fraction(value) for value in bound.point[:, 0].tolist()]
        exact = [
            abs(sum(value * Fraction(entry) for value, entry in zip(column, feature.tolist(), strict=True)))
            for feature in shifted[:, 4 * seed : 4 * seed + 4].T
        ]
        assert Fraction(bound.factor) * max(exact) <= Fraction(1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_free_intercept_makes_wild_points_feasible(loss: str) -> None:
    problem = Problem.of(features(), targets(loss), loss=loss, strength=0.1, intercept=True)
    for scale in (1e-8, 1.0, 1e8):
        numbers = scale * np.random.default_rng(2).normal(size=problem.targets.shape)
        assert not feasible(problem, numbers).sum(axis=0).any()


def test_certificate_names_its_arithmetic() -> None:
    matrix, wanted = features(), targets("logistic")
    weights = np.zeros(25)
    assert certify(matrix, wanted, weights, strength=1.0).arithmetic == "fixed-point"
    other = certify(matrix + 0.5, wanted, weights, strength=1.0)
    assert other.arithmetic == "float64 with a rounding allowance" and other.rounding > 0.0


def test_sums_of_a_streamed_pool_are_exact_too() -> None:
    matrix, wanted = features(), targets("logistic")
    pool, stored = streamed(features(columns=60, seed=5)), features(columns=60, seed=5)
    found = certify(matrix, wanted, np.zeros(25), strength=0.1, pool=pool)
    assert found.arithmetic == "fixed-point"
    assert found == certify(matrix, wanted, np.zeros(25), strength=0.1, pool=stored)
    other = certify(matrix, wanted, np.zeros(25), strength=0.1, pool=streamed(stored + 0.5))
    assert other.arithmetic == "float64 with a rounding allowance"


def test_a_pool_lowers_the_bound_to_its_own_optimum() -> None:
    pool, wanted = features(columns=60), targets("logistic")
    matrix, strength = pool[:, :10], 0.02
    small = fit_sparse(matrix, wanted, strength=strength, tol=TIGHT)
    large = fit_sparse(pool, wanted, strength=strength, tol=TIGHT)
    found = certify(matrix, wanted, small.weights, strength=strength, pool=pool)
    assert found.level == "B" and found.violation > 0.0
    assert found.dual <= large.objective < small.certificate.dual
    inside = certify(matrix, wanted, small.weights, strength=strength, pool=matrix[:, ::2])
    assert inside.dual == pytest.approx(small.certificate.dual, rel=1e-9)


@pytest.mark.parametrize(("loss", "penalty"), list(product(LOSSES, PENALTIES)))
def test_the_universal_bound_holds_for_all_patterns_and_is_reached_without_conflicts(loss: str, penalty: str) -> None:
    rows = 6
    everything = np.array(list(product((0.0, 1.0), repeat=rows)))[1:].T
    wanted = targets(loss, rows)
    strength = 0.2 * lambda_max(everything, wanted, loss, penalty)
    best = fit_sparse(everything, wanted, loss, penalty, strength, tol=TIGHT)
    few = everything[:, ::5]
    weights = fit_sparse(few, wanted, loss, penalty, strength).weights
    found = certify(few, wanted, weights, loss=loss, penalty=penalty, strength=strength, level="C")
    assert 0.0 < found.dual <= best.objective
    at_best = certify(
        everything,
        wanted,
        best.weights,
        loss=loss,
        penalty=penalty,
        strength=strength,
        level="C",
        dual_point=best.dual_point,
    )
    is_tight = penalty == "l1" or loss not in ("softmax", "squared")
    assert not is_tight or at_best.gap <= 1e-6 * best.objective
    assert (
        certify(everything, wanted, best.weights, loss=loss, penalty=penalty, strength=strength, level="D").level == "D"
    )


def test_weights_above_the_largest_strength_are_certified_zero() -> None:
    matrix, wanted = features(), targets("softmax")
    strength = lambda_max(matrix, wanted, "softmax")
    found = certify(matrix, wanted, np.zeros((25, 3)), loss="softmax", strength=strength)
    assert found.gap < 1e-9 and found.violation < 1e-9 and found.note == "All weights are zero."
    lower = certify(matrix, wanted, np.zeros((25, 3)), loss="softmax", strength=0.9 * strength)
    assert lower.gap > 1e-4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.zeros(24)}, r"weights \[25, 1\]"),
        ({"weights": np.full(25, np.nan)}, "finite weights"),
        ({"intercept_values": 1.0}, "intercept=True"),
        ({"intercept_values": np.nan, "intercept": True}, "finite intercept"),
        ({"level": "E"}, "level 'A', 'B', 'C' or 'D'"),
        ({"level": "B"}, "expects a pool"),
        ({"level": "C", "pool": features()}, "expects a pool"),
        ({"level": "C", "dictionary": 0.5 * features()}, "zeros and ones for level 'C'"),
        ({"pool": features(71)}, "the same 70 rows"),
        ({"strength": -1.0}, "strength >= 0"),
    ],
)
def test_what_cannot_be_judged_is_refused(change: dict[str, Any], message: str) -> None:
    settings: dict[str, Any] = {"dictionary": features(), "weights": np.zeros(25), "strength": 0.1, **change}
    with pytest.raises(ValueError, match=message):
        certify(targets=targets("logistic"), **settings)
