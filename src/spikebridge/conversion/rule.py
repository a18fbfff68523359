"""A rule says how one kind of operation survives the arrival of time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, fx, nn

from .recipe import Recipe

Fidelity = Literal["exact", "approximate", "analog"]
"""What the report says of a converted operation.

exact        computes what the network computes, whatever its input: linear operations, and anything at T = 1
approximate  a neuron, as exact as its levels and time-steps allow, or an operation the recipe lets run step by step
analog       applied to running means: exact on them at every prefix, but with real numbers, not with spikes
"""


@dataclass(frozen=True)
class Activation:
    """What a neuron has to stand for.

    Attributes:
        ceiling: the activation never exceeds it (6 for a ReLU6).
        negative: the activation falls below zero somewhere, so its neuron may send negative spikes.
        analog: the function itself is computed with real numbers on running means, and the neuron encodes its result.
            False where a neuron computes the function by itself: clipping between zero or -threshold and threshold.
        threshold: the threshold it was trained with; None asks calibration for one.
        levels: the number of levels it was trained with, if it was.
    """

    ceiling: float = math.inf
    negative: bool = False
    analog: bool = False
    threshold: Tensor | None = None
    levels: int | None = None


@dataclass(frozen=True)
class Site:
    """One call in the network that is being converted; a module called twice is two sites.

    Attributes:
        name: the module's name, or the name of the call in the traced graph.
        operation: what is called: "ReLU", "relu", ".view".
        location: file:line of the call in the network's source.
        node: the call in the traced graph.
        module: the module that is called, if it is one.
        recipe: how the network is converted.
        data: the arguments that depend on the network's input, one entry for each time they occur.
        timed: whether one of them varies over time, that is, comes after a neuron.
        activation: what a neuron here has to stand for; None where no neuron goes.
        threshold: what was settled on; None where no neuron goes.
    """

    name: str
    operation: str
    location: str
    node: fx.Node
    module: nn.Module | None
    recipe: Recipe
    data: tuple[fx.Node, ...] = ()
    timed: bool = False
    activation: Activation | None = None
    threshold: Tensor | None = None

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """What the call passes for a parameter of the operation, by position or by name."""
        args, kwargs = self.node.args, self.node.kwargs
        return args[position] if len(args) > position else kwargs.get(name, default)

    def __str__(self) -> str:
        return f"'{self.name}' ({self.operation}) at {self.location}"


def always(site: Site) -> bool:
    """For rules that need not look at the call."""
    return True


def never(site: Site) -> bool:
    """For rules that need not look at the call."""
    return False


@dataclass(frozen=True)
class Rule:
    """How one operation converts, and an example that proves it.

    Args:
        name: what the report calls it.
        matches: module classes, functions, names of tensor methods, and full names of functions of other libraries.
        example: a module that uses the operation, and an input for it; documentation and the rule's own test.
        activation: what a neuron has to stand for; makes the call a neuron. A function of the site, or None.
        linear: whether the mean over time passes through the call, so that it may run step by step. Calls that are
            neither this nor an activation are applied to running means.
        has_weights: of a linear call, that it multiplies by weights. It then runs on steps, where spikes arrive, even
            if its arguments are running means.
        replace: builds what stands in for a call that is no activation; None keeps it as it is.
        approximate: whether what ``replace`` builds differs from the call.
        is_monotone: of an activation, that it never falls, so that a maximum may be taken before it.
        refuse: says why a particular call cannot be converted, or None if it can.
        note: what the report should add about a site.
    """

    name: str
    matches: tuple[type[nn.Module] | Callable[..., Any] | str, ...]
    example: Callable[[], tuple[nn.Module, Tensor]]
    activation: Callable[[Site], Activation] | None = None
    linear: Callable[[Site], bool] = always
    has_weights: bool = False
    replace: Callable[[Site], nn.Module | None] | None = None
    approximate: Callable[[Site], bool] = never
    is_monotone: bool = False
    refuse: Callable[[Site], str | None] | None = None
    note: Callable[[Site], str] | None = None

    def covers(self, target: object) -> bool:
        """Whether the rule speaks for a module, a function or the name of a method."""
        if isinstance(target, nn.Module):
            classes = [match for match in self.matches if isinstance(match, type) and issubclass(match, nn.Module)]
            # A subclass with a forward of its own may compute something else.
            return any(isinstance(target, c) and type(target).forward is c.forward for c in classes)
        name = target if isinstance(target, str) else _full_name(target)
        return any(match is target or (isinstance(match, str) and match == name) for match in self.matches)


def checked(rules: Sequence[Rule], *, owner: str) -> tuple[Rule, ...]:
    """The rules a caller passed.

    Raises:
        TypeError: something else among them.
    """
    found = tuple(rules) if isinstance(rules, Iterable) else (rules,)
    wrong = [getattr(rule, "__name__", type(rule).__name__) for rule in found if not isinstance(rule, Rule)]
    if wrong:
        raise TypeError(f"{owner} expects rules=[Rule(...), ...]; got {', '.join(wrong)}.")
    return found


def _full_name(function: object) -> str:
    """Where a function comes from, so that a rule can name what it must not import."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    return f"{module}.{name}" if module and name else ""
