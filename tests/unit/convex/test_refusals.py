"""What does not fit is refused in words: what was got, what is expected, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

from spikebridge import Direct
from spikebridge.convex import (
    ConvexSNNClassifier,
    PoolPricer,
    Priced,
    SparseDictionary,
    Spike,
    SpikeFeatures,
    ThresholdPricer,
    as_dictionary,
    fit_path,
    fit_sparse,
    gaussian_witness,
    generate_columns,
    polish,
    reconstruct,
)

from .readouts import features, targets


def a_network(outputs: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, outputs))


def polished(outputs: int, labels: torch.Tensor, **settings: Any) -> Any:
    torch.manual_seed(0)
    batches = [(torch.rand(len(labels), 5), labels)]
    return polish(a_network(outputs), batches, batches, **settings)


class Other:
    """A pricer of other samples."""

    def price(self, dual: Any, penalty: Any, *, above: float, most: int) -> Priced:
        return Priced(np.ones((3, 1)), ["three"], np.inf)


WANTED, LABELS = targets("logistic"), torch.arange(12) % 2
STRINGS = np.random.default_rng(0).random((30, 4))

REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a strength in words": (
        lambda: fit_sparse(features(), WANTED, strength="0.1"),  # type: ignore[arg-type]
        TypeError,
        "expects strength to be a number; got '0.1'",
    ),
    "half a class": (
        lambda: fit_sparse(features(), targets("softmax"), "softmax", classes=3.5),  # type: ignore[arg-type]
        TypeError,
        "expects classes to be a whole number or None; got 3.5",
    ),
    "names taken for classes": (
        lambda: fit_sparse(features(2), np.array([0, 10**8]), "softmax"),
        ValueError,
        "at most 65536 classes; got targets of up to 1e+08",
    ),
    "one strength as a path": (
        lambda: fit_path(features(), WANTED, strengths=0.1),  # type: ignore[arg-type]
        TypeError,
        "expects strengths to be how many, or a list of them; got 0.1",
    ),
    "no round": (
        lambda: generate_columns([PoolPricer(as_dictionary(features()))], WANTED, strength=0.1, max_rounds=0),
        ValueError,
        "expects max_rounds >= 1; got 0",
    ),
    "thresholds of fewer samples": (
        lambda: generate_columns([ThresholdPricer(features(50))], WANTED, strength=0.01),
        ValueError,
        "a dual point of its 50 samples; got 70",
    ),
    "thresholds of more samples": (
        lambda: generate_columns([ThresholdPricer(features(90))], WANTED, strength=0.01),
        ValueError,
        "a dual point of its 90 samples; got 70",
    ),
    "columns of other samples": (
        lambda: generate_columns([Other()], WANTED, strength=0.01),
        ValueError,
        "columns of 70 rows, as many as there are targets; pricer 0, Other, offers columns of 3",
    ),
    "no solution": (
        lambda: reconstruct(
            SpikeFeatures(gaussian_witness(4, (5,)), encoder=Direct(time_steps=3), features=(Spike(),)), []
        ),
        ValueError,
        "one solution at least",
    ),
    "one width": (lambda: gaussian_witness(4, 32), TypeError, "got 32: (32,)"),  # type: ignore[arg-type]
    "one width of an estimator": (
        lambda: ConvexSNNClassifier(widths=32, strength=0.1).fit(STRINGS, np.arange(30) % 2),  # type: ignore[arg-type]
        TypeError,
        "got 32: (32,)",
    ),
    "units of other inputs": (
        lambda: ConvexSNNClassifier(witnesses=gaussian_witness(7, (9,)), strength=0.1).fit(STRINGS, np.arange(30) % 2),
        ValueError,
        "witnesses that take trains of 4 inputs a step, as X has features; they fail",
    ),
    "no strengths of an estimator": (
        lambda: ConvexSNNClassifier(strengths=0).fit(STRINGS, np.arange(30) % 2),
        ValueError,
        "strengths >= 1 and validation in (0, 1); got strengths=0",
    ),
    "nothing to hold out": (
        lambda: ConvexSNNClassifier(widths=(9,)).fit(STRINGS[:4], np.arange(4)),
        ValueError,
        "samples to hold out beside one of every class; got 4 samples",
    ),
    "one strength to polish at": (
        lambda: polished(2, LABELS, strengths=0.01),
        TypeError,
        "how many, or a list of them; got 0.01: strengths=[0.01]",
    ),
    "a head of one output": (
        lambda: polished(1, 0 * LABELS),
        ValueError,
        "an output for each class, two at least; '2' has 1",
    ),
    "a class without samples": (
        lambda: polished(4, LABELS),
        ValueError,
        "got none of class 2, 3. Add samples of them, or take a head with bias=False",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_in_words(case: str) -> None:
    call, kind, message = REFUSED[case]
    with pytest.raises(kind, match=re.escape(message)):
        call()


def test_a_path_over_columns_that_say_nothing_keeps_all_weights_at_zero() -> None:
    path = fit_path(np.zeros((70, 3)), WANTED, strengths=4, intercept=True)
    assert len(path) == 4
    assert all(solution.is_converged and not solution.weights.any() for solution in path.values())


def test_a_constant_target_is_fitted() -> None:
    for value in (0.1, 5.0, 1e6 / 3):
        solution = fit_sparse(features(), np.full(70, value), "squared", strength=0.1, intercept=True)
        assert solution.is_converged and solution.intercept == pytest.approx(value)


def test_duplicates_are_not_summed_inside_the_caller_s_matrix() -> None:
    given = sparse.csc_array((np.array([1.0, 2.0, 4.0]), np.array([1, 1, 0]), np.array([0, 3])), shape=(2, 1))
    assert SparseDictionary(given).matvec(np.ones(1)).tolist() == [4.0, 3.0]
    assert given.data.tolist() == [1.0, 2.0, 4.0] and given.indices.tolist() == [1, 1, 0]


@pytest.mark.parametrize("seed", range(6))
def test_a_rare_class_is_in_the_training_part_whatever_the_seed(seed: int) -> None:
    random = np.random.default_rng(0)
    values, labels = random.random((40, 4)), random.integers(0, 2, 40)
    labels[0] = 2
    model = ConvexSNNClassifier(widths=(20,), strengths=2, validation=0.5, seed=seed, tol=1e-2).fit(values, labels)
    assert model.coef_.shape[0] == 3 and len(model.path_) == 2
