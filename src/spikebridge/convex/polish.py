"""The head of a trained network, solved anew with a proof, and pruned."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from .answers import Reset, pairs, share_right
from .certificate import Certificate, certify
from .dictionary import Dictionary, as_dictionary
from .fit import fit_sparse, lambda_max
from .heads import Head, Seen, answers_as, find_head, see
from .polished import Polished, PolishedHead, Weights
from .shrink import picking, shrunk, with_head


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
    heads on these features. The objective on training data is never above the old head's at any lambda. All of it is
    of weights in the network's own type; sums over them are taken as exact, which those of a bfloat16 network are not.

    Among the heads whose validation accuracy is at least the old head's, the one that is right most often is taken; of
    equals, the one with fewer inputs, then with the smaller log-loss. The network with the new head must be as often
    right too; else the next one is tried. If there is none, the network keeps its head.
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

    Raises:  ValueError: no batch, a head that is not linear, targets that are no classes of it, a class without
        training samples, no strength, a head that does more than answer. TypeError: strengths that are one number.
    Source:  the convex head is that of arXiv 2605.08022; polishing trained networks is an addition.

    >>> body = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    >>> values = torch.randn(200, 4)
    >>> batches = [(values, (values[:, 0] > 0).long())]
    >>> polished = polish(body, batches, batches, strengths=[0.01])
    >>> polished.replaced, polished.path[0].objective <= polished.path[0].old_objective
    (True, True)
    """
    train, validation = _kept(train), _kept(validation)
    found = find_head(model, train, name=head, reset=reset)
    seen, judged = see(model, found, train, reset=reset), see(model, found, validation, reset=reset)
    _check_targets(seen, judged, found)
    path = list(_path(seen, judged, found, penalty=penalty, strengths=strengths, tol=tol))
    accuracy, log_loss = _judged(judged, judged.logits)
    result, chosen, smaller = copy.deepcopy(model), None, None
    reason = "No head of the path is as often right on validation data as the old one, which stays."
    good = [place for place, point in enumerate(path) if point.accuracy >= accuracy and len(point.kept)]
    for place in sorted(good, key=lambda place: path[place].rank):
        other, lost = _replaced(model, found, path[place], train, validation, reset=reset)
        path[place] = replace(path[place], accuracy=share_right(other, validation, reset=reset))
        if path[place].accuracy >= accuracy:
            result, chosen, smaller = other, path[place], lost
            reason = f"{len(chosen.kept)} of {found.layer.in_features} inputs are read; the body is as it was."
            reason += f" '{smaller}' lost the units behind the others." if smaller else ""
            break
    return Polished(
        model=result,
        chosen=chosen,
        path=tuple(path),
        head=found.name,
        inputs=found.layer.in_features,
        old_accuracy=accuracy,
        old_log_loss=log_loss,
        smaller=smaller,
        reason=reason,
    )


def _kept(batches: Iterable[Any]) -> Iterable[Any]:
    """Batches that can be gone through more than once."""
    return batches if hasattr(batches, "__len__") else list(batches)


def _check_targets(seen: Seen, judged: Seen, head: Head) -> None:
    classes = head.layer.out_features
    if classes < 2:
        raise ValueError(
            f"polish expects a head with an output for each class, two at least; '{head.name}' has {classes}. One "
            f"logit z for two classes is the same as the two outputs 0 and z."
        )
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
    missing = sorted(set(range(classes)) - set(seen.targets.tolist()))
    if missing and head.layer.bias is not None:
        raise ValueError(
            f"polish expects training samples of every class of a head with a bias, whose best value for a class "
            f"without any is minus infinity; got none of class {', '.join(map(str, missing))}. Add samples of them, or "
            f"take a head with bias=False."
        )


def _old(head: Head) -> tuple[Weights, Weights]:
    weight = head.layer.weight.detach().cpu().double().numpy().T
    bias = head.layer.bias
    if bias is None:
        return weight, np.zeros(weight.shape[1])
    return weight, head.bias_share * bias.detach().cpu().double().numpy()


