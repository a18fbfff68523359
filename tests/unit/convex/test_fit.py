"""What fit_sparse promises: weights in the caller's shape, exact answers where they are known, clear refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikebridge.convex import Logistic, fit_sparse, lambda_max

from .readouts import LOSSES, PENALTIES, features, targets


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("intercept", [False, True])
def test_weights_are_zero_above_the_largest_strength_and_not_below(loss: str, penalty: str, intercept: bool) -> None:
    matrix, wanted = features(), targets(loss)
    largest = lambda_max(matrix, wanted, loss, penalty, intercept)
    above = fit_sparse(matrix, wanted, loss, penalty, 1.0001 * largest, intercept)
    assert not above.weights.any() and above.is_converged
    assert above.certificate.note == "All weights are zero."
    below = fit_sparse(matrix, wanted, loss, penalty, (0.5 if loss == "hinge" else 0.99) * largest, intercept)
    assert below.weights.any()


def test_shapes_are_those_of_the_targets() -> None:
    matrix = features()
    flat = fit_sparse(matrix, targets("logistic"), intercept=True)
    assert flat.weights.shape == (25,) and isinstance(flat.intercept, float)
    classes = fit_sparse(matrix, targets("softmax"), "softmax", classes=4)
    assert classes.weights.shape == (25, 4) and classes.intercept.tolist() == [0.0] * 4
    assert fit_sparse(matrix, targets("squared"), "squared").weights.shape == (25, 3)
    assert fit_sparse(matrix, targets("squared")[:, 0], "squared").weights.shape == (25,)
    assert fit_sparse(matrix, targets("squared")[:, :1], "squared").weights.shape == (25, 1)


def test_sample_weights_count_like_repeated_rows() -> None:
    matrix, wanted, random = features(), targets("softmax"), np.random.default_rng(0)
    times = random.integers(0, 4, 70)
    repeated = fit_sparse(np.repeat(matrix, times, axis=0), np.repeat(wanted, times), "softmax", tol=1e-9)
    weighted = fit_sparse(matrix, wanted, "softmax", sample_weight=times, tol=1e-9)
    scaled = fit_sparse(matrix, wanted, "softmax", sample_weight=7.0 * times, tol=1e-9)
    assert weighted.objective == pytest.approx(repeated.objective, rel=1e-8)
    assert scaled.objective == pytest.approx(repeated.objective, rel=1e-8)


def test_class_weights_multiply_sample_weights() -> None:
    matrix, wanted = features(), targets("logistic")
    by_class = fit_sparse(matrix, wanted, class_weight={1: 3.0}, tol=1e-9)
    by_sample = fit_sparse(matrix, wanted, sample_weight=np.where(wanted == 1, 3.0, 1.0), tol=1e-9)
    balanced = fit_sparse(matrix, wanted, class_weight="balanced", tol=1e-9)
    share = (wanted == 1).sum() / (wanted == -1).sum()
    same = fit_sparse(matrix, wanted, class_weight={-1: share, 1: 1.0}, tol=1e-9)
    assert by_class.objective == pytest.approx(by_sample.objective, rel=1e-8)
    assert balanced.objective == pytest.approx(same.objective, rel=1e-8)


def test_the_order_of_columns_and_rows_does_not_matter() -> None:
    matrix, wanted, random = features(), targets("softmax"), np.random.default_rng(1)
    rows, columns = random.permutation(70), random.permutation(25)
    plain = fit_sparse(matrix, wanted, "softmax", ridge=0.01, tol=1e-10)
    moved = fit_sparse(matrix[rows][:, columns], wanted[rows], "softmax", ridge=0.01, tol=1e-10)
    assert np.allclose(moved.weights, plain.weights[columns], atol=1e-4)


def test_a_free_intercept_does_not_care_for_complements() -> None:
    matrix, wanted = features(), targets("logistic")
    plain = fit_sparse(matrix, wanted, intercept=True, tol=1e-9)
    both = fit_sparse(np.hstack([matrix, 1 - matrix]), wanted, intercept=True, tol=1e-9)
    assert both.objective == pytest.approx(plain.objective, rel=1e-8)


def test_a_loss_may_be_given_as_an_object() -> None:
    by_name, by_object = (fit_sparse(features(), targets("logistic"), loss) for loss in ("logistic", Logistic()))
    assert by_name.objective == by_object.objective


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": targets("logistic", 69)}, "one target for each of the dictionary's 70 rows; got 69"),
        ({"targets": np.arange(70) % 2}, "become these as 2 [*] targets - 1"),
        ({"dictionary": np.zeros((0, 3))}, "at least one row and one column"),
        ({"dictionary": np.zeros((70, 0))}, "at least one row and one column"),
        ({"dictionary": np.full((70, 2), np.nan)}, "finite"),
        ({"strength": -0.1}, "strength >= 0"),
        ({"strength": np.nan}, "strength >= 0"),
        ({"strength": 0.0}, "strength > 0 or ridge > 0"),
        ({"ridge": -1.0}, "ridge >= 0"),
        ({"tol": 0.0}, "tol > 0"),
        ({"sample_weight": -np.ones(70)}, "finite and >= 0"),
        ({"sample_weight": np.zeros(70)}, "all are 0"),
        ({"sample_weight": np.ones(69)}, r"sample_weight \[70\]"),
        ({"class_weight": {2: 1.0}}, r"of \[-1, 1\]"),
        ({"class_weight": "even"}, "'balanced'"),
        ({"class_weight": [1.0, 2.0]}, "{class: weight}"),
        ({"targets": targets("squared"), "loss": "squared", "class_weight": "balanced"}, "has no classes"),
        ({"targets": np.ones(70), "intercept": True}, "none of class -1"),
        ({"targets": np.zeros(70, int), "loss": "softmax", "intercept": True, "classes": 3}, "none of class 1, 2"),
        ({"solver": "simplex"}, "a solver among"),
        ({"loss": "absolute"}, "a loss among"),
        ({"penalty": "l2"}, "a penalty among"),
        ({"warm_start": np.zeros(24)}, r"weights \[25, 1\]"),
        ({"warm_start": np.full(25, np.inf)}, "finite weights"),
        ({"warm_start": (np.zeros(25), 1.0)}, "intercept=True"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    settings: dict[str, Any] = {"dictionary": features(), "targets": targets("logistic"), **change}
    with pytest.raises(ValueError, match=message):
        fit_sparse(**settings)


def test_a_strength_of_zero_with_a_ridge_is_ridge_regression() -> None:
    matrix, wanted = features(), targets("squared")[:, 0]
    found = fit_sparse(matrix, wanted, "squared", strength=0.0, ridge=0.1, tol=1e-10)
    exact = np.linalg.solve(2 * matrix.T @ matrix / 70 + 0.1 * np.eye(25), 2 * matrix.T @ wanted / 70)
    assert np.allclose(found.weights, exact, atol=1e-5)
