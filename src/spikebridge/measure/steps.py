"""Which step of a train every entry of a tensor belongs to, through one call of an operator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .marks import Call, Clock, first_of_each


def steps_after(call: Call, returned: list[Tensor], *, is_rearranged: bool) -> tuple[Clock | None, list[Tensor | None]]:
    """The step of every entry that a call returned, as far as it can be told; only the split over steps needs it."""
    clocks = [mark.clock for mark in call.marks.values() if mark.steps is not None and mark.clock is not None]
    clock = min(clocks, key=lambda clock: clock.is_input, default=None)
    known = [mark.steps for mark in call.marks.values() if mark.steps is not None and mark.clock == clock]
    if clock is None:
        return None, []
    if is_rearranged:
        copies = _copies(call, returned[0]) if clock.is_input else None
        if copies is not None:
            return Clock(int(copies.max()) + 1, is_repeat=True), [copies]
        moved = call.on(lambda tensor: call.mark(tensor).steps if call.mark(tensor).clock == clock else None)
        if moved is not None:
            return clock, [_lean(steps) for steps in moved]
    if call.argument("keepdim") is not None:
        return clock, [_reduced(known[0], call.argument("dim"), bool(call.argument("keepdim")))] * len(returned)
    return clock, [_latest(known, tensor, call) for tensor in returned]


def _copies(call: Call, tensor: Tensor) -> Tensor | None:
    """Which copy of a value each entry is, where a call has repeated values along the leading axis."""
    first = call.args[0]
    if isinstance(first, list | tuple):
        is_one = all(part is first[0] for part in first) and call.name in ("stack", "cat")
        count = len(first) if is_one and call.argument("dim", 0) == 0 else 1
    elif call.name == "repeat":
        count = call.args[1][0]
    elif call.name == "expand" and (tensor.ndim > first.ndim or first.shape[0] == 1):
        count = tensor.shape[0]
    else:
        count = 1
    if count < 2:
        return None
    index = torch.arange(tensor.shape[0], dtype=torch.float32, device=tensor.device) // (tensor.shape[0] // count)
    return index.reshape(-1, *[1] * (tensor.ndim - 1)).expand(tensor.shape)


def _latest(known: list[Tensor], tensor: Tensor, call: Call) -> Tensor | None:
    """What depends on several steps is of the last of them: a membrane, on all that came before."""
    spread = [steps for steps in (_spread(steps, tensor, call) for steps in known) if steps is not None]
    if not spread:
        return None
    one_for_all = [axis for axis in range(tensor.ndim) if all(s.stride(axis) == 0 and s.shape[axis] for s in spread)]
    last = spread[0]
    for steps in spread[1:]:
        if steps is not last:
            pair = last, steps
            for axis in one_for_all:
                pair = pair[0].narrow(axis, 0, 1), pair[1].narrow(axis, 0, 1)
            last = torch.maximum(*pair).expand(tensor.shape)
    return last


def _lean(steps: Tensor) -> Tensor:
    """The same steps without a copy for every entry, where only the leading axis tells them apart."""
    if steps.ndim < 2 or steps.numel() == 0 or not any(steps.stride()[1:]):
        return steps
    lead = first_of_each(steps).expand(steps.shape)
    return lead if torch.equal(lead, steps) else steps


def _reduced(steps: Tensor, axes: Any, keepdim: bool) -> Tensor | None:
    """Steps after a reduction; None where it mixes several."""
    axes = axes if axes is not None and axes != [] else tuple(range(steps.ndim))
    first, last = steps.amin(axes, keepdim=keepdim), steps.amax(axes, keepdim=keepdim)
    return first if torch.equal(first, last) else None


def _spread(steps: Tensor, tensor: Tensor, call: Call) -> Tensor | None:
    """Steps of what was computed entry by entry, or sample by sample along the leading axis."""
    if steps.shape == tensor.shape:
        return steps
    if torch.Tag.pointwise in call.function.tags:
        return _expanded(steps, tensor.shape)
    if tensor.ndim == 0 or steps.ndim == 0 or tensor.shape[0] != steps.shape[0] or 0 in steps.shape:
        return None
    lead = first_of_each(steps)
    if not torch.equal(lead.expand(steps.shape), steps):
        return None
    return lead.reshape(-1, *[1] * (tensor.ndim - 1)).expand(tensor.shape)


def _expanded(companion: Tensor, shape: torch.Size) -> Tensor | None:
    """A companion of what has been broadcast to a shape; None where that was not all."""
    try:
        return companion.expand(shape)
    except RuntimeError:
        return None
