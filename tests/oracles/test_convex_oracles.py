"""Sparse readouts against the solvers people come from, where those are installed: pip install -e '.[oracles]'."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import ElasticNet, LogisticRegression, MultiTaskLasso

from spikebridge.convex import certify, fit_sparse, lambda_max

from ..unit.convex.readouts import LOSSES, PENALTIES, cases, features, name, targets

AGREEMENT = 1e-6
"""Relative difference of objectives: both sides stop at relative gaps of 1e-7 or less."""


def losses_of(cvxpy: Any, loss: str, scores: Any, wanted: NDArray[Any]) -> Any:
    """The loss of every sample as cvxpy writes it."""
    if loss == "softmax":
        picked = cvxpy.sum(cvxpy.multiply(np.eye(scores.shape[1])[wanted], scores), axis=1)
        return cvxpy.log_sum_exp(scores, axis=1) - picked
    if loss == "squared":
        return cvxpy.sum(cvxpy.square(scores - wanted), axis=1)
    margins = cvxpy.multiply(wanted, scores[:, 0])
    return {
        "logistic": lambda: cvxpy.logistic(-margins),
        "hinge": lambda: cvxpy.pos(1 - margins),
        "squared-hinge": lambda: cvxpy.square(cvxpy.pos(1 - margins)),
        "smoothed-hinge": lambda: 0.5 * cvxpy.huber(cvxpy.pos(1 - margins), 1),
    }[loss]()


def best_by_cvxpy(
    matrix: NDArray[Any], wanted: NDArray[Any], case: dict[str, Any], strength: float, ridge: float
) -> float:
    cvxpy = pytest.importorskip("cvxpy", reason="cvxpy is not installed")
    outputs = {"softmax": 3, "squared": 3}.get(case["loss"], 1)
    weights = cvxpy.Variable((matrix.shape[1], outputs))
    scores = matrix @ weights
    if case["intercept"]:
        scores = scores + np.ones((len(matrix), 1)) @ cvxpy.Variable((1, outputs))
    samples = np.ones(len(matrix)) if case["sample_weight"] is None else case["sample_weight"]
    is_group = case["penalty"] == "group"
    norm = cvxpy.sum(cvxpy.norm(weights, 2, axis=1)) if is_group else cvxpy.sum(cvxpy.abs(weights))
    loss = losses_of(cvxpy, case["loss"], scores, wanted) @ (samples / samples.sum())
    problem = cvxpy.Problem(cvxpy.Minimize(loss + strength * norm + 0.5 * ridge * cvxpy.sum_squares(weights)))
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-10, tol_gap_rel=1e-9, tol_feas=1e-10)
    return float(problem.value)


@pytest.mark.parametrize("ridge", [0.0, 0.05])
@pytest.mark.parametrize("share", [0.1, 1e-3])
@pytest.mark.parametrize("case", cases(), ids=name)
def test_same_optimum_as_an_interior_point_solver(case: dict[str, Any], share: float, ridge: float) -> None:
    matrix, wanted = features(), targets(case["loss"])
    strength = share * lambda_max(matrix, wanted, **case)
    reference = best_by_cvxpy(matrix, wanted, case, strength, ridge)
    solution = fit_sparse(matrix, wanted, strength=strength, ridge=ridge, tol=1e-7, **case)
    assert solution.is_converged
    assert abs(solution.objective - reference) <= AGREEMENT * reference
    assert solution.certificate.dual <= reference * (1 + AGREEMENT)


def test_cases_cover_the_catalogue() -> None:
    assert {(case["loss"], case["penalty"]) for case in cases()} == {(a, b) for a in LOSSES for b in PENALTIES}


@pytest.mark.parametrize("ridge", [0.0, 0.02])
def test_same_weights_as_the_elastic_net_of_scikit_learn(ridge: float) -> None:
    matrix, wanted = features(150, 60), targets("squared", 150)[:, 0]
    strength = 0.1 * lambda_max(matrix, wanted, "squared", intercept=True)
    total = strength / 2 + ridge / 2
    reference = ElasticNet(alpha=total, l1_ratio=strength / 2 / total, tol=1e-12, max_iter=100_000).fit(matrix, wanted)
    solution = fit_sparse(matrix, wanted, "squared", strength=strength, ridge=ridge, intercept=True, tol=1e-10)
    assert np.allclose(solution.weights, reference.coef_, atol=1e-5)
    assert np.isclose(solution.intercept, reference.intercept_, atol=1e-5)


def test_same_weights_as_the_multi_task_lasso_of_scikit_learn() -> None:
    matrix, wanted = features(150, 60), targets("squared", 150)
    strength = 0.1 * lambda_max(matrix, wanted, "squared", "group", intercept=True)
    reference = MultiTaskLasso(alpha=strength / 2, tol=1e-12, max_iter=100_000).fit(matrix, wanted)
    solution = fit_sparse(matrix, wanted, "squared", "group", strength, intercept=True, tol=1e-10)
    assert np.allclose(solution.weights, reference.coef_.T, atol=1e-5)


def test_the_certificate_judges_a_solution_of_scikit_learn() -> None:
    matrix, wanted = features(150, 60), targets("logistic", 150)
    strength = 0.1 * lambda_max(matrix, wanted)
    settings = {"solver": "saga", "l1_ratio": 1.0, "C": 1 / (150 * strength), "fit_intercept": False}
    found = [
        LogisticRegression(**settings, tol=tol, max_iter=50_000, random_state=0).fit(matrix, wanted).coef_[0]
        for tol in (1e-2, 1e-10)
    ]
    loose, tight = (certify(matrix, wanted, weights, strength=strength) for weights in found)
    assert tight.relative_gap < 1e-6
    assert loose.gap >= loose.primal - tight.primal > 0
