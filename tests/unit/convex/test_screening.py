"""Gap-safe screening never drops a column that is in use; the strong rule nearly never."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikebridge.convex import Problem, fit_sparse, lambda_max
from spikebridge.convex.bounds import lower_bound
from spikebridge.convex.screening import centred_norms, may_be_used, sphere_radius, strong_rule

from .readouts import cases, features, name, targets


@pytest.mark.filterwarnings("ignore:fit_sparse stopped")  # 1e-10 is more than every case can give
@pytest.mark.parametrize("case", [case for case in cases() if case["loss"] != "hinge"], ids=name)
@pytest.mark.parametrize("share", [0.7, 0.2])
def test_no_column_in_use_is_dropped_at_any_gap(case: dict[str, Any], share: float) -> None:
    matrix, wanted, random = features(columns=60), targets(case["loss"]), np.random.default_rng(0)
    strength = share * lambda_max(matrix, wanted, **case)
    best = fit_sparse(matrix, wanted, strength=strength, tol=1e-10, **case)
    problem = Problem.of(matrix, wanted, strength=strength, **case)
    used = best.weights.reshape(60, -1).any(axis=1)
    norms, dropped = centred_norms(problem), []
    for size in (0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0):
        weights = best.weights.reshape(60, -1) * (1 + size * random.normal(size=(60, problem.outputs)))
        bare = problem.scores(weights, np.zeros(problem.outputs))
        scores = bare + problem.best_intercept(bare, np.zeros(problem.outputs))
        bound = lower_bound(problem, problem.residual(scores))
        primal = problem.loss_value(scores) + problem.penalty_value(weights)
        keep = may_be_used(problem, bound, primal - bound.value, norms)
        assert keep[used].all()
        dropped.append(int(np.count_nonzero(~keep)))
    assert dropped[0] >= 10
    assert dropped[0] >= dropped[-1]


def test_the_radius_is_no_larger_than_it_must_be() -> None:
    """Just below the largest lambda all but the best column go."""
    matrix, wanted = features(columns=60), targets("logistic")
    strength = 0.999 * lambda_max(matrix, wanted)
    problem = Problem.of(matrix, wanted, strength=strength)
    best = fit_sparse(matrix, wanted, strength=strength, tol=1e-10)
    bound = lower_bound(problem, best.dual_point)
    keep = may_be_used(problem, bound, best.certificate.gap, centred_norms(problem))
    assert np.flatnonzero(keep).tolist() == best.support.tolist()


@pytest.mark.parametrize(("loss", "outputs"), [("logistic", 1), ("softmax", 2), ("squared", 3), ("squared-hinge", 1)])
def test_the_sphere_holds_the_dual_optimum_and_no_smaller_one_would(loss: str, outputs: int) -> None:
    """Where no constraint binds the optimum is the residual at zero, and the dual bends as little as it may there."""
    wanted = targets(loss, outputs=outputs)
    problem = Problem.of(features(), wanted, loss=loss, strength=100.0)
    optimum = problem.residual(np.zeros_like(problem.targets))
    primal = problem.loss_value(np.zeros_like(problem.targets))
    bound = lower_bound(problem, 0.99 * optimum)
    distance = np.linalg.norm(bound.factor * bound.point - optimum)
    assert 0.98 * sphere_radius(problem, primal - bound.value) <= distance
    assert distance <= sphere_radius(problem, primal - bound.value)


def test_a_loss_with_a_kink_screens_nothing() -> None:
    problem = Problem.of(features(), targets("hinge"), loss="hinge", strength=0.1)
    bound = lower_bound(problem, problem.residual(np.zeros((70, 1))))
    assert may_be_used(problem, bound, 0.0, centred_norms(problem)).all()


@pytest.mark.parametrize("loss", ["logistic", "softmax", "squared"])
def test_the_strong_rule_keeps_nearly_all_that_is_used_and_drops_much(loss: str) -> None:
    matrix, wanted = features(columns=200), targets(loss)
    largest = lambda_max(matrix, wanted, loss)
    before = fit_sparse(matrix, wanted, loss, strength=0.6 * largest, tol=1e-9)
    after = fit_sparse(matrix, wanted, loss, strength=0.5 * largest, tol=1e-9)
    sizes = np.abs(matrix.T @ before.dual_point.reshape(70, -1)).max(axis=1)
    kept = strong_rule(sizes, 0.6 * largest, 0.5 * largest)
    assert len(np.setdiff1d(after.support, kept)) <= 1
    assert len(kept) < 120
