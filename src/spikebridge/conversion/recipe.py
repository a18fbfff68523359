"""How a network is to be converted: data, no behaviour."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..core.counts import require_whole
from ..core.neuron import Neuron
from ..core.time import require_steps
from ..neurons import IF, GroupNeuron

if TYPE_CHECKING:
    from .rule import Site

NeuronFactory = Callable[["Site"], Neuron[Any]]


def group(threshold: Tensor, members: int, negative: bool) -> Neuron[Any]:
    """A Group Neuron whose ``members`` levels end at the threshold."""
    return GroupNeuron(threshold=threshold, members=members, negative=negative)


def signed_group(threshold: Tensor, members: int, negative: bool) -> Neuron[Any]:
    """A Group Neuron that may take spikes back."""
    return GroupNeuron(threshold=threshold, members=members, signed=True, negative=negative)


def integrate_and_fire(threshold: Tensor, members: int, negative: bool) -> Neuron[Any]:
    """An IF whose spikes carry the threshold, at rest half way to it; it has no members.

    Where an activation falls below zero, its twin with spikes of both signs: a Group Neuron of one member.
    """
    if negative:
        return GroupNeuron(threshold=threshold, members=1, negative=True)
    return IF(threshold=threshold, spike_value=threshold, rest=0.5)


NEURONS_BY_NAME: dict[str, Callable[[Tensor, int, bool], Neuron[Any]]] = {
    "group": group,
    "signed-group": signed_group,
    "if": integrate_and_fire,
}
CHOICES = {
    "granularity": ("channel", "layer"),
    "calibrate": ("none", "bias", "weights"),
    "max_pool": ("exact", "pre", "average"),
    "unsupported": ("error", "differential", "keep"),
}


@dataclass(frozen=True)
class Recipe:
    """The settings of one conversion; prints as a table and round-trips through JSON.

    Args:
        neuron: "group", "signed-group", "if", or a function from a :class:`Site` to a neuron.
        time_steps: T the converted network runs by default (>= 1).
        members: levels of a Group Neuron (>= 1); "if" has none.
        thresholds: for activations that bring no threshold of their own. "mse": the least squared distance from the
            network's activations, site after site in the order of the network, each given what the converted part
            before it delivers; "lloyd": the fixed point of the best scale for the levels; "percentile:P" of the
            network's activations, 0 < P <= 100; "max", the same as percentile:100; "from_model": refuse them.
        granularity: one threshold per "channel" or per "layer".
        calibrate: "bias" adds to every channel what makes its mean output that of the network; "weights" also corrects
            the weights of the layers before the neurons, and of the last, in closed form; "none" leaves both.
        max_pool: "exact", on running means, with real numbers for T > 1; "pre", moved before the activation, step by
            step; "average", an average pool in its place, which is another network unless it was trained so.
        unsupported: calls without a rule: an "error" that lists them, applied to running means ("differential":
            exact, with real numbers), or left to run step by step ("keep": right for linear calls only).

    Raises:
        TypeError: a neuron or members of the wrong type.
        ValueError: an unknown neuron, threshold policy or choice; T or members below 1.

    >>> Recipe.from_json(Recipe(time_steps=4).to_json()) == Recipe(time_steps=4)
    True
    """

    neuron: str | NeuronFactory = "group"
    time_steps: int = 1
    members: int = 16
    thresholds: str = "mse"
    granularity: str = "channel"
    calibrate: str = "none"
    max_pool: str = "exact"
    unsupported: str = "error"

    def __post_init__(self) -> None:
        require_steps(self.time_steps, owner="convert")
        require_whole(self.members, owner="convert", name="members")
        _check_neuron(self.neuron)
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"convert expects {name} to be one of {', '.join(choices)}; got {getattr(self, name)!r}."
                )
        _ = self.percentile

    @property
    def percentile(self) -> float | None:
        """The percentile of observed activations that becomes a threshold; None for the other policies."""
        if not isinstance(self.thresholds, str):
            raise TypeError(f"convert expects thresholds to be a text such as 'mse'; got {self.thresholds!r}.")
        if self.thresholds in ("mse", "lloyd", "from_model"):
            return None
        if self.thresholds == "max":
            return 100.0
        kind, _, number = self.thresholds.partition(":")
        try:
            percentile = float(number) if kind == "percentile" else float("nan")
        except ValueError:
            percentile = float("nan")
        if not 0.0 < percentile <= 100.0:
            raise ValueError(
                f"convert expects thresholds to be 'mse', 'lloyd', 'percentile:P' with 0 < P <= 100, 'max' or "
                f"'from_model'; got {self.thresholds!r}."
            )
        return percentile

    @property
    def levels_per_step(self) -> int:
        """Levels a neuron can send in one step."""
        return 1 if self.neuron == "if" else self.members

    @property
    def levels(self) -> int:
        """Levels the mean over all steps can take, zero apart:  T * members."""
        return self.time_steps * self.levels_per_step

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


def _check_neuron(neuron: object) -> None:
    if isinstance(neuron, str) and neuron not in NEURONS_BY_NAME:
        raise ValueError(
            f"convert expects neuron to be one of {', '.join(NEURONS_BY_NAME)}, or a function site -> Neuron; "
            f"got {neuron!r}."
        )
    if isinstance(neuron, type | Neuron):
        name = neuron.__name__ if isinstance(neuron, type) else type(neuron).__name__
        raise TypeError(
            f"convert expects neuron to be a name or a function of the site; got {name}. Every site needs a neuron "
            f"of its own: neuron=lambda site: {name}(threshold=site.threshold, ...)."
        )
    if not isinstance(neuron, str) and not callable(neuron):
        raise TypeError(f"convert expects neuron to be a name or a function site -> Neuron; got {neuron!r}.")
