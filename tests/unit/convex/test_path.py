"""A path is its single problems, solved faster."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikebridge.convex import fit_path, fit_sparse, lambda_max

from .readouts import LOSSES, PENALTIES, features, targets

TOLERANCE = 1e-7


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", LOSSES)
def test_path_agrees_with_cold_starts(loss: str, penalty: str) -> None:
    matrix, wanted = features(), targets(loss)
    path = fit_path(matrix, wanted, loss, penalty, 4, True, TOLERANCE, smallest=0.05)
    strengths = list(path)
    assert strengths[0] == pytest.approx(lambda_max(matrix, wanted, loss, penalty, True))
    assert np.allclose(np.diff(np.log(strengths)), np.log(0.05) / 3)
    for strength, solution in path.items():
        cold = fit_sparse(matrix, wanted, loss, penalty, strength, True, TOLERANCE)
        assert solution.is_converged
        assert abs(solution.objective - cold.objective) <= 2 * TOLERANCE * cold.objective
    assert len(next(iter(path.values())).support) <= 1
    assert len(path[strengths[-1]].support) > 5


def test_given_strengths_are_sorted_and_kept() -> None:
    path = fit_path(features(), targets("logistic"), strengths=[0.01, 0.1, 0.01])
    assert list(path) == [0.1, 0.01]


def test_path_with_ridge_and_weights_is_that_of_its_problems() -> None:
    settings: dict[str, Any] = {"ridge": 0.01, "class_weight": "balanced", "sample_weight": np.arange(70) + 1.0}
    matrix, wanted = features(), targets("logistic")
    path = fit_path(matrix, wanted, strengths=[0.02, 0.01], tol=TOLERANCE, **settings)
    cold = fit_sparse(matrix, wanted, strength=0.01, tol=TOLERANCE, **settings)
    assert abs(path[0.01].objective - cold.objective) <= 2 * TOLERANCE * cold.objective


@pytest.mark.filterwarnings("ignore:fit_sparse stopped")
def test_time_that_is_up_gives_the_best_so_far_with_its_certificate() -> None:
    matrix, wanted = features(), targets("logistic")
    settings: dict[str, Any] = {"strengths": [0.1, 0.03, 0.01], "tol": 1e-12}
    path, full = fit_path(matrix, wanted, **settings, max_time=0.0), fit_path(matrix, wanted, **settings, max_time=9.0)
    assert list(path) == list(full) and not any(solution.is_converged for solution in path.values())
    for solution, best in zip(path.values(), full.values(), strict=True):
        certificate = solution.certificate
        assert certificate.relative_gap > best.certificate.relative_gap
        assert certificate.dual <= best.objective <= certificate.primal + 1e-12


@pytest.mark.parametrize("strengths", [0, [], [0.0], [0.1, -1.0], [np.inf]])
def test_strengths_that_make_no_path_are_refused(strengths: Any) -> None:
    with pytest.raises(ValueError, match="strength"):
        fit_path(features(), targets("logistic"), strengths=strengths)
