"""Convex training of a spiking network behind the interface of scikit-learn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from ..blocks import SpikingNetwork
from ..encoders import Direct, Recorded
from ..neurons import LIF
from .certificate import certify
from .columns import Dictionary
from .features import Count, Feature, Spike, every_step
from .fit import Solution, fit_sparse, lambda_max
from .path import fit_path
from .reconstruct import ExactReadout, exact_readout, reconstruct
from .snapping import OnGrid
from .spike_features import SpikeFeatures, spike_dictionary
from .witnesses import gaussian_witness

Rows = NDArray[np.intp]
PROBABLE = ("softmax", "logistic")
BATCH = 1024
LEVELS = 2.0**-10
"""Step of analog inputs, as a share of the largest that was seen in fit."""


class ConvexSNNClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Spiking units with drawn weights, and a readout of them solved to the optimum with a certificate.

    Inputs [samples, features] are one step, or the same value at ``time_steps`` steps; inputs [samples, time, features]
    have steps of their own. What is not 0 or 1 is rounded to 2^-10 of the largest magnitude seen in ``fit``, and cut
    off there, so that a sample's scores do not depend on its batch, to the last bit. Scale your features first.

    Args:
        loss: "softmax" for any number of classes; "logistic", "hinge", "squared-hinge" or "smoothed-hinge" for two.
        penalty: "group" drops units for all classes together, "l1" single weights.
        strength: lambda; None tries ``strengths`` of them on a held-out share and fits all samples with the best.
        strengths: how many, geometrically from the smallest that makes all weights 0 to a thousandth of it.
        validation: share of the samples held out for that, in (0, 1).
        intercept: whether the readout has one; it is not penalised.
        widths: units of each layer, first to last.
        witnesses: units of your own, from trains to spikes, in the place of drawn ones.
        decay: of the drawn neurons' membrane.
        bias: spread of the drawn units' biases, in units of that of their weights.
        read: spikes of the "last" step, of "every" step, or their "count".
        time_steps: T for inputs without steps of their own.
        tol: relative duality gap.
        seed: of the units and of the split.

    Attributes:
        classes_: labels.
        coef_: [outputs, columns] of the dictionary, on the grid of exact scores.
        intercept_: [outputs].
        certificate_: of these weights, over this dictionary.
        path_: (lambda, solution, accuracy on the held-out share), strongest first; None if strength was given.
        strength_: lambda in use.
        features_: units, and what is read of them.
        sample_shape_: of one sample, without its batch.
        network_: the reconstructed network, without the units that are not read.

    Source:  arXiv 2605.08022; the interface is that of scikit-learn.

    >>> import numpy as np
    >>> strings = np.random.default_rng(0).integers(0, 2, (200, 6, 1)).astype(float)  # six bits, one a step
    >>> labels = np.where(strings[:, -1, 0] > strings[:, 0, 0], "rises", "does not")
    >>> model = ConvexSNNClassifier(strength=1e-3).fit(strings, labels)
    >>> model.score(strings, labels) > 0.95, model.certificate_.relative_gap <= 1e-3
    (True, True)
    """

    def __init__(
        self,
        *,
        loss: str = "softmax",
        penalty: str = "group",
        strength: float | None = None,
        strengths: int = 10,
        validation: float = 0.2,
        intercept: bool = True,
        widths: Sequence[int] = (512,),
        witnesses: nn.Module | None = None,
        decay: float = 0.9,
        bias: float = 1.0,
        read: Literal["last", "count", "every"] = "count",
        time_steps: int = 1,
        tol: float = 1e-3,
        seed: int = 0,
    ) -> None:
        self.loss, self.penalty, self.strength, self.strengths = loss, penalty, strength, strengths
        self.validation, self.intercept, self.widths, self.witnesses = validation, intercept, widths, witnesses
        self.decay, self.bias, self.read, self.time_steps = decay, bias, read, time_steps
        self.tol, self.seed = tol, seed

    def fit(self, X: Any, y: Any) -> ConvexSNNClassifier:  # noqa: N803  scikit-learn's name
        """Draw the units, solve the readout, and make the network.

        Raises:  ValueError: fewer than two classes, more than a loss can tell apart, or settings that do not fit.
        """
        X, y = validate_data(self, X, y, allow_nd=True, dtype=np.float64)  # noqa: N806
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        self._check_classes()
        self.features_ = self._features(X)
        self.sample_shape_ = X.shape[1:]
        values = _tensor(X)
        dictionary = self._spikes(values)
        self.path_ = self._path(dictionary, labels) if self.strength is None else None
        chosen = max(self.path_, key=lambda point: (point[2], point[0]))[0] if self.path_ else self.strength
        self.strength_ = float(chosen or 0.0)
        solution = fit_sparse(
            dictionary, self._targets(labels), **self._problem(), strength=self.strength_, tol=self.tol
        )
        self._keep(dictionary, labels, solution)
        return self

    def decision_function(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Scores of the readout: [samples, classes]; of two classes, [samples], above 0 for the second."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The class with the largest score."""
        largest = self._scores(X).argmax(axis=1)
        answers: NDArray[Any] = self.classes_[largest]
        return answers

    @available_if(lambda self: self.loss in PROBABLE)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """The loss's own model of probabilities: softmax of the scores."""
        scores = torch.from_numpy(self._scores(X))
        shares: NDArray[np.float64] = scores.softmax(1).numpy()
        return shares

    def to_module(self) -> SpikingNetwork:
        """The network, from inputs [batch, *] to scores [batch, classes], float64: those of this model, bit for bit.

        Its largest score is the prediction; of two classes and one output z, scores are 0 and z.
        """
        check_is_fitted(self)
        network: SpikingNetwork = self.network_
        return network

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.classifier_tags.multi_class = self.loss == "softmax"
        return tags

    def _check_classes(self) -> None:
        count = len(self.classes_)
        if count < 2:
            raise ValueError(f"ConvexSNNClassifier expects at least 2 classes; got {count} class.")
        if count > 2 and self.loss != "softmax":
            raise ValueError(
                f"Only binary classification is supported. The {self.loss} loss tells 2 classes apart; got {count}. "
                f"Take loss='softmax'."
            )

    def _features(self, X: NDArray[np.float64]) -> SpikeFeatures:  # noqa: N803
        if X.ndim not in (2, 3):
            raise ValueError(
                f"ConvexSNNClassifier expects X [samples, features] or [samples, time, features]; got {X.shape}."
            )
        has_steps = X.ndim == 3
        is_binary = bool(((X == 0) | (X == 1)).all())
        encoder = Recorded(time_steps=X.shape[1]) if has_steps else Direct(time_steps=self.time_steps)
        body = self.witnesses or gaussian_witness(
            X.shape[-1],
            self.widths,
            bias=self.bias,
            neuron=partial(LIF, decay=self.decay),
            grid=None if is_binary else _grid(float(np.abs(X).max())),
            seed=self.seed,
        )
        reads: dict[str, tuple[Feature, ...]] = {
            "last": (Spike(),),
            "count": (Count(),),
            "every": every_step(encoder.time_steps),
        }
        if self.read not in reads:
            raise ValueError(f"ConvexSNNClassifier expects read among {', '.join(reads)}; got {self.read!r}.")
        return SpikeFeatures(body, encoder=encoder, features=reads[self.read])

    def _spikes(self, values: torch.Tensor) -> Dictionary:
        try:
            return spike_dictionary(self.features_, values)
        except RuntimeError as error:
            if self.witnesses is None:
                raise
            raise ValueError(
                f"ConvexSNNClassifier expects witnesses that take trains of {values.shape[-1]} inputs a step, as X has "
                f"features; they fail: {error}"
            ) from error

    def _path(self, dictionary: Dictionary, labels: NDArray[np.intp]) -> list[tuple[float, Solution, float]]:
        if self.strengths < 1 or not 0.0 < self.validation < 1.0:
            raise ValueError(
                f"ConvexSNNClassifier expects strengths >= 1 and validation in (0, 1); got strengths={self.strengths} "
                f"and validation={self.validation}. strength= takes one lambda without a path."
            )
        rows = np.arange(len(labels))
        can_stratify = np.bincount(labels).min() >= 2 and round(self.validation * len(rows)) >= len(self.classes_)
        train, held = train_test_split(
            rows, test_size=self.validation, random_state=self.seed, stratify=labels if can_stratify else None
        )
        train, held = _with_all_classes(train, held, labels)
        seen, judge = dictionary.take_rows(train), dictionary.take_rows(held)
        # Where no unit ever fires it is 0, and any strength keeps all weights at 0.
        largest = lambda_max(seen, self._targets(labels[train]), **self._problem()) or 1.0
        strengths = largest * np.geomspace(1.0, 1e-3, self.strengths + 1)[1:]
        solutions = fit_path(seen, self._targets(labels[train]), **self._problem(), strengths=strengths, tol=self.tol)

        def right(solution: Solution) -> float:
            scores = _two_columns(exact_readout(solution)).scores(judge)
            return float((scores.argmax(axis=1) == labels[held]).mean())

        return [(strength, solution, right(solution)) for strength, solution in solutions.items()]

    def _problem(self) -> dict[str, Any]:
        classes = {"classes": len(self.classes_)} if self.loss == "softmax" else {}
        return {"loss": self.loss, "penalty": self.penalty, "intercept": self.intercept, **classes}

    def _targets(self, labels: NDArray[np.intp]) -> NDArray[np.intp]:
        return labels if self.loss == "softmax" else 2 * labels - 1

    def _keep(self, dictionary: Dictionary, labels: NDArray[np.intp], solution: Solution) -> None:
        encoder = self.features_.encoder
        assert encoder is not None
        exact = exact_readout(solution, largest=1 if self.features_.is_binary else encoder.time_steps)
        self.coef_, self.intercept_ = exact.weights.T, exact.intercept
        self.certificate_ = certify(
            dictionary,
            self._targets(labels),
            exact.weights,
            **self._problem(),
            strength=self.strength_,
            intercept_values=exact.intercept,
            dual_point=solution.dual_point,
        )
        self.network_ = reconstruct(self.features_, _two_columns(exact))

    def _scores(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, allow_nd=True, dtype=np.float64)  # noqa: N806
        if X.shape[1:] != self.sample_shape_:
            raise ValueError(
                f"ConvexSNNClassifier expects samples of shape {self.sample_shape_}, as in fit; got {X.shape[1:]}."
            )
        with torch.no_grad():
            scores = [self.network_(batch) for batch in torch.split(_tensor(X), BATCH)]
        found: NDArray[np.float64] = torch.cat(scores).numpy()
        return found


def _tensor(X: NDArray[np.float64]) -> torch.Tensor:  # noqa: N803
    return torch.from_numpy(X.astype(np.float32))  # a copy, as tensors cannot share memory that is read-only


def _grid(largest: float) -> OnGrid:
    limit = 2.0 ** math.ceil(math.log2(largest)) if largest > 0 else 1.0
    return OnGrid(step=limit * LEVELS, limit=limit)


def _with_all_classes(train: Rows, held: Rows, labels: Rows) -> tuple[Rows, Rows]:
    """The split with one sample of every class moved to the training part where it has none: rare ones may not."""
    missing = np.setdiff1d(labels[held], labels[train])
    moved = np.array([held[labels[held] == label][0] for label in missing], dtype=np.intp)
    rest = np.setdiff1d(held, moved)
    if not len(rest):
        raise ValueError(
            f"ConvexSNNClassifier expects samples to hold out beside one of every class; got {len(labels)} samples. "
            f"Pass strength=, which needs none."
        )
    return (np.concatenate([train, moved]), rest) if len(moved) else (train, held)


def _two_columns(readout: ExactReadout) -> ExactReadout:
    """One output z for two classes as the scores 0 and z."""
    if readout.weights.shape[1] > 1:
        return readout
    return ExactReadout(np.pad(readout.weights, ((0, 0), (1, 0))), np.pad(readout.intercept, (1, 0)))
