"""The neuron a recipe asks for at a site."""

from __future__ import annotations

from typing import Any

from ..core.neuron import Neuron
from .errors import ConversionError
from .recipe import NEURONS_BY_NAME
from .rule import Site


def build_neuron(site: Site) -> Neuron[Any]:
    """The neuron the recipe asks for at this site.

    Raises:
        ConversionError: the site has no threshold.
        TypeError: the recipe's function returned something else.
    """
    if site.threshold is None or site.activation is None:
        raise ConversionError(f"{site} has no threshold; its rule must supply an activation.")
    if isinstance(site.recipe.neuron, str):
        return NEURONS_BY_NAME[site.recipe.neuron](site.threshold, site.recipe.members, site.activation.negative)
    neuron = site.recipe.neuron(site)
    if not isinstance(neuron, Neuron):
        raise TypeError(
            f"The neuron function {site.recipe.neuron_name} must return a Neuron; for site '{site.name}' it returned "
            f"{type(neuron).__name__}."
        )
    return neuron
