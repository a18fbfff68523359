"""What is known of a tensor while a network runs: is it a weight, which spikes does it carry, when was it sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary


@dataclass(frozen=True)
class Clock:
    """What the steps of a train are counted by.

    Attributes:
        length: number of steps.
        is_input: counts the leading axis of the values: samples, unless a neuron shows that they are steps.
        is_loop: counts how often neurons were stepped by hand; the length shows only at the end.
        is_repeat: counts copies of one value along a leading axis: steps, once something takes them for a train.
    """

    length: int
    is_input: bool = False
    is_loop: bool = False
    is_repeat: bool = False


@dataclass(frozen=True)
class Mark:
    """What is known of one tensor; each of the three companions is shaped like it.

    Attributes:
        is_constant: computed from parameters and buffers alone, so the same for every sample and step.
        stored: for a constant, how many stored numbers it holds.
        spikes: whole numbers of spikes, NaN where an entry is analog although others are not; None where all are.
        present: 0 where padding has put a zero, 1 elsewhere; None where nothing was padded.
        steps: the step that each entry belongs to; None where that is unknown or one for all.
        clock: what ``steps`` are steps of.
    """

    is_constant: bool = False
    stored: int = 0
    spikes: Tensor | None = None
    present: Tensor | None = None
    steps: Tensor | None = None
    clock: Clock | None = None

    @property
    def is_plain(self) -> bool:
        """Nothing but an analog number, or a constant."""
        return self.is_constant or (self.spikes is None and self.present is None and self.steps is None)


ANALOG = Mark()


class Marks:
    """The marks of all tensors alive. A tensor that was written to since it was marked has lost its mark."""

    def __init__(self) -> None:
        self._marks: Any = WeakTensorKeyDictionary()

    def of(self, tensor: Tensor) -> Mark:
        """The mark of a tensor; what nobody has marked is analog, or a constant if it is a single number."""
        mark, version = self._marks.get(tensor, (None, 0))
        if mark is None or version != _version(tensor):
            return Mark(is_constant=True, stored=1) if tensor.ndim == 0 else ANALOG
        known: Mark = mark
        return known

    def put(self, tensor: Tensor, mark: Mark) -> None:
        """Mark a tensor."""
        self._marks[tensor] = mark, _version(tensor)

    def put_result(self, tensor: Tensor, mark: Mark, call: Call) -> None:
        """Mark what a call is about to return, as of the number of writes that it will have when it is returned."""
        version = _version(tensor)
        if not torch.is_inference_mode_enabled():
            # A view shares its base's count of writes, and a write is counted, only once the call is over.
            version = _version(call.args[0]) if call.function.is_view else version + call.is_in_place
        self._marks[tensor] = mark, version


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


@dataclass(frozen=True)
class Call:
    """One call of an ATen operator, with the marks that its tensors had before it.

    Attributes:
        function: the operator's overload.
        args: as it was called.
        kwargs: as it was called.
        marks: tensor id -> mark, for every tensor among the arguments.
    """

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    marks: dict[int, Mark]

    @property
    def name(self) -> str:
        """The operator without overload and, where it works in place, without the trailing underscore."""
        name: str = self.function.overloadpacket.__name__
        return name[:-1] if self.is_in_place else name

    @property
    def is_in_place(self) -> bool:
        """Whether it writes to its first argument."""
        name: str = self.function.overloadpacket.__name__
        return name.endswith("_") and not name.endswith("__")

    def mark(self, tensor: Any) -> Mark:
        """The mark of an argument."""
        return self.marks.get(id(tensor), ANALOG)

    def argument(self, name: str, default: Any = None) -> Any:
        """An argument by the name the operator gives it."""
        for position, declared in enumerate(self.function._schema.arguments):
            if declared.name == name:
                given = position < len(self.args)
                return self.args[position] if given else self.kwargs.get(name, declared.default_value)
        return default

    def on(self, companion: Callable[[Tensor], Tensor | None]) -> list[Tensor] | None:
        """Apply the operator to the companions of what it rearranges instead; None where one has none."""
        first = self.args[0]
        parts = [companion(part) for part in (first if isinstance(first, list | tuple) else [first])]
        if any(part is None for part in parts):
            return None
        known: Any = parts if isinstance(first, list | tuple) else parts[0]
        if self.name in ("view", "_unsafe_view", "_reshape_alias"):
            return [known.reshape(self.args[1])]  # the companion may lie otherwise in memory
        moved = self.function(known, *self.args[1:], **self.kwargs)
        return [moved] if isinstance(moved, torch.Tensor) else list(moved)


def leading_index(train: Tensor) -> Tensor:
    """The index of every entry along the leading axis; it takes no memory."""
    index = torch.arange(train.shape[0], dtype=torch.float32, device=train.device)
    return index.reshape(-1, *[1] * (train.ndim - 1)).expand(train.shape)


def first_of_each(companion: Tensor) -> Tensor:
    """The first entry of everything along the leading axis: [n, *unit] -> [n, 1, ...]."""
    for axis in range(1, companion.ndim):
        companion = companion.narrow(axis, 0, 1)
    return companion


def is_led(steps: Tensor) -> bool:
    """Whether every entry along the leading axis is a step of its own."""
    lead = first_of_each(steps)
    return len(set(lead.flatten().tolist())) == steps.shape[0] and torch.equal(lead.expand(steps.shape), steps)
