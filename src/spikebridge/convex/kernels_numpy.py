"""Products of packed bits with real vectors, in NumPy: tiles are unpacked and handed to BLAS."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .columns import Floats
from .packing import Words, blocks, unpack

TILE_ENTRIES = 1 << 18
"""Entries unpacked at a time: 2 MB as float64, which a cache holds."""

FLOAT32_COUNTS = 1 << 24
"""Rows up to which float32 counts exactly."""


def matvec(words: Words, weights: Floats, rows: int) -> Floats:
    """sum_j d_j w_j:  words [k, W], weights [k, outputs] -> [rows, outputs]."""
    product = np.zeros((weights.shape[1], rows))
    for tile in blocks(rows, len(words), entries=TILE_ENTRIES):
        product += weights[tile].T @ unpack(words[tile], rows).astype(np.float64)
    return np.ascontiguousarray(product.T)


def rmatvec(words: Words, values: Floats) -> Floats:
    """d_j . v for every column:  words [k, W], values [rows, outputs] -> [k, outputs]."""
    product = np.empty((len(words), values.shape[1]))
    for tile in blocks(len(values), len(words), entries=TILE_ENTRIES):
        np.matmul(unpack(words[tile], len(values)).astype(np.float64), values, out=product[tile])
    return product


def gram(words: Words, others: Words) -> NDArray[np.int64]:
    """d_i . d_j, exact:  [k, W], [m, W] -> [k, m]."""
    rows = 64 * words.shape[1]
    real = np.float32 if rows < FLOAT32_COUNTS else np.float64
    counts = np.empty((len(words), len(others)), dtype=np.int64)
    for tile in blocks(rows, len(others)):
        right = unpack(others[tile], rows).T.astype(real)
        for piece in blocks(rows, len(words)):
            counts[piece, tile] = unpack(words[piece], rows).astype(real) @ right
    return counts
