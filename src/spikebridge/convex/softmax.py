"""Cross-entropy of a softmax over two or more classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .grid import cut, lowered
from .intercept import by_newton
from .losses import Floats, Loss, finite_targets
from .margins import entropy_of_rest, entropy_terms, parabola_above

MOST_CLASSES = 2**16
"""More of them are names of some other kind, taken for classes."""

SLACK = 1.0 - 2.0**-45
"""Brings the sum of a row's flows below its weight where rounding has left it above."""


class Softmax(Loss):
    """loss(z, y) = log sum_c exp(z_c) - z_y;  residual r = e_y - p;  dual: entropy of e_y - r, in nats.

    p = softmax(z); the domain is e_y - r in the simplex. Encoded targets are the rows e_y.

    >>> Softmax().values(np.zeros((1, 3)), np.eye(3)[:1]).round(4).tolist()
    [1.0986]
    """

    name = "softmax"
    has_minimum_without = False
    smoothness = 0.5

    def encode(self, targets: NDArray[Any], classes: int | None) -> Floats:
        array = finite_targets(targets, loss=self.name)
        if array.ndim != 1 or array.dtype == np.bool_ or (array != np.floor(array)).any():
            raise ValueError(
                f"The softmax loss expects targets [samples] that are classes 0, 1, ...; got {array.dtype} of shape "
                f"{array.shape}."
            )
        count = classes if classes is not None else int(max(array.max() + 1, 2))
        if array.min() < 0 or array.max() >= count or count < 2:
            raise ValueError(
                f"The softmax loss expects classes 0 to {count - 1}, two at least; got {array.min():g} to "
                f"{array.max():g}. Classes -1 and 1 take loss='logistic'."
            )
        if count > MOST_CLASSES:
            raise ValueError(
                f"The softmax loss expects at most {MOST_CLASSES} classes; got targets of up to {array.max():g}, which "
                f"counts as {count}. Number the classes 0, 1, ...: numpy.unique(targets, return_inverse=True)[1]."
            )
        encoded = np.zeros((len(array), count))
        encoded[np.arange(len(array)), array.astype(np.intp)] = 1.0
        return encoded

    def values(self, scores: Floats, targets: Floats) -> Floats:
        shifted = scores - scores.max(axis=1, keepdims=True)
        own = (shifted * targets).sum(axis=1)
        others = (np.exp(shifted) * (1.0 - targets)).sum(axis=1)
        # log1p keeps small losses exact; where another class is ahead the loss is not small.
        return np.asarray(np.where(own == 0.0, np.log1p(others), np.log(np.exp(own) + others) - own))

    def residual(self, scores: Floats, targets: Floats) -> Floats:
        return _from_flows(self.shares(scores) * (1.0 - targets), targets)

    def curvature(self, scores: Floats, targets: Floats) -> Floats:
        shares = self.shares(scores)
        return shares * (1.0 - shares)

    def curvature_above(self, scores: Floats, targets: Floats) -> Floats:
        """In the score of one class: that of log(1 + exp(z)) at the log-odds of the class."""
        shares = np.clip(self.shares(scores), 1e-300, 1.0 - 1e-16)
        return parabola_above(np.log(shares) - np.log1p(-shares))

    def bound_curvature(self, scores: Floats, targets: Floats) -> Floats:
        """A diagonal that stands above diag(p) - p p' nearly everywhere: the smaller of p and 2 p (1 - p)."""
        shares = self.shares(scores)
        return np.minimum(shares, 2.0 * shares * (1.0 - shares))

    def curved(self, scores: Floats, targets: Floats, directions: Floats) -> Floats:
        """Second derivative times a direction, sample by sample:  p (d - p . d)."""
        shares = self.shares(scores)
        return np.asarray(shares * (directions - (shares * directions).sum(axis=1, keepdims=True)))

    def dual_values(self, residuals: Floats, targets: Floats) -> Floats:
        own = (residuals * targets).sum(axis=1)
        others = entropy_terms(-residuals * (1.0 - targets)).sum(axis=1)
        return np.asarray(entropy_of_rest(own) + others)

    def into_domain(self, dual: Floats, targets: Floats, weights: Floats, quantum: float) -> Floats:
        flows = np.maximum(0.0, -dual) * (1.0 - targets)
        total = flows.sum(axis=1, keepdims=True)
        room = np.minimum(1.0, weights / np.maximum(total, np.finfo(np.float64).tiny))
        flows = cut(flows * room, quantum)
        too_much = flows.sum(axis=1) > weights[:, 0]
        flows[too_much] = cut(SLACK * flows[too_much], quantum)
        return _from_flows(flows, targets)

    def balanced(self, dual: Floats, targets: Floats, weights: Floats, quantum: float) -> Floats:
        """Cut flows between classes until as much leaves every class as enters it."""
        flows = np.maximum(0.0, -dual)
        labels = self.labels(targets)
        net = dual.sum(axis=0)
        for leaving in np.flatnonzero(net > 0.0):
            rows = np.flatnonzero(labels == leaving)
            for entering in np.flatnonzero(net < 0.0):
                amount = min(net[leaving], -net[entering], flows[rows, entering].sum())
                flows[rows, entering] = lowered(flows[rows, entering], amount)
                net[leaving] -= amount
                net[entering] += amount
        if net.any():
            _cut_to_pairs(flows, labels)
        return _from_flows(flows, targets)

    def best_intercept(self, scores: Floats, targets: Floats, weights: Floats, start: Floats) -> Floats:
        def hessian(at: Floats) -> Floats:
            shares = self.shares(at)
            weighted = weights * shares
            return np.asarray(np.diag(weighted.sum(axis=0)) - shares.T @ weighted)

        return by_newton(self, scores, targets, weights, start, hessian=hessian)

    def labels(self, targets: Floats) -> NDArray[np.intp]:
        return np.asarray(targets.argmax(axis=1))

    @staticmethod
    def shares(scores: Floats) -> Floats:
        """P = softmax(z), row by row."""
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _from_flows(flows: Floats, targets: Floats) -> Floats:
    return np.asarray(targets * flows.sum(axis=1, keepdims=True) - flows)


def _cut_to_pairs(flows: Floats, labels: NDArray[np.intp]) -> None:
    """In place: from class to class no more than comes back. Always possible, and far from tight."""
    members = [np.flatnonzero(labels == label) for label in range(flows.shape[1])]
    for one in range(flows.shape[1]):
        for other in range(one):
            there, back = flows[members[one], other], flows[members[other], one]
            surplus = there.sum() - back.sum()
            flows[members[one], other] = lowered(there, max(0.0, surplus))
            flows[members[other], one] = lowered(back, max(0.0, -surplus))
