"""The last linear layer of a trained network, and what arrives at it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Reset = Callable[[nn.Module], object]
"""What is called on a network that keeps its state in itself, before every batch."""

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
    """

    name: str
    layer: nn.Linear
    over: str
    steps: int

    @property
    def bias_share(self) -> float:
        """How often the answer has the layer's bias in it."""
        return float(self.steps) if self.over == "sum" else 1.0


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


def find_head(model: nn.Module, values: Any, *, name: str | None = None, reset: Reset | None = None) -> Head:
    """The last linear layer, checked: the answer must be linear in what arrives at it.

    One forward in eval mode. Candidates for what happens over steps are tried on it, and the one that gives the
    network's answer is the one; the steps may come as a loop of calls, folded into the batch, or as an axis.

    Args:
        model: a classifier, [batch, *unit] -> [batch, classes]; answers [time, batch, classes] count as their mean.
        values: one batch.
        name: of the layer; None takes the linear layer called last.
        reset: clears the state of a network that keeps it in itself.

    Raises:  ValueError: no linear layer, or none of this name; an answer that is not linear in what arrives; a network
        that keeps a state from batch to batch.
    """
    layers = {key: part for key, part in model.named_modules() if isinstance(part, nn.Linear)}
    if name is not None and name not in layers:
        known = ", ".join(f"'{key}'" for key in layers) or "none"
        raise ValueError(f"polish expects head to name an nn.Linear of the network; got '{name}'. It has {known}.")
    if not layers:
        raise ValueError(
            f"polish expects a network that ends in an nn.Linear; {type(model).__name__} has none. A convolution as a "
            f"head can be written as one."
        )
    watched = {name: layers[name]} if name else layers
    answer, calls = _watched(model, watched, values, reset=reset)
    _require_no_memory(model, watched, values, answer, reset=reset)
    if not calls:
        raise ValueError("polish expects the network's forward to call its linear layers; none was called.")
    found = name or next(reversed(calls))
    layer, logits = layers[found], logits_of(answer)
    for over, steps, features in _reductions(calls[found], len(logits)):
        share = steps if over == "sum" else 1
        bias = 0.0 if layer.bias is None else share * layer.bias
        if _is_same(features @ layer.weight.T + bias, logits):
            return Head(found, layer, over, steps)
    raise ValueError(
        f"polish expects an answer that is linear in what arrives at the head; that of {type(model).__name__} is not "
        f"the output of '{found}', nor its mean, sum or last over steps. Cut off what follows (a neuron, a softmax), "
        f"or name another layer with head=."
    )


def _require_no_memory(
    model: nn.Module, layers: dict[str, nn.Linear], values: Any, answer: Any, *, reset: Reset | None
) -> None:
    """Refuse a network whose answer depends on what it saw before: the forgotten reset."""
    again, _ = _watched(model, layers, values, reset=reset)
    if not torch.equal(logits_of(again), logits_of(answer)):
        raise ValueError(
            f"{type(model).__name__} answers otherwise when it sees a batch again: it keeps a state. Pass reset=, such "
            f"as spikingjelly.activation_based.functional.reset_net, or a function that calls its own reset."
        )


def see(model: nn.Module, head: Head, batches: Iterable[Any], *, reset: Reset | None = None) -> Seen:
    """Run a network over batches of (values, targets) and keep what arrives at its head.

    Raises:  ValueError: no batch, batches without targets, or features that are not finite.
    """
    features, answers, targets = [], [], []
    for batch in batches:
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:
            raise ValueError(f"polish expects batches (values, targets); got {type(batch).__name__}.")
        answer, calls = _watched(model, {head.name: head.layer}, batch[0], reset=reset)
        logits = logits_of(answer)
        answers.append(logits)
        features.append(_reduced(calls[head.name], head, len(logits)))
        targets.append(torch.as_tensor(batch[1]).cpu())
    if not answers:
        raise ValueError("polish expects at least one batch (values, targets); the loader yields nothing.")
    seen = torch.cat(features).double().cpu()
    if not seen.isfinite().all():
        raise ValueError(f"What arrives at '{head.name}' is not finite; see the network's own training first.")
    return Seen(seen.numpy(), torch.cat(answers).double().cpu().numpy(), torch.cat(targets).numpy())


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
    weight, intercept = (torch.from_numpy(part).to(head.layer.weight).double() for part in weights)
    for batch in batches:
        answer, calls = _watched(model, {head.name: head.layer}, batch[0], reset=reset)
        features = _reduced(calls[head.name], head, len(logits_of(answer)))
        found = answer_of(other, batch[0], reset=reset)
        if not _is_same(features.double() @ weight + intercept, found):
            return False
    return True


