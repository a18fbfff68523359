"""A rule says how one kind of operation survives the arrival of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, fx, nn

from ..core.neuron import Neuron
from .errors import ConversionError
from .recipe import NEURONS_BY_NAME, Recipe

Fidelity = Literal["exact", "spiking", "differential"]
"""What the report says of a converted operation.

exact         the operation itself, step by step: it is linear, so the mean over time passes through it
spiking       an activation that is now a neuron: as exact as its levels and time-steps allow
differential  applied to cumulative values: exact on them at every prefix, but analog, not spiking
"""


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
        observed: the threshold that calibration chose, unless the recipe forbids it.
        threshold: the threshold the site's rule settled on; None where no neuron goes.
    """

    name: str
    operation: str
    location: str
    node: fx.Node
    module: nn.Module | None
    recipe: Recipe
    observed: Tensor | None = None
    threshold: Tensor | None = None

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """What the call passes for a parameter of the operation, by position or by name."""
        args, kwargs = self.node.args, self.node.kwargs
        return args[position] if len(args) > position else kwargs.get(name, default)


@dataclass(frozen=True)
class Rule:
    """How one operation converts, and an example that proves it.

    Args:
        name: what the report calls it.
        matches: module classes, functions, and names of tensor methods.
        example: a module that uses the operation, and an input for it; documentation and the rule's own test.
        fidelity: see :data:`Fidelity`.
        threshold: where an activation gets its threshold: a function of the site. Makes the site a neuron.
        replace: builds what stands in for the operation; None keeps it as it is. What it builds takes trains if it
            has a time axis, and values otherwise.
        refuse: says why a particular call cannot be converted, or None if it can.
        note: what the report should add about a site.
    """

    name: str
    matches: tuple[type[nn.Module] | Callable[..., Any] | str, ...]
    example: Callable[[], tuple[nn.Module, Tensor]]
    fidelity: Fidelity = "exact"
    threshold: Callable[[Site], Tensor] | None = None
    replace: Callable[[Site], nn.Module] | None = None
    refuse: Callable[[Site], str | None] | None = None
    note: Callable[[Site], str] | None = None

    def covers(self, target: object) -> bool:
        """Whether the rule speaks for a module, a function or the name of a method."""
        if isinstance(target, nn.Module):
            classes = [match for match in self.matches if isinstance(match, type) and issubclass(match, nn.Module)]
            # A subclass with a forward of its own may compute something else.
            return any(isinstance(target, c) and type(target).forward is c.forward for c in classes)
        return any(match is target or (isinstance(match, str) and match == target) for match in self.matches)


def observed_threshold(site: Site) -> Tensor:
    """The threshold calibration chose, for activations that bring none of their own.

    Raises:
        ConversionError: the recipe forbids choosing, or the site was never active.
    """
    if site.observed is None:
        raise ConversionError(
            f"'{site.name}' ({site.operation}) at {site.location} brings no threshold of its own, and thresholds = "
            f"'from_model' forbids choosing one. Train with QCFS there, or pass thresholds='percentile:99.9'."
        )
    if site.observed.item() == 0.0:
        raise ConversionError(
            f"'{site.name}' ({site.operation}) at {site.location} was (almost) never active in calibration, so "
            f"thresholds = {site.recipe.thresholds!r} gives 0. Pass more data, or thresholds='max'; an activation that "
            f"is never positive can be removed."
        )
    return site.observed


def build_neuron(site: Site) -> Neuron[Any]:
    """The neuron the recipe asks for at this site."""
    if site.threshold is None:
        raise ConversionError(f"'{site.name}' ({site.operation}) has no threshold; its rule must supply one.")
    if isinstance(site.recipe.neuron, str):
        return NEURONS_BY_NAME[site.recipe.neuron](site.threshold, site.recipe.members)
    neuron = site.recipe.neuron(site)
    if not isinstance(neuron, Neuron):
        raise TypeError(
            f"The neuron function {site.recipe.neuron_name} must return a Neuron; for site '{site.name}' it returned "
            f"{type(neuron).__name__}."
        )
    return neuron
