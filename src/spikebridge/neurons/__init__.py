"""One neuron per file; an export line here is all that a new one needs."""

from collections.abc import Mapping
from typing import Any

from ..core.catalogue import catalogue
from ..core.neuron import Neuron
from .adaptive import AdaptiveLIF as AdaptiveLIF
from .group import GroupNeuron as GroupNeuron
from .if_ import IF as IF
from .lif import LIF as LIF

NEURONS: Mapping[str, type[Neuron[Any]]] = catalogue(globals(), Neuron)
