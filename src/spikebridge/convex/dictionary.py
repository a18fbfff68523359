"""Any matrix as a dictionary: the kind that keeps it in the least memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .bits import BitDictionary as BitDictionary
from .columns import Dictionary as Dictionary
from .columns import require_matrix
from .dense import DenseDictionary as DenseDictionary
from .packing import BLOCK_ENTRIES
from .sparse import SparseDictionary as SparseDictionary

SPARSE_DENSITY = 0.12
"""Share of ones above which bits take less memory than the indices of the ones, and are faster."""


def as_dictionary(matrix: Any) -> Dictionary:
    """The dictionary that suits a matrix.

    Zeros and ones become bits, whatever their type; other dense numbers stay as they are; scipy sparse matrices stay
    sparse, unless they hold zeros and ones alone and more than ``SPARSE_DENSITY`` of ones. A dictionary is returned
    as it is.

    Args:
        matrix: [samples, features]: an array, a scipy sparse matrix, or a :class:`Dictionary`.

    Raises:  ValueError: not a matrix, no row or no column, NaN or infinity. TypeError: what is not real numbers, or
        masked ones.

    >>> as_dictionary(np.eye(3))
    BitDictionary(3 rows, 3 columns, 2.4e-05 MB)
    """
    if isinstance(matrix, Dictionary):
        return matrix
    if hasattr(matrix, "tocsc"):
        return _from_sparse(matrix)
    if isinstance(matrix, Tensor):
        matrix = (matrix.float() if matrix.is_floating_point() and matrix.dtype.itemsize < 4 else matrix).detach().cpu()
    if np.ma.isMaskedArray(matrix) and np.ma.getmask(matrix).any():
        raise TypeError(
            "as_dictionary expects numbers everywhere; got a masked array. Fill it first, by .filled(value)."
        )
    array = np.asarray(matrix)
    require_matrix(array, owner="as_dictionary")
    return BitDictionary.from_columns(array) if _is_binary(array) else DenseDictionary(array)


def _from_sparse(matrix: Any) -> Dictionary:
    sparse = SparseDictionary(matrix)
    data = sparse.nonzeros()
    is_dense = len(data) > SPARSE_DENSITY * sparse.shape[0] * sparse.shape[1]
    return BitDictionary.from_dictionary(sparse) if is_dense and bool((data == 1).all()) else sparse


def _is_binary(array: NDArray[Any]) -> bool:
    if array.dtype == np.bool_:
        return True
    rows = np.array_split(array, max(1, array.size // BLOCK_ENTRIES))
    return array.dtype.kind in "iuf" and all(bool(((block == 0) | (block == 1)).all()) for block in rows)
