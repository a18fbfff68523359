"""One convex training problem: a dictionary, a loss, a penalty and the numbers that go with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .columns import Dictionary
from .dictionary import as_dictionary
from .losses import Floats, Loss, find_loss
from .penalties import Penalty, find_penalty

ClassWeight = Mapping[int, float] | Literal["balanced"] | None


@dataclass(frozen=True, kw_only=True)
class Problem:
    """minimise over W, b   sum_i a_i loss((D W)_i + b, y_i) + lambda * penalty(W) + ridge / 2 * |W|^2

    Attributes:
        dictionary: D, [n, P].
        loss: one of :mod:`spikebridge.convex.losses`.
        penalty: one of :mod:`spikebridge.convex.penalties`.
        targets: [n, C], as the loss encodes them.
        sample_weights: a, [n, 1], >= 0, sum 1.
        strength: lambda >= 0.
        ridge: >= 0.
        intercept: whether b is free; if not, it is 0.
    """

    dictionary: Dictionary
    loss: Loss
    penalty: Penalty
    targets: Floats
    sample_weights: Floats
    strength: float
    ridge: float = 0.0
    intercept: bool = False

    @classmethod
    def of(
        cls,
        dictionary: Any,
        targets: NDArray[Any],
        *,
        loss: str | Loss = "logistic",
        penalty: str | Penalty = "l1",
        strength: float = 0.0,
        intercept: bool = False,
        ridge: float = 0.0,
        sample_weight: NDArray[Any] | None = None,
        class_weight: ClassWeight = None,
        classes: int | None = None,
    ) -> Problem:
        """Check everything and put it together; arguments as of :func:`~spikebridge.convex.fit_sparse`.

        Raises:  ValueError, TypeError: whatever does not fit, with what was expected.
        """
        matrix = as_dictionary(dictionary)
        found = find_loss(loss)
        if classes is not None and not isinstance(classes, Integral):
            raise TypeError(f"fit_sparse expects classes to be a whole number or None; got {classes!r}.")
        encoded = found.encode(targets, classes)
        rows = matrix.shape[0]
        if len(encoded) != rows:
            raise ValueError(
                f"fit_sparse expects one target for each of the dictionary's {rows} rows; got {len(encoded)}. Rows "
                f"are samples, columns features."
            )
        for name, number in (("strength", strength), ("ridge", ridge)):
            if isinstance(number, bool) or not isinstance(number, Real):
                raise TypeError(f"fit_sparse expects {name} to be a number; got {number!r}.")
            if not 0.0 <= number < np.inf:
                raise ValueError(f"fit_sparse expects {name} >= 0 and finite; got {number}.")
        weights = _sample_weights(found, encoded, sample_weight, class_weight)
        if intercept and not found.has_minimum_without:
            _require_all_classes(found, encoded, weights)
        return cls(
            dictionary=matrix,
            loss=found,
            penalty=find_penalty(penalty),
            targets=encoded,
            sample_weights=weights,
            strength=float(strength),
            ridge=float(ridge),
            intercept=bool(intercept),
        )

    @property
    def outputs(self) -> int:
        """C."""
        return int(self.targets.shape[1])

    def with_strength(self, strength: float) -> Problem:
        """The same problem at another lambda."""
        return replace(self, strength=float(strength))

    def with_dictionary(self, dictionary: Dictionary) -> Problem:
        """The same problem over other columns."""
        return replace(self, dictionary=dictionary)

    def scores(self, weights: Floats, intercept: Floats) -> Floats:
        """D W + b: [n, C], from the rows of W that are not zero."""
        used = np.flatnonzero(weights.any(axis=1))
        return self.dictionary.matvec(weights[used], columns=used) + intercept

    def loss_value(self, scores: Floats) -> float:
        """The weighted mean of the loss."""
        return float(self.sample_weights[:, 0] @ self.loss.values(scores, self.targets))

    def penalty_value(self, weights: Floats) -> float:
        """Lambda * penalty(W) + ridge / 2 * |W|^2."""
        return self.strength * self.penalty.value(weights) + 0.5 * self.ridge * float(np.square(weights).sum())

    def residual(self, scores: Floats) -> Floats:
        """Minus the gradient of the weighted loss in the scores: [n, C]."""
        return self.sample_weights * self.loss.residual(scores, self.targets)

    def best_intercept(self, scores: Floats, start: Floats) -> Floats:
        """The best b for scores without it; 0 where it is not free."""
        if not self.intercept:
            return np.zeros(self.outputs)
        return self.loss.best_intercept(scores, self.targets, self.sample_weights, start)

    def checked(self, weights: NDArray[Any], intercept: NDArray[Any] | float | None) -> tuple[Floats, Floats | None]:
        """Weights as [P, C] and an intercept as [C], or None.

        Raises:  ValueError: another shape, NaN or infinity, or an intercept in a problem without one.
        """
        features, outputs = self.dictionary.shape[1], self.outputs
        array = np.asarray(weights, dtype=np.float64)
        if array.shape not in ((features, outputs), *([(features,)] if outputs == 1 else [])):
            raise ValueError(f"Expected weights [{features}, {outputs}], columns by outputs; got shape {array.shape}.")
        if not np.isfinite(array).all():
            raise ValueError("Expected finite weights; got NaN or infinity. See how they were trained.")
        if intercept is None:
            return array.reshape(features, outputs), None
        values = np.broadcast_to(np.asarray(intercept, dtype=np.float64), (outputs,)).copy()
        if not np.isfinite(values).all():
            raise ValueError("Expected a finite intercept; got NaN or infinity.")
        if values.any() and not self.intercept:
            raise ValueError(f"Expected no intercept, as intercept=False; got {values}. Pass intercept=True.")
        return array.reshape(features, outputs), values


def _sample_weights(loss: Loss, targets: Floats, samples: NDArray[Any] | None, classes: ClassWeight) -> Floats:
    weights = np.ones(len(targets)) if samples is None else np.array(samples, dtype=np.float64)
    if weights.shape != (len(targets),) or not np.isfinite(weights).all() or weights.min() < 0.0:
        raise ValueError(
            f"fit_sparse expects sample_weight [{len(targets)}], finite and >= 0; got shape {weights.shape}"
            + (f", smallest {weights.min()}." if weights.size else ".")
        )
    if classes is not None:
        weights = _as_shares(weights) * _as_shares(_class_weights(loss, targets, classes))
    if not weights.any():
        raise ValueError("fit_sparse expects a sample_weight above 0 for one sample at least; all are 0.")
    shares = _as_shares(weights)
    return np.asarray(shares / shares.sum())[:, None]


def _as_shares(weights: Floats) -> Floats:
    """Of the largest, so that no product or sum of them overflows."""
    return np.asarray(weights / max(float(weights.max()), np.finfo(np.float64).tiny))


def _class_weights(loss: Loss, targets: Floats, classes: Mapping[int, float] | str) -> Floats:
    if not loss.is_classification:
        raise ValueError(f"The {loss.name} loss has no classes; got class_weight={classes!r}. Use sample_weight.")
    labels = loss.labels(targets)
    names = [-1, 1] if targets.shape[1] == 1 else list(range(targets.shape[1]))
    if classes == "balanced":
        counts = np.bincount(labels, minlength=len(names))
        return np.asarray((1.0 / np.maximum(counts, 1))[labels])
    if not isinstance(classes, Mapping) or not set(classes) <= set(names) or not _are_weights(classes):
        raise ValueError(
            f"fit_sparse expects class_weight 'balanced' or {{class: weight}}, finite weights >= 0 of {names}; got "
            f"{classes!r}."
        )
    return np.array([float(classes.get(name, 1.0)) for name in names])[labels]


def _are_weights(classes: Mapping[int, float]) -> bool:
    return all(0.0 <= weight < np.inf for weight in classes.values())


def _require_all_classes(loss: Loss, targets: Floats, weights: Floats) -> None:
    names = [-1, 1] if targets.shape[1] == 1 else list(range(targets.shape[1]))
    seen = set(loss.labels(targets)[weights[:, 0] > 0.0].tolist())
    missing = [name for place, name in enumerate(names) if place not in seen]
    if missing:
        raise ValueError(
            f"The {loss.name} loss with a free intercept has no minimum where a class has no sample (its intercept "
            f"falls for ever); got none of class {', '.join(map(str, missing))}. Add samples or set intercept=False."
        )
