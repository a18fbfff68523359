"""What networks of any library answer, batch by batch, and what arrives at their layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..core.modes import in_mode

Reset = Callable[[nn.Module], object]
"""What is called on a network that keeps its state in itself, before every batch."""


def pairs(batches: Iterable[Any]) -> Iterator[tuple[Any, Tensor]]:
    """(values, targets) of every batch that has samples.

    Raises:  ValueError: no batch, or batches without targets.
    """
    is_empty = True
    for batch in batches:
        if not isinstance(batch, (tuple, list)) or len(batch) < 2:
            raise ValueError(f"polish expects batches (values, targets); got {type(batch).__name__}.")
        targets = torch.as_tensor(batch[1]).cpu()
        if targets.ndim == 0 or len(targets):
            is_empty = False
            yield batch[0], targets
    if is_empty:
        raise ValueError("polish expects at least one batch (values, targets); the loader yields nothing.")


def answer_of(model: nn.Module, values: Any, *, reset: Reset | None = None) -> Tensor:
    """Logits in eval mode, with values moved to where the network is; codes that draw draw alike every time."""
    return logits_of(_answered(model, values, reset=reset))


def share_right(model: nn.Module, batches: Iterable[Any], *, reset: Reset | None = None) -> float:
    """Accuracy of a network as it is."""
    found = [(answer_of(model, values, reset=reset).argmax(1).cpu() == targets) for values, targets in pairs(batches)]
    return torch.cat(found).double().mean().item()


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


def watched(
    model: nn.Module, layers: dict[str, nn.Linear], values: Any, *, reset: Reset | None
) -> tuple[Any, dict[str, list[Tensor]]]:
    """The answer, and what arrived at each layer, in the order of their last calls."""
    calls: dict[str, list[Tensor]] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], dict[str, Tensor]], None]:
        def hook(_: nn.Module, arrived: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
            (values,) = (*arrived, *named.values())
            calls[name] = [*calls.pop(name, []), values.detach()]

        return hook

    hooks = [layer.register_forward_pre_hook(keep(name), with_kwargs=True) for name, layer in layers.items()]
    try:
        answer = _answered(model, values, reset=reset)
    finally:
        for hook in hooks:
            hook.remove()
    return answer, calls


def _answered(model: nn.Module, values: Any, *, reset: Reset | None) -> Any:
    place = next(model.parameters()).device
    devices = {tensor.device for tensor in model.parameters() if tensor.device.type == "cuda"}
    with torch.no_grad(), in_mode(model, training=False), torch.random.fork_rng(devices=devices):
        torch.manual_seed(0)
        if reset is not None:
            reset(model)
        answer = model(values.to(place) if isinstance(values, Tensor) else values)
        if reset is not None:
            reset(model)
    return answer
