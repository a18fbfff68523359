"""The head of a trained network, solved anew with a proof, and pruned."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .certificate import Certificate, certify
from .fit import Solution, fit_sparse, lambda_max
from .heads import Head, Reset, Seen, find_head, see
from .shrink import shrunk, with_head

Weights = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PolishedHead:
    """One strength of the penalty: the best head there, beside the old one.

    Attributes:
        strength: lambda.
        weights: [inputs, classes] of the new head.
        intercept: [classes]; zeros for a head without bias.
        certificate: of the new head.
        old_objective: mean loss + lambda * penalty of the old head.
        accuracy: of the new head on validation data.
        log_loss: likewise, in nats.
    """

    strength: float
    weights: Weights
    intercept: Weights
    certificate: Certificate
    old_objective: float
    accuracy: float
    log_loss: float

    @property
    def objective(self) -> float:
        """Mean loss + lambda * penalty of the new head, on training data."""
        return self.certificate.primal

    @property
    def old_excess(self) -> float:
        """What the old head is proven to lie above the best one, at least."""
        return max(0.0, self.old_objective - self.certificate.primal)

    @property
    def kept(self) -> NDArray[np.intp]:
        """The inputs that are read: rows of weights that are not all zero."""
        return np.flatnonzero(np.any(self.weights != 0.0, axis=1))


@dataclass(frozen=True, kw_only=True)
class Polished:
    """What :func:`polish` found; printing it gives the whole path.

    Attributes:
        model: the network with the chosen head, or a copy of the given one.
        chosen: the head in it; None if the old one stayed.
        path: all heads, strongest penalty first.
        head: the layer's name.
        inputs: how many it had.
        old_accuracy: of the old head on validation data.
        old_log_loss: likewise.
        smaller: the layer that lost the units that nobody reads; None where the head alone reads fewer.
        reason: why this head.
    """

    model: nn.Module
    chosen: PolishedHead | None
    path: tuple[PolishedHead, ...]
    head: str
    inputs: int
    old_accuracy: float
    old_log_loss: float
    smaller: str | None
    reason: str

    @property
    def replaced(self) -> bool:
        """Whether the network has a new head."""
        return self.chosen is not None

    @property
    def certificate(self) -> Certificate | None:
        """Of the new head."""
        return None if self.chosen is None else self.chosen.certificate

    def __str__(self) -> str:
        rows = [("", "strength", "objective", "gap", "old head", "inputs", "accuracy", "log-loss")]
        rows += [
            (
                "->" if point is self.chosen else "",
                f"{point.strength:.3g}",
                f"{point.objective:.6g}",
                f"{point.certificate.relative_gap:.1e}",
                f"+{point.old_excess:.3g}",
                f"{len(point.kept)}",
                f"{100 * point.accuracy:.2f} %",
                f"{point.log_loss:.4f}",
            )
            for point in self.path
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        old = f"old head '{self.head}': {self.inputs} inputs, {100 * self.old_accuracy:.2f} %, {self.old_log_loss:.4f}"
        return "\n".join([*lines, old, self.reason])


def polish(
    model: nn.Module,
    train: Iterable[Any],
    validation: Iterable[Any],
    *,
    head: str | None = None,
    penalty: Literal["group", "l1"] = "group",
    strengths: int | Sequence[float] = 12,
    tol: float = 1e-4,
    reset: Reset | None = None,
) -> Polished:
    """Train the last layer of a trained network to the optimum, prove it, and drop the units that it does not need.

    What arrives at the head is kept for all samples; then for each lambda of a path, starting at the old head,

        minimise over W, b   (1 / n) sum_i cross-entropy(W' f_i + b, y_i) + lambda * penalty(W)

    and a duality gap says how far from the optimum that can be. The body is not touched, so "optimum" means: of all
    heads on these features. The objective on training data is never above the old head's at any lambda.

    Among the heads whose validation accuracy is at least the old head's, the one that is right most often is taken; of
    equals, the one with fewer inputs, then with the smaller log-loss. If there is none, the network keeps its head.
    What is chosen on validation data looks better there than it is: take other data to report it.

    Args:
        model: a trained classifier, spiking or not, of any library: the answer must be linear in what arrives at its
            last linear layer, or the mean, sum or last of that over steps. It is left as it was.
        train: batches (values, targets), such as a DataLoader; targets are classes 0, 1, ...
        validation: batches that were not trained on.
        head: the layer's name; None takes the linear layer that is called last.
        penalty: "group" drops inputs for all classes together, "l1" single weights.
        strengths: values of lambda; a number n takes n of them, from 0.3 to 0.0003 of the one at which all weights
            become 0.
        tol: relative duality gap to reach.
        reset: called before each batch on a network that keeps its state in itself, such as
            ``spikingjelly.activation_based.functional.reset_net``.

    Raises:  ValueError: no batch, a head that is not linear, targets that are no classes of it, no strength.
    Source:  the convex head is that of arXiv 2605.08022; polishing trained networks is an addition.

    >>> body = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    >>> values = torch.randn(200, 4)
    >>> batches = [(values, (values[:, 0] > 0).long())]
    >>> polished = polish(body, batches, batches, strengths=[0.01])
    >>> polished.replaced, polished.path[0].objective <= polished.path[0].old_objective
    (True, True)
    """
    first, train = _first(train)
    found = find_head(model, first, name=head, reset=reset)
    seen, judged = see(model, found, train, reset=reset), see(model, found, validation, reset=reset)
    _check_targets(seen, judged, found)
    has_bias = found.layer.bias is not None
    path = _path(seen, judged, _old(found), has_bias=has_bias, penalty=penalty, strengths=strengths, tol=tol)
    accuracy, log_loss = _judged(judged, judged.logits)
    good = [point for point in path if point.accuracy >= accuracy and len(point.kept)]
    best = min(good, key=lambda point: (-point.accuracy, len(point.kept), point.log_loss), default=None)
    if best is None:
        result, smaller = copy.deepcopy(model), None
        reason = "No head of the path is as often right on validation data as the old one, which stays."
    else:
        result, smaller = _replaced(model, found, best, first, reset=reset)
        reason = f"{len(best.kept)} of {found.layer.in_features} inputs are read; the body is as it was."
        reason += f" '{smaller}' lost the units behind the others." if smaller else ""
    return Polished(
        model=result,
        chosen=best,
        path=path,
        head=found.name,
        inputs=found.layer.in_features,
        old_accuracy=accuracy,
        old_log_loss=log_loss,
        smaller=smaller,
        reason=reason,
    )


def _first(batches: Iterable[Any]) -> tuple[Any, Iterable[Any]]:
    """The values of the first batch, and the batches, which may be an iterator."""
    kept = batches if hasattr(batches, "__len__") else list(batches)
    for batch in kept:
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:
            raise ValueError(f"polish expects batches (values, targets); got {type(batch).__name__}.")
        return batch[0], kept
    raise ValueError("polish expects at least one batch (values, targets); the loader yields nothing.")


def _check_targets(seen: Seen, judged: Seen, head: Head) -> None:
    classes = head.layer.out_features
    for part in (seen, judged):
        targets = part.targets
        if targets.ndim != 1 or targets.dtype.kind not in "iu":
            raise ValueError(
                f"polish expects targets [batch] of whole numbers; got {targets.dtype} of shape {targets.shape}."
            )
        if targets.min() < 0 or targets.max() >= classes:
            raise ValueError(
                f"polish expects classes 0 to {classes - 1}, as '{head.name}' has outputs; got {targets.min()} to "
                f"{targets.max()}."
            )


def _old(head: Head) -> tuple[Weights, Weights]:
    weight = head.layer.weight.detach().double().cpu().numpy().T
    bias = head.layer.bias
    if bias is None:
        return weight, np.zeros(weight.shape[1])
    return weight, head.bias_share * bias.detach().double().cpu().numpy()


def _path(
    seen: Seen,
    judged: Seen,
    old: tuple[Weights, Weights],
    *,
    has_bias: bool,
    penalty: Literal["group", "l1"],
    strengths: int | Sequence[float],
    tol: float,
) -> tuple[PolishedHead, ...]:
    problem: dict[str, Any] = {"loss": "softmax", "penalty": penalty, "classes": old[0].shape[1]}
    path = []
    before: tuple[Weights, Weights] = old
    for strength in sorted(_strengths(strengths, seen, {**problem, "intercept": has_bias}), reverse=True):
        settings = {**problem, "strength": strength, "intercept": has_bias}
        solution = fit_sparse(seen.features, seen.targets, **settings, tol=tol, warm_start=before)
        was = certify(seen.features, seen.targets, old[0], intercept_values=old[1], **settings)
        path.append(_point(solution, was, judged, strength))
        before = (solution.weights, solution.intercept)
    return tuple(path)


def _strengths(strengths: int | Sequence[float], seen: Seen, problem: dict[str, Any]) -> list[float]:
    if not isinstance(strengths, int):
        given = [float(strength) for strength in strengths]
        if not given or min(given) <= 0.0:
            raise ValueError(f"polish expects strengths > 0; got {given}.")
        return given
    if strengths < 1:
        raise ValueError(f"polish expects at least one strength; got {strengths}.")
    largest = lambda_max(seen.features, seen.targets, **problem)
    if largest == 0.0:
        raise ValueError(
            "polish expects features that differ between samples; what arrives at the head is the same for all. Are "
            "the units before it silent?"
        )
    return [float(value) for value in largest * np.geomspace(0.3, 3e-4, strengths)]


def _point(solution: Solution, was: Certificate, judged: Seen, strength: float) -> PolishedHead:
    logits = judged.features @ solution.weights + solution.intercept
    accuracy, log_loss = _judged(judged, logits)
    return PolishedHead(
        strength=strength,
        weights=solution.weights,
        intercept=np.asarray(solution.intercept),
        certificate=solution.certificate,
        old_objective=was.primal,
        accuracy=accuracy,
        log_loss=log_loss,
    )


def _judged(seen: Seen, logits: Weights) -> tuple[float, float]:
    """Accuracy and mean log-loss in nats."""
    answers = torch.from_numpy(logits)
    targets = torch.from_numpy(seen.targets).long()
    right = (answers.argmax(1) == targets).double().mean().item()
    return right, nn.functional.cross_entropy(answers, targets).item()


def _replaced(
    model: nn.Module, head: Head, point: PolishedHead, values: Any, *, reset: Reset | None
) -> tuple[nn.Module, str | None]:
    bias = torch.from_numpy(point.intercept) / head.bias_share if head.layer.bias is not None else None
    result = with_head(model, head.name, torch.from_numpy(point.weights).T, bias)
    if len(point.kept) == head.layer.in_features:
        return result, None
    device = head.layer.weight.device
    return shrunk(result, head.name, torch.from_numpy(point.kept).to(device), values, reset=reset)
