"""The last linear layer of a trained network, and what arrives at it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .answers import Reset, answer_of, logits_of, pairs, watched

TOLERANCE, ROUNDINGS = 1e-4, 8.0
"""Largest difference between a network's answer and that of its head, relative to the largest logit: this, or so many
roundings of the network's own type where that is coarser."""


class Head(NamedTuple):
    """The linear layer that a network ends in.

    Attributes:
        name: as in ``model.named_modules()``.
        layer: the layer itself.
        over: what stands between the layer and the answer when it sees several steps: "mean", "sum" or "last";
            "once" if it sees one.
        steps: how many steps it sees.
        is_batch_first: whether the steps of a sample are neighbours in what the layer gets.
    """

    name: str
    layer: nn.Linear
    over: str
    steps: int
    is_batch_first: bool

    @property
    def bias_share(self) -> float:
        """How often the answer has the layer's bias in it."""
        return float(self.steps) if self.over == "sum" else 1.0

    def answers(self, features: Tensor) -> Tensor:
        """[samples, classes] to what arrives, [samples, inputs]."""
        answers = features @ self.layer.weight.T
        return answers if self.layer.bias is None else answers + self.bias_share * self.layer.bias

    def rounded(
        self, weights: NDArray[np.float64], intercept: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights [inputs, classes] and intercept [classes] as numbers of the layer's own type can say them."""
        kind = self.layer.weight.dtype
        held = (torch.from_numpy(part).to(kind).double() for part in (weights, intercept / self.bias_share))
        weight, bias = (part.numpy() for part in held)
        return weight, self.bias_share * bias


@dataclass(frozen=True)
class Seen:
    """What a network's head receives and answers, over a data set.

    Attributes:
        features: [samples, inputs], the inputs of the head after mean, sum or last over its steps.
        logits: [samples, classes], the network's answers.
        targets: [samples].
    """

    features: NDArray[np.float64]
    logits: NDArray[np.float64]
    targets: NDArray[Any]


def find_head(model: nn.Module, batches: Iterable[Any], *, name: str | None = None, reset: Reset | None = None) -> Head:
    """The last linear layer, checked: the answer must be linear in what arrives at it.

    Candidates for what happens over steps are tried on one batch, and the one that gives the network's answer is the
    one; if several do, as where all units are silent, more batches decide. The steps may come as a loop of calls,
    folded into the batch, or as an axis; time first or batch first.

    Args:
        model: a classifier, [batch, *unit] -> [batch, classes]; answers [time, batch, classes] count as their mean.
        batches: (values, targets).
        name: of the layer; None takes the linear layer called last.
        reset: clears the state of a network that keeps it in itself.

    Raises:  ValueError: no batch, no linear layer, or none of this name; weights that are computed from others; an
        answer that is not finite, or not linear in what arrives; a network that keeps a state from batch to batch.
    """
    candidates = _linear_layers(model, name)
    found, left = "", list[Head]()
    for values, _ in pairs(batches):
        answer, calls = watched(model, candidates, values, reset=reset)
        logits = logits_of(answer)
        if not logits.isfinite().all():
            raise ValueError(f"The answers of {type(model).__name__} are not all finite; see its own training first.")
        if not found:
            _require_no_memory(model, values, logits, reset=reset)
            if not calls:
                raise ValueError("polish expects the network's forward to call its linear layers; none was called.")
            found = name or next(reversed(calls))
            _require_own_weights(found, candidates[found])
            left = [head for head, _ in _readings(found, candidates[found], calls[found], len(logits))]
        fits = [
            head._replace(steps=0)
            for head, features in _readings(found, candidates[found], calls[found], len(logits))
            if _is_same(head.answers(features), logits)
        ]
        left = [head for head in left if head._replace(steps=0) in fits]
        if len(left) < 2:
            break
    if not left:
        raise ValueError(
            f"polish expects an answer that is linear in what arrives at the head; that of {type(model).__name__} is "
            f"not the output of '{found}', nor its mean, sum or last over steps. Cut off what follows (a neuron, a "
            f"softmax), or name another layer with head=."
        )
    return left[0]


def _linear_layers(model: nn.Module, name: str | None) -> dict[str, nn.Linear]:
    """Those that may be the head."""
    layers = {key: part for key, part in model.named_modules() if isinstance(part, nn.Linear)}
    if name is not None and name not in layers:
        known = ", ".join(f"'{key}'" for key in layers) or "none"
        raise ValueError(f"polish expects head to name an nn.Linear of the network; got '{name}'. It has {known}.")
    if not layers:
        raise ValueError(
            f"polish expects a network that ends in an nn.Linear; {type(model).__name__} has none. A convolution as a "
            f"head can be written as one."
        )
    return {name: layers[name]} if name else layers


def _require_own_weights(name: str, layer: nn.Linear) -> None:
    if "weight" not in dict(layer.named_parameters(recurse=False)):
        raise ValueError(
            f"polish expects a head whose weights are parameters; those of '{name}' are computed from others (a weight "
            f"norm, torch's pruning). Make them its own first, by torch.nn.utils.parametrize.remove_parametrizations, "
            f"torch.nn.utils.remove_weight_norm or torch.nn.utils.prune.remove."
        )


def _require_no_memory(model: nn.Module, values: Any, logits: Tensor, *, reset: Reset | None) -> None:
    """Refuse a network whose answer depends on what it saw before: the forgotten reset."""
    if isinstance(values, Tensor):
        answer_of(model, values.flip(0), reset=reset)
    _require_same(model, values, logits, reset=reset)


def _require_same(model: nn.Module, values: Any, logits: Tensor, *, reset: Reset | None) -> None:
    if not torch.equal(answer_of(model, values, reset=reset), logits):
        raise ValueError(
            f"{type(model).__name__} answers otherwise when it sees a batch again: it keeps a state. Pass reset=, such "
            f"as spikingjelly.activation_based.functional.reset_net, or a function that calls its own reset, or seeds "
            f"the generator of its code."
        )


def see(model: nn.Module, head: Head, batches: Iterable[Any], *, reset: Reset | None = None) -> Seen:
    """Run a network over batches of (values, targets) and keep what arrives at its head.

    Raises:  ValueError: no batch, batches without targets or with too few, features that are not finite, answers
        that are not the head's to what arrives, or a network that answers the first batch otherwise after the last.
    """
    first: Any = None
    features: list[Tensor] = []
    answers: list[Tensor] = []
    targets: list[Tensor] = []
    for values, wanted in pairs(batches):
        answer, calls = watched(model, {head.name: head.layer}, values, reset=reset)
        logits = logits_of(answer)
        arrived = _reduced(calls.get(head.name, []), head, len(logits))
        if not arrived.isfinite().all():
            raise ValueError(f"What arrives at '{head.name}' is not finite; see the network's own training first.")
        if not _is_same(head.answers(arrived), logits):
            raise ValueError(
                f"polish expects an answer that is linear in what arrives at '{head.name}', as it is on the first "
                f"batch; on batch {len(answers)} it is not. Does a clamp follow, or does the number of steps change?"
            )
        if len(wanted) != len(logits):
            raise ValueError(
                f"polish expects a target for every sample; batch {len(answers)} has {len(logits)} samples and "
                f"{len(wanted)} targets."
            )
        first = values if not answers else first
        answers.append(logits)
        features.append(arrived)
        targets.append(wanted)
    _require_same(model, first, answers[0], reset=reset)
    return Seen(
        torch.cat(features).cpu().double().numpy(),
        torch.cat(answers).cpu().double().numpy(),
        torch.cat(targets).numpy(),
    )


def answers_as(
    other: nn.Module,
    model: nn.Module,
    head: Head,
    weights: tuple[NDArray[np.float64], NDArray[np.float64]],
    batches: Iterable[Any],
    *,
    reset: Reset | None = None,
) -> bool:
    """Whether another network answers f W + b on every batch, f being what arrives at the head of the first."""
    weight, intercept = map(torch.from_numpy, head.rounded(*weights))
    for values, _ in pairs(batches):
        answer, calls = watched(model, {head.name: head.layer}, values, reset=reset)
        features = _reduced(calls[head.name], head, len(logits_of(answer)))
        found = answer_of(other, values, reset=reset)
        if not _is_same(features.cpu().double() @ weight + intercept, found.cpu()):
            return False
    return True


def _readings(name: str, layer: nn.Linear, calls: list[Tensor], batch: int) -> Iterator[tuple[Head, Tensor]]:
    """What the head may be, with the features that arrive at it then."""
    for is_batch_first in (False, True):
        train = _as_train(calls, batch, is_batch_first=is_batch_first)
        if train is None:
            return
        steps = len(train)
        if steps == 1:
            yield Head(name, layer, "once", 1, is_batch_first=False), train[0]
            return
        yield Head(name, layer, "mean", steps, is_batch_first), train.mean(0)
        yield Head(name, layer, "sum", steps, is_batch_first), train.sum(0)
        yield Head(name, layer, "last", steps, is_batch_first), train[-1]


def _reduced(calls: list[Tensor], head: Head, batch: int) -> Tensor:
    for other, features in _readings(head.name, head.layer, calls, batch):
        if (other.over, other.is_batch_first) == (head.over, head.is_batch_first):
            return features
    raise ValueError(
        f"'{head.name}' saw {head.steps} steps in the first batch and another number in a later one; polish expects "
        f"a fixed number of steps."
    )


def _as_train(calls: list[Tensor], batch: int, *, is_batch_first: bool) -> Tensor | None:
    """All calls as one train [time, batch, inputs]; None where there is none, or the batch does not divide them."""
    if not calls or any(call.ndim < 2 or call.shape[:-1].numel() % batch for call in calls):
        return None
    if is_batch_first:
        return torch.cat([call.reshape(batch, -1, call.shape[-1]).transpose(0, 1) for call in calls])
    return torch.cat([call.reshape(-1, batch, call.shape[-1]) for call in calls])


def _is_same(found: Tensor, wanted: Tensor) -> bool:
    if found.shape != wanted.shape:
        return False
    scale = wanted.abs().max().clamp_min(torch.finfo(wanted.dtype).tiny)
    share = max(TOLERANCE, ROUNDINGS * torch.finfo(wanted.dtype).eps)
    return bool((found - wanted).abs().max() <= share * scale)
