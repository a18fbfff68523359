"""How weights are found."""

from .fit import fit as fit
