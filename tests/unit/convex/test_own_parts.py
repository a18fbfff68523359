"""Losses and penalties of one's own: solved where a solver knows how, else refused with the name of one that does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikebridge.convex import L1, Group, Logistic, Loss, Penalty, fit_sparse, lambda_max
from spikebridge.convex.grid import cut, lowered
from spikebridge.convex.losses import Floats, Joint, find_loss
from spikebridge.convex.solvers import SOLVERS, find_solver

from .readouts import LOSSES, features, targets

TOLERANCE = 1e-7
PRICES = np.linspace(0.5, 3.0, 25)[:, None]


class PricedL1(Penalty):
    """sum_j c_j |w_j|: features with a price each."""

    name = "priced"

    def value(self, weights: Floats) -> float:
        return float((PRICES * np.abs(weights)).sum())

    def prox(self, weights: Floats, step: float) -> Floats:
        return weights - np.clip(weights, -step * PRICES, step * PRICES)

    def sizes(self, gradients: Floats) -> Floats:
        return np.abs(gradients) / PRICES

    def errors(self, weights: Floats, gradients: Floats, strength: float | Floats) -> Floats:
        return L1().errors(weights, gradients, strength * PRICES)


class Labels(Loss):
    """Several questions with answers -1 and 1, each with the logistic loss."""

    name = "labels"
    smoothness = 0.25

    def encode(self, targets: Any, classes: int | None) -> Floats:
        return np.asarray(targets, dtype=np.float64)

    def values(self, scores: Floats, targets: Floats) -> Floats:
        return np.asarray(np.logaddexp(0.0, -scores * targets).sum(axis=1))

    def residual(self, scores: Floats, targets: Floats) -> Floats:
        return targets * Logistic().slope(scores * targets)

    def curvature(self, scores: Floats, targets: Floats) -> Floats:
        return Logistic().curvature(scores, targets)

    def curvature_above(self, scores: Floats, targets: Floats) -> Floats:
        return Logistic().curvature_above(scores, targets)

    def dual_values(self, residuals: Floats, targets: Floats) -> Floats:
        return np.asarray(Logistic().dual_of_slope(residuals * targets).sum(axis=1))

    def into_domain(self, dual: Floats, targets: Floats, weights: Floats, quantum: float) -> Floats:
        return targets * cut(np.clip(targets * dual, 0.0, weights), quantum)

    def balanced(self, dual: Floats, targets: Floats, weights: Floats, quantum: float) -> Floats:
        slopes = dual * targets
        for column, surplus in enumerate(dual.sum(axis=0)):
            side = targets[:, column] * surplus > 0.0
            slopes[side, column] = lowered(slopes[side, column], abs(surplus))
        return slopes * targets


class JointLabels(Labels):
    """With what groups need."""

    def curved(self, scores: Floats, targets: Floats, directions: Floats) -> Floats:
        """h d."""
        return self.curvature(scores, targets) * directions

    def bound_curvature(self, scores: Floats, targets: Floats) -> Floats:
        """The curvature is diagonal."""
        return self.curvature(scores, targets)


def answers() -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.where(features(columns=3, density=0.4, seed=9) > 0, 1.0, -1.0)


def test_a_penalty_of_one_s_own_is_not_solved_as_another() -> None:
    matrix, wanted = features(), targets("logistic")
    for solver in ("auto", "working-set"):
        with pytest.raises(TypeError, match=r"needs the penalty L1 or Group; got PricedL1.*pass solver='fista'"):
            fit_sparse(matrix, wanted, penalty=PricedL1(), strength=0.01, solver=solver)
    same = fit_sparse(matrix / PRICES.T, wanted, strength=0.01, tol=TOLERANCE)
    for solver in ("fista", "fista-fixed-point"):
        found = fit_sparse(matrix, wanted, penalty=PricedL1(), strength=0.01, tol=1e-5, solver=solver)
        assert found.is_converged and 0 < len(found.support) < 25
        assert found.certificate.dual <= same.objective <= found.objective <= (1 + 1e-5) * same.objective


@pytest.mark.parametrize("intercept", [False, True])
def test_a_loss_of_several_outputs_is_as_good_as_its_questions_one_by_one(intercept: bool) -> None:
    matrix, wanted, strength = features(), answers(), 0.02
    found = fit_sparse(matrix, wanted, JointLabels(), "l1", strength, intercept=intercept, tol=TOLERANCE)
    alone = [fit_sparse(matrix, each, strength=strength, intercept=intercept, tol=TOLERANCE) for each in wanted.T]
    assert found.is_converged
    assert found.objective == pytest.approx(sum(each.objective for each in alone), rel=2 * TOLERANCE)


@pytest.mark.parametrize("intercept", [False, True])
def test_groups_of_a_loss_of_one_s_own_are_solved(intercept: bool) -> None:
    matrix, wanted = features(), answers()
    strength = 0.2 * lambda_max(matrix, wanted, JointLabels(), "group", intercept)
    settings: dict[str, Any] = {"penalty": "group", "strength": strength, "intercept": intercept}
    found = fit_sparse(matrix, wanted, JointLabels(), tol=TOLERANCE, **settings)
    other = fit_sparse(matrix, wanted, JointLabels(), tol=1e-5, solver="fista", **settings)
    assert found.is_converged and other.is_converged
    assert other.certificate.dual <= found.objective <= other.objective + TOLERANCE


def test_what_a_loss_lacks_is_named() -> None:
    matrix, wanted = features(), answers()
    assert not isinstance(Labels(), Joint)
    lacks = "Labels lacks `curved` or `bound_curvature`"
    with pytest.raises(TypeError, match=f"needs a Joint loss for groups of several outputs; {lacks}"):
        fit_sparse(matrix, wanted, Labels(), "group", 0.02)
    with pytest.raises(TypeError, match=f"A free intercept of several outputs needs a Joint loss; {lacks}"):
        fit_sparse(matrix, wanted, Labels(), "l1", 0.02, intercept=True)
    assert fit_sparse(matrix, wanted, Labels(), "l1", 0.02).is_converged
    assert fit_sparse(matrix, wanted, Labels(), "group", 0.02, solver="fista", tol=1e-5).is_converged


def test_newton_s_intercept_is_the_best_one() -> None:
    wanted = answers()
    scores = np.random.default_rng(0).normal(size=wanted.shape)
    shares = np.random.default_rng(1).random((70, 1))
    shares /= shares.sum()
    found = JointLabels().best_intercept(scores, wanted, shares, np.zeros(3))
    slopes = (shares * JointLabels().residual(scores + found, wanted)).sum(axis=0)
    assert np.abs(slopes).max() < 1e-10


def test_every_solver_takes_all_losses_and_penalties_of_the_library() -> None:
    for solver in SOLVERS:
        for loss in LOSSES:
            for penalty in (L1(), Group()):
                outputs = 3 if loss in ("softmax", "squared") else 1
                assert find_solver(solver, find_loss(loss), penalty, outputs=outputs) is SOLVERS[solver]
