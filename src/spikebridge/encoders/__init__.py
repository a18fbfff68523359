"""One code per file; an export line here is all that a new one needs."""

from ..core.catalogue import catalogue
from ..core.encoder import Encoder
from .binary_level import BinaryLevel as BinaryLevel
from .bit_plane import BitPlane as BitPlane
from .bit_plane import reference_parity as reference_parity
from .direct import Direct as Direct
from .hybrid import Hybrid as Hybrid
from .latency import Latency as Latency
from .phase import Phase as Phase
from .rate import Rate as Rate
from .recorded import Recorded as Recorded

ENCODERS = catalogue({name: thing for name, thing in globals().items() if thing is not Recorded}, Encoder)
"""The codes of values, by name. Recorded is none: what it takes is a train already."""
