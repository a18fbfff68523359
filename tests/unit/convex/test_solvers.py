"""Solvers reach the gap they are asked for, from anywhere, on any dictionary; the inner ones solve what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from spikebridge.convex import L1, Problem, certify, fit_sparse, lambda_max
from spikebridge.convex.bounds import lower_bound
from spikebridge.convex.losses import Loss
from spikebridge.convex.margins import Logistic
from spikebridge.convex.solvers import SOLVERS, find_solver
from spikebridge.convex.solvers import quadratic as quadratic_module
from spikebridge.convex.solvers.inverse import ActiveInverse
from spikebridge.convex.solvers.joint import conjugate_gradients
from spikebridge.convex.solvers.program import by_program
from spikebridge.convex.solvers.quadratic import Quadratic, minimise

from .dictionaries import KINDS
from .readouts import cases, features, name, targets

TOLERANCE = 1e-7


def quadratic(size: int, *, rank: int, seed: int) -> Quadratic:
    """Columns that share a mean direction, as spike patterns do, so badly conditioned."""
    random = np.random.default_rng(seed)
    columns = (random.random((rank, size)) < 0.5) * 1.0
    hessian = columns.T @ columns / rank + 1e-6 * np.eye(size)
    strengths = np.full(size, 0.02)
    strengths[0] = 0.0
    return Quadratic(hessian, columns.T @ random.normal(size=rank) / rank, strengths)


@pytest.mark.parametrize("steps", [0, 5, 50])
@pytest.mark.parametrize("rank", [200, 60])
@pytest.mark.parametrize("seed", range(5))
def test_the_inner_quadratic_is_solved(monkeypatch: pytest.MonkeyPatch, seed: int, rank: int, steps: int) -> None:
    monkeypatch.setattr(quadratic_module, "MOST_STEPS", steps)
    problem, random = quadratic(80, rank=rank, seed=seed), np.random.default_rng(seed)
    for start in (np.zeros(80), random.normal(size=80), random.normal(size=80) * (random.random(80) < 0.3)):
        found = minimise(problem, start, ActiveInverse(problem.hessian), tol=1e-9)
        gradient = problem.hessian @ found - problem.linear
        assert problem.errors(found, gradient).max() <= 1e-8
        assert 5 < np.count_nonzero(found) < 80


def test_the_inverse_follows_its_indices() -> None:
    random = np.random.default_rng(0)
    factor = random.normal(size=(60, 40))
    matrix = factor.T @ factor
    inverse = ActiveInverse(matrix)
    active = np.arange(0, 40, 2)
    for _ in range(30):
        inverse.move_to(active)
        assert set(inverse.active.tolist()) == set(active.tolist())
        right = random.normal(size=len(active))
        wanted = np.linalg.solve(matrix[np.ix_(inverse.active, inverse.active)], right)
        assert np.allclose(inverse.solve(right), wanted, rtol=1e-7, atol=1e-9)
        changed = random.choice(40, size=4, replace=False)
        active = np.setxor1d(active, changed)


def test_conjugate_gradients_solve_with_and_without_a_preconditioner() -> None:
    random = np.random.default_rng(1)
    factor = random.normal(size=(50, 20))
    matrix, right = factor.T @ factor, random.normal(size=(20, 1))
    wanted = np.linalg.solve(matrix, right)
    for precondition in (lambda given: given, lambda given: np.linalg.inv(matrix) @ given):
        found = conjugate_gradients(lambda given: matrix @ given, right, precondition)
        assert np.linalg.norm(matrix @ found - right) < 0.2 * np.linalg.norm(right)
    assert np.allclose(found, wanted)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("case", cases(), ids=name)
def test_every_solver_reaches_the_gap_and_the_certificate_is_of_what_it_returns(
    case: dict[str, Any], solver: str
) -> None:
    matrix, wanted = features(), targets(case["loss"])
    strength = 0.15 * lambda_max(matrix, wanted, **case)
    tol = TOLERANCE if solver == "working-set" else 1e-4
    solution = fit_sparse(matrix, wanted, strength=strength, tol=tol, solver=solver, **case)
    assert solution.is_converged and solution.certificate.relative_gap <= tol
    assert 0 < len(solution.support) < 25
    again = certify(
        matrix,
        wanted,
        solution.weights,
        strength=strength,
        intercept_values=solution.intercept,
        dual_point=solution.dual_point,
        **case,
    )
    assert again == solution.certificate
    if not case["intercept"]:
        assert not np.any(solution.intercept)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", ["logistic", "softmax"])
def test_every_dictionary_gives_the_same_optimum(kind: str, loss: str) -> None:
    matrix, wanted = features(), targets(loss)
    reference = fit_sparse(matrix, wanted, loss, strength=0.01, tol=TOLERANCE)
    found = fit_sparse(KINDS[kind](matrix), wanted, loss, strength=0.01, tol=TOLERANCE)
    assert abs(found.objective - reference.objective) <= TOLERANCE * reference.objective


@pytest.mark.parametrize("case", cases()[::3], ids=name)
def test_warm_starts_end_at_the_same_objective_sooner(case: dict[str, Any]) -> None:
    matrix, wanted = features(columns=200), targets(case["loss"])
    strength = 0.1 * lambda_max(matrix, wanted, **case)
    cold = fit_sparse(matrix, wanted, strength=strength, tol=TOLERANCE, **case)
    warm = fit_sparse(matrix, wanted, strength=strength, tol=TOLERANCE, warm_start=cold, **case)
    pair = fit_sparse(
        matrix, wanted, strength=strength, tol=TOLERANCE, warm_start=(cold.weights, cold.intercept), **case
    )
    bad = fit_sparse(matrix, wanted, strength=strength, tol=TOLERANCE, warm_start=2.0 * cold.weights, **case)
    for other in (warm, pair, bad):
        assert abs(other.objective - cold.objective) <= 2 * TOLERANCE * cold.objective
    assert warm.rounds <= cold.rounds


@pytest.mark.parametrize("penalty", ["l1", "group"])
@pytest.mark.parametrize("share", [1e-3, 1e-4])
def test_a_hinge_with_little_penalty_ends_at_the_vertex(share: float, penalty: str) -> None:
    """Random labels, so that many samples lie on the kink, where smoothing by itself comes to a halt."""
    random = np.random.default_rng(8)
    matrix = (random.random((60, 80)) < 0.4).astype(float)
    wanted = random.choice([-1, 1], 60)
    strength = share * lambda_max(matrix, wanted, "hinge", intercept=True)
    solution = fit_sparse(matrix, wanted, "hinge", penalty, strength, intercept=True, tol=TOLERANCE)
    assert solution.is_converged


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_linear_program_and_the_smooth_losses_agree(intercept: bool, weighted: bool) -> None:
    weights = np.arange(70.0) if weighted else None
    problem = Problem.of(
        features(), targets("hinge"), loss="hinge", strength=0.02, intercept=intercept, sample_weight=weights
    )
    found = by_program(problem, max_time=np.inf)
    assert found is not None
    bound = lower_bound(problem, found.dual_point)
    scores = problem.scores(found.weights, found.intercept)
    objective = problem.loss_value(scores) + problem.penalty_value(found.weights)
    assert 0.0 <= objective - bound.value <= TOLERANCE * objective
    smooth = fit_sparse(
        features(), targets("hinge"), "hinge", strength=0.02, intercept=intercept, sample_weight=weights, tol=1e-5
    )
    assert smooth.objective == pytest.approx(objective, rel=1e-5)
    assert by_program(problem, max_time=0.0) is None


def test_useless_and_repeated_columns_change_nothing() -> None:
    matrix, wanted = features(), targets("logistic")
    padded = np.hstack([matrix, matrix, np.zeros((70, 3)), np.ones((70, 2)), 1 - matrix])
    plain = fit_sparse(np.hstack([matrix, np.ones((70, 1)), 1 - matrix]), wanted, strength=0.02, tol=TOLERANCE)
    found = fit_sparse(padded, wanted, strength=0.02, tol=TOLERANCE)
    assert abs(found.objective - plain.objective) <= TOLERANCE * plain.objective
    assert not found.weights[50:53].any()


@pytest.mark.parametrize("rows", [1, 2, 63, 64, 65])
def test_any_number_of_rows_works(rows: int) -> None:
    for loss in ("logistic", "softmax", "squared", "hinge"):
        solution = fit_sparse(features(rows), targets(loss, rows), loss, strength=1e-3, tol=1e-6)
        assert solution.is_converged


def test_a_constant_dictionary_has_an_exact_answer() -> None:
    wanted = np.array([1, 1, 1, -1])
    solution = fit_sparse(np.ones((4, 1)), wanted, strength=0.1, tol=1e-10)
    # 3/4 s(-w) - 1/4 s(w) = 0.1 with s the logistic function, so s(w) = 0.65
    assert solution.weights[0] == pytest.approx(np.log(0.65 / 0.35), rel=1e-6)
    free = fit_sparse(np.ones((4, 1)), wanted, strength=0.1, intercept=True)
    assert not free.weights.any() and free.intercept == pytest.approx(np.log(3))


def test_real_features_with_more_columns_than_rows_converge() -> None:
    matrix = 5 + np.random.default_rng(3).normal(size=(40, 150))
    for penalty in ("l1", "group"):
        solution = fit_sparse(matrix, targets("softmax", 40), "softmax", penalty, 1e-3, intercept=True, tol=1e-5)
        assert solution.is_converged


def test_time_limits_hold_and_say_so() -> None:
    matrix, wanted = features(columns=300), targets("softmax")
    said = r"stopped at a relative gap of .*, above tol=1e-09; .* Give it more max_time"
    with pytest.warns(ConvergenceWarning, match=said) as warned:
        solution = fit_sparse(matrix, wanted, "softmax", strength=1e-5, tol=1e-9, max_time=0.0)
    assert warned[0].filename == __file__
    assert not solution.is_converged and solution.certificate.relative_gap > 1e-9


def test_an_unknown_solver_or_a_loss_without_what_it_needs_is_refused() -> None:
    class Bare(Loss):
        name = "bare"
        encode = values = residual = dual_values = into_domain = balanced = Logistic.encode  # type: ignore[assignment]

    with pytest.raises(ValueError, match="a solver among auto, working-set"):
        find_solver("simplex", Logistic(), L1())
    with pytest.raises(TypeError, match="Bare lacks `smoothness`, `curvature` or"):
        find_solver("auto", Bare(), L1())
