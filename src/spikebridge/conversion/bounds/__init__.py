"""How far a converted network can be from its source, for every input of a box."""

from .adversary import adversarial as adversarial
from .bound import ErrorBound as ErrorBound
from .bound import SiteBound as SiteBound
from .bound import error_bound as error_bound