def _path(
    seen: Seen,
    judged: Seen,
    head: Head,
    *,
    penalty: Literal["group", "l1"],
    strengths: int | Sequence[float],
    tol: float,
) -> tuple[PolishedHead, ...]:
    problem: dict[str, Any] = {"loss": "softmax", "penalty": penalty, "classes": head.layer.out_features}
    problem["intercept"] = head.layer.bias is not None
    path, before, columns = [], _old(head), as_dictionary(seen.features)
    for strength in sorted(_strengths(strengths, columns, seen.targets, problem), reverse=True):
        point = _point(columns, seen.targets, judged, head, before, tol=tol, **problem, strength=strength)
        path.append(point)
        before = (point.weights, point.intercept)
    return tuple(path)


def _strengths(
    strengths: int | Sequence[float], columns: Dictionary, targets: NDArray[Any], problem: dict[str, Any]
) -> list[float]:
    if isinstance(strengths, Real) and not isinstance(strengths, Integral):
        raise TypeError(
            f"polish expects strengths to be how many, or a list of them; got {strengths}: strengths=[{strengths}]."
        )
    if not isinstance(strengths, (int, Integral)):
        given = [float(strength) for strength in strengths]
        if not given or not all(0.0 < strength < math.inf for strength in given):
            raise ValueError(f"polish expects finite strengths > 0; got {given}.")
        return given
    if strengths < 1:
        raise ValueError(f"polish expects at least one strength; got {strengths}.")
    largest = lambda_max(columns, targets, **problem)
    if largest == 0.0:
        raise ValueError(
            "polish expects features that differ between samples; what arrives at the head is the same for all. Are "
            "the units before it silent?"
        )
    return [float(value) for value in largest * np.geomspace(0.3, 3e-4, int(strengths))]


def _point(
    columns: Dictionary,
    targets: NDArray[Any],
    judged: Seen,
    head: Head,
    before: tuple[Weights, Weights],
    *,
    tol: float,
    **problem: Any,
) -> PolishedHead:
    """The best head, from the better of two starts; the old one if it is still lower than what is found.

    In numbers of the layer's own type: the certificate is of what the network will hold.
    """

    def objective(numbers: tuple[Weights, Weights], dual_point: Weights | None = None) -> Certificate:
        weights, intercept = numbers
        return certify(columns, targets, weights, intercept_values=intercept, dual_point=dual_point, **problem)

    old = _old(head)
    was = objective(old)
    start = before if objective(before).primal < was.primal else old
    solution = fit_sparse(columns, targets, tol=tol, warm_start=start, **problem)
    new = head.rounded(solution.weights, np.asarray(solution.intercept))
    certificate = objective(new, solution.dual_point)
    if certificate.primal > was.primal:
        new, certificate = old, objective(old, solution.dual_point)
    accuracy, log_loss = _judged(judged, judged.features @ new[0] + new[1])
    return PolishedHead(
        strength=problem["strength"],
        weights=new[0],
        intercept=new[1],
        certificate=certificate,
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
    model: nn.Module,
    head: Head,
    point: PolishedHead,
    train: Iterable[Any],
    validation: Iterable[Any],
    *,
    reset: Reset | None,
) -> tuple[nn.Module, str | None]:
    """A copy with the new head, and the layer that is smaller; both are held to what the weights say."""

    def is_right(result: nn.Module) -> bool:
        return answers_as(result, model, head, (point.weights, point.intercept), validation, reset=reset)

    bias = torch.from_numpy(point.intercept) / head.bias_share if head.layer.bias is not None else None
    result = with_head(model, head.name, torch.from_numpy(point.weights).T, bias)
    if not is_right(result):
        raise ValueError(
            f"polish expects a head that is the last thing a network does; with other weights in '{head.name}' the "
            f"network's answers are not those of the new head, so it does more: it may be called before the end too, "
            f"or share its weights. Name another layer with head=."
        )
    if len(point.kept) == head.layer.in_features:
        return result, None
    kept = torch.from_numpy(point.kept).to(head.layer.weight.device)
    values, _ = next(pairs(train))
    smaller, maker = shrunk(result, head.name, kept, values, reset=reset)
    return (smaller, maker) if maker is None or is_right(smaller) else (picking(result, head.name, kept), None)
