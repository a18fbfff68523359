"""Certificates of nearly perfect fits, whose objectives are far below rounding of 1, against 50 decimal digits."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest

from spikebridge.convex import Logistic, Problem, certify, fit_sparse
from spikebridge.convex.bounds import lower_bound
from spikebridge.convex.losses import Floats, find_loss
from spikebridge.convex.penalties import L1

from .readouts import features, targets

ENTROPIC = ("logistic", "softmax")
DIGITS = 50
ACCURACY = 1e-12
"""Relative: a few hundred roundings of float64."""


def exact_loss(margins: list[Decimal]) -> Decimal:
    """log(1 + sum exp(-m)) over the other classes."""
    return (1 + sum((-margin).exp() for margin in margins)).ln()


def exact_entropy(share: Decimal) -> Decimal:
    return -share * share.ln() if share else Decimal(0)


@pytest.mark.filterwarnings("ignore:fit_sparse stopped")  # the bounds hold, however far apart
@pytest.mark.parametrize("strength", [1e-3, 1.3e-10, 1.3e-12, 1e-14])
@pytest.mark.parametrize(("loss", "classes"), [("logistic", 2), ("softmax", 2), ("softmax", 3)])
def test_one_sample_s_optimum_lies_between_its_bounds(loss: str, classes: int, strength: float) -> None:
    """exp(-d) (C - 1) = lambda / (1 - lambda) at the optimum, which is H(lambda) + lambda log(C - 1)."""
    wanted, settings = np.array([1]), {} if loss == "logistic" else {"classes": classes}
    found = fit_sparse(np.ones((1, 1)), wanted, loss, strength=strength, tol=1e-9, **settings)
    with localcontext(prec=DIGITS):
        share = Decimal(strength)
        optimum = exact_entropy(share) + exact_entropy(1 - share) + share * Decimal(classes - 1).ln()
        assert Decimal(found.certificate.dual) <= optimum
        assert optimum <= Decimal(found.certificate.primal) + Decimal(found.certificate.rounding)
    assert found.certificate.rounding <= ACCURACY * found.objective


@pytest.mark.parametrize("loss", ENTROPIC)
def test_tiny_losses_keep_their_digits(loss: str) -> None:
    kind = find_loss(loss)
    wanted = kind.encode(np.array([1, 1, 1]), 2 if loss == "softmax" else None)
    sizes = np.array([5.0, 25.0, 60.0])
    scores = sizes[:, None] * (wanted if loss == "logistic" else wanted - 1.0)
    with localcontext(prec=DIGITS):
        exact = [float(exact_loss([Decimal(size)])) for size in sizes.tolist()]
    assert kind.values(scores, wanted) == pytest.approx(exact, rel=ACCURACY, abs=0.0)
    own = kind.residual(scores, wanted)
    slopes = (own * wanted).sum(axis=1)
    assert slopes == pytest.approx(1.0 / (1.0 + np.exp(sizes)), rel=ACCURACY, abs=0.0)


@pytest.mark.parametrize("size", [1e-14, 1e-9, 1e-4, 0.3])
@pytest.mark.parametrize("loss", ENTROPIC)
def test_the_bound_is_never_above_its_value_in_exact_arithmetic(loss: str, size: float) -> None:
    matrix, wanted = features(), targets(loss)
    problem = Problem.of(matrix, wanted, loss=loss, strength=1.0)
    random = np.random.default_rng(3)
    dual = problem.sample_weights * size * random.random(problem.targets.shape) * (2.0 * problem.targets - 1.0)
    dual = dual * problem.targets if loss == "logistic" else dual
    bound = lower_bound(problem, dual)
    with localcontext(prec=DIGITS):
        exact = Decimal(0)
        for point, row, weight in zip(bound.point, problem.targets, problem.sample_weights[:, 0], strict=True):
            shares = [Decimal(bound.factor) * Decimal(float(value)) / Decimal(float(weight)) for value in point]
            if loss == "logistic":
                share = shares[0] * int(row[0])
                terms = exact_entropy(share) + exact_entropy(1 - share)
            else:
                terms = sum((exact_entropy(int(one) - share) for one, share in zip(row, shares, strict=True)))
            exact += Decimal(float(weight)) * terms
        assert Decimal(bound.value) <= exact
        assert bound.value >= float(exact) * (1.0 - ACCURACY)


@pytest.mark.parametrize("loss", ENTROPIC)
@pytest.mark.parametrize("strength", [1e-8, 1e-10])
def test_separable_samples_with_an_intercept_are_certified(loss: str, strength: float) -> None:
    random = np.random.default_rng(0)
    matrix = (random.random((60, 30)) < 0.5).astype(float)
    wanted = np.where(matrix[:, 0] + matrix[:, 1] > 0.5, 1, -1 if loss == "logistic" else 0)
    found = fit_sparse(matrix, wanted, loss, strength=strength, intercept=True, tol=1e-4, max_time=5.0)
    again = certify(
        matrix,
        wanted,
        found.weights,
        strength=strength,
        loss=loss,
        intercept=True,
        intercept_values=found.intercept,
        dual_point=found.dual_point,
    )
    assert again.dual <= again.primal + again.rounding
    assert found.is_converged


def test_a_bound_above_the_objective_is_an_error() -> None:
    class Boasting(Logistic):
        def dual_of_slope(self, slopes: Any) -> Any:
            return 1.0 + slopes

    with pytest.raises(ArithmeticError, match="a lower bound below the objective"):
        certify(features(), targets("logistic"), np.zeros(25), loss=Boasting(), strength=0.1)


def test_weights_whose_scores_overflow_are_refused() -> None:
    matrix, wanted = features(), targets("squared")
    with pytest.raises(ValueError, match="scores and objective are finite"):
        certify(matrix, wanted, np.full((25, 3), 1e300), loss="squared", strength=0.1)
    with pytest.raises(ValueError, match="scores and objective are finite"):
        certify(2.0 * matrix, targets("logistic"), np.full(25, 1e308), strength=0.1)


def test_sample_weights_whose_sum_overflows_count_as_what_they_are() -> None:
    matrix, wanted, weights = features(), targets("logistic"), np.random.default_rng(0).random(70)
    small = certify(matrix, wanted, np.zeros(25), strength=0.1, sample_weight=weights, class_weight={1: 2.0})
    large = certify(
        matrix, wanted, np.zeros(25), strength=0.1, sample_weight=1e308 * weights, class_weight={1: 2e300, -1: 1e300}
    )
    assert large.primal == pytest.approx(small.primal) and large.dual == pytest.approx(small.dual)
    with pytest.raises(ValueError, match="finite weights >= 0"):
        certify(matrix, wanted, np.zeros(25), strength=0.1, class_weight={1: np.inf})


class Cheap(L1):
    """l1 at a price per weight: lambda * price * |w|."""

    def __init__(self, price: float) -> None:
        self.price = price

    def value(self, weights: Floats) -> float:
        return self.price * super().value(weights)

    def sizes(self, gradients: Floats) -> Floats:
        return super().sizes(gradients) / self.price


def test_what_rounding_may_have_added_is_in_the_units_of_the_penalty() -> None:
    """Columns nearly orthogonal to the residuals, so that correlations are little but rounding."""
    rng = np.random.default_rng(0)
    wanted, price = rng.normal(size=50), 1e-9
    matrix = 1e6 * rng.normal(size=(50, 6))
    matrix -= np.outer(wanted, wanted @ matrix) / (wanted @ wanted)
    cheap = certify(matrix, wanted, np.zeros(6), loss="squared", penalty=Cheap(price), strength=0.1)
    plain = certify(matrix, wanted, np.zeros(6), loss="squared", penalty="l1", strength=0.1 * price)
    assert cheap.dual == pytest.approx(plain.dual, rel=1e-9)