def answer_of(model: nn.Module, values: Any, *, reset: Reset | None = None) -> Tensor:
    """Logits in eval mode, with values moved to where the network is; codes that draw draw alike every time."""
    return logits_of(_answered(model, values, reset=reset))


def logits_of(answer: Any) -> Tensor:
    """[batch, classes]; a train of answers counts as its mean.

    Raises:  ValueError: anything else.
    """
    if isinstance(answer, Tensor) and answer.ndim == 3:
        return answer.mean(0)
    if isinstance(answer, Tensor) and answer.ndim == 2:
        return answer
    got = f"shape {tuple(answer.shape)}" if isinstance(answer, Tensor) else type(answer).__name__
    raise ValueError(
        f"polish expects a network whose answer is [batch, classes] or [time, batch, classes]; got {got}. Wrap it in a "
        f"module that returns the logits."
    )


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradient; every module's own mode comes back."""
    modes = {part: part.training for part in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def _watched(
    model: nn.Module, layers: dict[str, nn.Linear], values: Any, *, reset: Reset | None
) -> tuple[Any, dict[str, list[Tensor]]]:
    """The answer, and what arrived at each layer, in the order of their last calls."""
    calls: dict[str, list[Tensor]] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, arrived: tuple[Tensor, ...]) -> None:
            calls[name] = [*calls.pop(name, []), arrived[0].detach()]

        return hook

    hooks = [layer.register_forward_pre_hook(keep(name)) for name, layer in layers.items()]
    try:
        answer = _answered(model, values, reset=reset)
    finally:
        for hook in hooks:
            hook.remove()
    return answer, calls


def _answered(model: nn.Module, values: Any, *, reset: Reset | None) -> Any:
    place = next(model.parameters()).device
    devices = {tensor.device for tensor in model.parameters() if tensor.device.type == "cuda"}
    with evaluating(model), torch.random.fork_rng(devices=devices):
        if reset is not None:
            reset(model)
        answer = model(values.to(place) if isinstance(values, Tensor) else values)
        if reset is not None:
            reset(model)
    return answer


def _reductions(calls: list[Tensor], batch: int) -> Iterator[tuple[str, int, Tensor]]:
    train = _as_train(calls, batch)
    if train is None:
        return
    if len(train) == 1:
        yield "once", 1, train[0]
        return
    yield "mean", len(train), train.mean(0)
    yield "sum", len(train), train.sum(0)
    yield "last", len(train), train[-1]


def _reduced(calls: list[Tensor], head: Head, batch: int) -> Tensor:
    for over, _, features in _reductions(calls, batch):
        if over == head.over:
            return features
    raise ValueError(
        f"'{head.name}' saw {head.steps} steps in the first batch and another number in a later one; polish expects "
        f"a fixed number of steps."
    )


def _as_train(calls: list[Tensor], batch: int) -> Tensor | None:
    """All calls as one train [time, batch, inputs], time first; None where the batch does not divide them."""
    if any(call.ndim < 2 or call.shape[:-1].numel() % batch for call in calls):
        return None
    return torch.cat([call.reshape(-1, batch, call.shape[-1]) for call in calls])


def _is_same(found: Tensor, wanted: Tensor) -> bool:
    if found.shape != wanted.shape:
        return False
    scale = wanted.abs().max().clamp_min(torch.finfo(wanted.dtype).tiny)
    share = max(TOLERANCE, ROUNDINGS * torch.finfo(wanted.dtype).eps)
    return bool((found - wanted).abs().max() <= share * scale)
