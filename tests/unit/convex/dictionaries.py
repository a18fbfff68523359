"""One matrix in every kind of dictionary."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from spikebridge.convex import BitDictionary, DenseDictionary, Dictionary, SparseDictionary, StreamedDictionary

Matrix = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def streamed(matrix: Matrix) -> StreamedDictionary:
    """In blocks of one column, two or more, whichever divides."""
    width = next(size for size in (5, 3, 2, 1) if matrix.shape[1] % size == 0)
    return StreamedDictionary(lambda number: matrix[:, number * width :][:, :width], blocks=matrix.shape[1] // width)


KINDS: dict[str, Callable[[Matrix], Dictionary]] = {
    "dense": DenseDictionary,
    "dense float32": lambda matrix: DenseDictionary(matrix.astype(np.float32)),
    "dense bytes": lambda matrix: DenseDictionary(matrix.astype(np.uint8)),
    "bits by numpy": lambda matrix: BitDictionary.from_columns(matrix, kernels="numpy"),
    "bits by numba": lambda matrix: BitDictionary.from_columns(matrix, kernels="numba"),
    "sparse": lambda matrix: SparseDictionary(sparse.csr_array(matrix)),
    "streamed": streamed,
}

SHAPES = ((1, 1), (1, 70), (63, 2), (64, 7), (65, 9), (130, 1), (257, 40))


def zeros_and_ones(rows: int, columns: int, *, density: float = 0.3, seed: int = 0) -> Matrix:
    """At random, but that the first column is all ones and the last all zeros where there are several."""
    matrix = (np.random.default_rng([seed, rows, columns]).random((rows, columns)) < density).astype(np.float64)
    if columns > 1:
        matrix[:, 0], matrix[:, -1] = 1.0, 0.0
    return matrix
