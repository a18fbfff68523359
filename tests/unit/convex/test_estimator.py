"""The estimator obeys scikit-learn's rules, and its module is the model."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from spikebridge.convex import gaussian_witness, spike_dictionary
from spikebridge.convex.estimator import ConvexSNNClassifier
from spikebridge.convex.reconstruct import ExactReadout

SETTINGS: dict[str, dict[str, Any]] = {
    "softmax": {},
    "l1": {"penalty": "l1"},
    "logistic": {"loss": "logistic"},
    "hinge": {"loss": "hinge", "tol": 1e-2},
    "squared hinge": {"loss": "squared-hinge"},
    "without intercept": {"intercept": False},
    "two layers": {"widths": (40, 60)},
    "last": {"read": "last"},
    "every": {"read": "every"},
}


@parametrize_with_checks(
    [
        ConvexSNNClassifier(widths=(64,), strength=0.01),
        ConvexSNNClassifier(widths=(64,), strength=0.01, loss="logistic"),
    ],
)
def test_it_obeys_the_rules_of_scikit_learn(estimator: Any, check: Any) -> None:
    """All that scikit-learn asks of such a classifier; the checks leave out what no tag of it promises.

    That is: sparse input, missing values, sample weights, class weights, more than one target, and for the logistic
    loss more than two classes.
    """
    check(estimator)


def binary(samples: int = 150, *, steps: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Which half of the steps has more ones."""
    strings = np.random.default_rng(0).integers(0, 2, (samples, steps, 3)).astype(float)
    return strings, np.where(strings[:, : steps // 2].mean((1, 2)) > strings[:, steps // 2 :].mean((1, 2)), "a", "b")


@pytest.mark.parametrize("name", SETTINGS)
def test_the_module_is_the_model_bit_for_bit(name: str) -> None:
    settings = {"widths": (60,), "strength": 0.003, **SETTINGS[name]}
    strings, labels = binary()
    model = ConvexSNNClassifier(**settings).fit(strings, labels)
    values = torch.from_numpy(strings).float()
    with torch.no_grad():
        scores = model.to_module()(values).numpy()
    on_all_units = ExactReadout(model.coef_.T, model.intercept_).scores(spike_dictionary(model.features_, values))
    found = on_all_units[:, -1] - (on_all_units[:, 0] if on_all_units.shape[1] == 2 else 0.0)
    assert np.array_equal(model.decision_function(strings), found)
    assert np.array_equal(model.classes_[scores.argmax(1)], model.predict(strings))
    assert model.score(strings, labels) > 0.7
    assert model.certificate_.relative_gap <= settings.get("tol", 1e-3) * 1.001


def test_a_sample_s_scores_do_not_depend_on_its_batch() -> None:
    values, labels = make_classification(120, 20, n_informative=8, random_state=0)
    model = ConvexSNNClassifier(widths=(100, 50), strength=0.01, time_steps=4).fit(values, labels)
    whole = model.decision_function(values)
    assert np.array_equal(np.concatenate([model.decision_function(row[None]) for row in values]), whole)


def test_a_path_chooses_on_what_was_held_out_and_fits_all() -> None:
    strings, labels = binary(200)
    model = ConvexSNNClassifier(widths=(100,), strengths=5).fit(strings, labels)
    strengths = [strength for strength, _, _ in model.path_]
    assert len(strengths) == 5 and strengths == sorted(strengths, reverse=True)
    best = max(right for _, _, right in model.path_)
    assert model.strength_ == max(strength for strength, _, right in model.path_ if right == best)
    alone = ConvexSNNClassifier(widths=(100,), strength=model.strength_).fit(strings, labels)
    assert alone.path_ is None
    assert np.array_equal(alone.coef_, model.coef_)


def test_probabilities_are_the_loss_s_own() -> None:
    strings, labels = binary()
    model = ConvexSNNClassifier(widths=(60,), strength=0.01, loss="logistic").fit(strings, labels)
    shares = model.predict_proba(strings)
    assert np.allclose(shares[:, 1], 1.0 / (1.0 + np.exp(-model.decision_function(strings))), atol=1e-12)
    assert np.allclose(shares.sum(1), 1.0)
    assert not hasattr(ConvexSNNClassifier(loss="hinge"), "predict_proba")


def test_weights_are_the_optimum_they_are_said_to_be() -> None:
    strings, labels = binary()
    model = ConvexSNNClassifier(widths=(60,), strength=0.02, tol=1e-8).fit(strings, labels)
    loss = -np.log(model.predict_proba(strings)[np.arange(len(labels)), (labels == "b").astype(int)]).mean()
    objective = loss + 0.02 * np.linalg.norm(model.coef_, axis=0).sum()
    assert abs(objective - model.certificate_.primal) < 1e-9
    assert model.certificate_.gap < 1e-7


def test_ten_classes_of_images() -> None:
    values, labels = load_digits(return_X_y=True)
    values = StandardScaler().fit_transform(values)
    model = ConvexSNNClassifier(strength=1e-3, tol=1e-2).fit(values[:600], labels[:600])
    assert model.score(values[600:1200], labels[600:1200]) > 0.85
    assert model.predict_proba(values[:7]).shape == (7, 10)


def test_it_takes_units_of_one_s_own() -> None:
    strings, labels = binary()
    body = gaussian_witness(3, (80,), seed=5)
    model = ConvexSNNClassifier(witnesses=body, strength=0.01).fit(strings, labels)
    assert model.features_.body is body and model.coef_.shape[1] == 80


def test_it_is_cloned_pickled_and_searched() -> None:
    strings, labels = binary()
    model = ConvexSNNClassifier(widths=(40,), strength=0.01).fit(strings, labels)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.decision_function(strings), model.decision_function(strings))
    assert clone(model).get_params() == model.get_params()
    search = GridSearchCV(model, {"strength": [0.3, 0.01]}, cv=2).fit(strings, labels)
    assert search.best_params_ == {"strength": 0.01}


def test_a_gap_that_is_not_reached_is_said() -> None:
    strings, labels = binary(60)
    with pytest.warns(ConvergenceWarning, match="above tol=1e-17"):
        ConvexSNNClassifier(widths=(40,), strength=0.01, tol=1e-17).fit(strings, labels)


def test_what_cannot_be_learned_is_refused() -> None:
    strings, labels = binary(30)
    with pytest.raises(ValueError, match=r"at least 2 classes; got 1 class\."):
        ConvexSNNClassifier().fit(strings, np.zeros(30))
    with pytest.raises(ValueError, match=r"The logistic loss tells 2 classes apart; got 3\. Take loss='softmax'\."):
        ConvexSNNClassifier(loss="logistic").fit(strings, np.arange(30) % 3)
    with pytest.raises(ValueError, match="expects read among last, count, every; got 'first'"):
        ConvexSNNClassifier(read="first").fit(strings, labels)
    with pytest.raises(ValueError, match=r"expects X \[samples, features\] or \[samples, time, features\]; got"):
        ConvexSNNClassifier().fit(strings[..., None], labels)


def test_samples_of_another_shape_than_in_fit_are_refused() -> None:
    values = np.random.default_rng(0).integers(0, 2, (40, 5, 2)).astype(float)
    model = ConvexSNNClassifier(strength=0.01, widths=(16,)).fit(values, values[:, 0, 0])
    for strange in (values[:, :, :1], values[:, :3]):
        with pytest.raises(ValueError, match=r"samples of shape \(5, 2\), as in fit|expecting 5 features"):
            model.predict(strange)
