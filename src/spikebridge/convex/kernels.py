"""Which code multiplies bits: compiled where numba is installed, else NumPy. Both give the same products."""

from __future__ import annotations

import importlib
import importlib.util
from functools import lru_cache
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from .columns import Floats
from .packing import Words

KERNELS = {"numba": ".kernels_numba", "numpy": ".kernels_numpy"}
"""Names and modules, best first."""


class Kernels(Protocol):
    """Products of packed bits; a module is one."""

    def matvec(self, words: Words, weights: Floats, rows: int) -> Floats:
        """sum_j d_j w_j:  words [k, W], weights [k, outputs] -> [rows, outputs]."""

    def rmatvec(self, words: Words, values: Floats) -> Floats:
        """d_j . v for every column:  words [k, W], values [rows, outputs] -> [k, outputs]."""

    def gram(self, words: Words, others: Words) -> NDArray[np.int64]:
        """d_i . d_j:  [k, W], [m, W] -> [k, m]."""


def kernels_for(name: str) -> Kernels:
    """The kernels of a name, "numba" or "numpy"; "auto" is the first of them whose package is installed.

    Raises:  ValueError: another name. ImportError: numba, by name, where it is not installed.

    >>> kernels_for("numpy").__name__
    'spikebridge.convex.kernels_numpy'
    """
    if name not in ("auto", *KERNELS):
        raise ValueError(f"BitDictionary expects kernels 'auto', 'numba' or 'numpy'; got '{name}'.")
    if name == "numba" and not _is_installed("numba"):
        raise ImportError("kernels='numba' needs numba: pip install 'spikebridge[convex]'. 'auto' does without.")
    found = next(known for known in KERNELS if _is_installed(known)) if name == "auto" else name
    return _module(found)


@lru_cache
def _module(name: str) -> Kernels:
    return cast(Kernels, importlib.import_module(KERNELS[name], package=__package__))


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
