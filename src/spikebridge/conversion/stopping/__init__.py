"""When no remaining step can change the answer."""

from .decide import Decision as Decision
from .decide import decide as decide
