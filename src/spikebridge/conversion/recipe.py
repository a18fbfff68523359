"""How a network is to be converted: data, no behaviour."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..core.neuron import Neuron, require_whole
from ..core.time import require_steps
from ..neurons import IF, GroupNeuron

if TYPE_CHECKING:
    from .rule import Site

NeuronFactory = Callable[["Site"], Neuron[Any]]


def group(threshold: Tensor, members: int) -> GroupNeuron:
    """A Group Neuron whose ``members`` levels end at the threshold."""
    return GroupNeuron(threshold=threshold, members=members)


def signed_group(threshold: Tensor, members: int) -> GroupNeuron:
    """A Group Neuron that may take spikes back."""
    return GroupNeuron(threshold=threshold, members=members, signed=True)


def integrate_and_fire(threshold: Tensor, members: int) -> IF:
    """An IF whose spikes carry the threshold, at rest half way to it; it has no members."""
    return IF(threshold=threshold, spike_value=threshold, rest=0.5)


NEURONS_BY_NAME: dict[str, Callable[[Tensor, int], Neuron[Any]]] = {
    "group": group,
    "signed-group": signed_group,
    "if": integrate_and_fire,
}


@dataclass(frozen=True)
class Recipe:
    """The settings of one conversion; prints as a table and round-trips through JSON.

    Args:
        neuron: "group", "signed-group", "if", or a function from a :class:`Site` to a neuron.
        time_steps: T the converted network runs by default (>= 1).
        members: levels of a Group Neuron (>= 1); "if" has none.
        thresholds: for activations that bring no threshold of their own: "percentile:P" with 0 < P <= 100, "max"
            (the same as percentile:100), or "from_model" to refuse such activations.

    Raises:
        TypeError: a neuron or members of the wrong type.
        ValueError: an unknown neuron or threshold policy; T or members below 1.

    >>> Recipe.from_json(Recipe(time_steps=4).to_json()) == Recipe(time_steps=4)
    True
    """

    neuron: str | NeuronFactory = "group"
    time_steps: int = 1
    members: int = 16
    thresholds: str = "percentile:99.9"

    def __post_init__(self) -> None:
        require_steps(self.time_steps, owner="convert")
        require_whole(self.members, owner="convert", name="members")
        if isinstance(self.neuron, str) and self.neuron not in NEURONS_BY_NAME:
            raise ValueError(
                f"convert expects neuron to be one of {', '.join(NEURONS_BY_NAME)}, or a function site -> Neuron; "
                f"got {self.neuron!r}."
            )
        if isinstance(self.neuron, type | Neuron):
            name = self.neuron.__name__ if isinstance(self.neuron, type) else type(self.neuron).__name__
            raise TypeError(
                f"convert expects neuron to be a name or a function of the site; got {name}. Every site needs a neuron "
                f"of its own: neuron=lambda site: {name}(threshold=site.threshold, ...)."
            )
        if not isinstance(self.neuron, str) and not callable(self.neuron):
            raise TypeError(f"convert expects neuron to be a name or a function site -> Neuron; got {self.neuron!r}.")
        _ = self.percentile

    @property
    def percentile(self) -> float | None:
        """The percentile of observed activations that becomes a threshold; None for "from_model"."""
        if not isinstance(self.thresholds, str):
            raise TypeError(
                f"convert expects thresholds to be a text such as 'percentile:99.9'; got {self.thresholds!r}."
            )
        kind, _, number = self.thresholds.partition(":")
        if kind == "from_model" and not number:
            return None
        if kind == "max" and not number:
            return 100.0
        try:
            percentile = float(number) if kind == "percentile" else float("nan")
        except ValueError:
            percentile = float("nan")
        if not 0.0 < percentile <= 100.0:
            raise ValueError(
                f"convert expects thresholds to be 'percentile:P' with 0 < P <= 100, 'max' or 'from_model'; "
                f"got {self.thresholds!r}."
            )
        return percentile

    @property
    def neuron_name(self) -> str:
        """The neuron by name, or the name of the function that builds it."""
        return self.neuron if isinstance(self.neuron, str) else getattr(self.neuron, "__qualname__", repr(self.neuron))

    def to_json(self) -> str:
        """The recipe as JSON; a neuron function has no JSON form."""
        if not isinstance(self.neuron, str):
            raise TypeError(f"A recipe with a neuron function ({self.neuron_name}) has no JSON form; name the neuron.")
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read what :meth:`to_json` wrote."""
        return cls(**json.loads(text))

    def __str__(self) -> str:
        rows = {**asdict(self), "neuron": self.neuron_name}
        return "\n".join(f"{name:<11} {value}" for name, value in rows.items())
