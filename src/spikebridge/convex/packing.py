"""Zeros and ones, 64 rows to a word: bit i % 64 of ``words[j, i // 64]`` is entry (i, j) of the matrix.

So a column's bytes run from row 0 upwards, and bits past the last row are zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

ONES = np.array([bin(octet).count("1") for octet in range(256)], dtype=np.uint8)
"""How many ones a byte has."""

BLOCK_ENTRIES = 1 << 22
"""Entries packed or unpacked at a time."""


def word_count(rows: int) -> int:
    """Words that hold one column."""
    return -(-rows // 64)


def blocks(rows: int, columns: int, *, entries: int = BLOCK_ENTRIES) -> list[slice]:
    """All columns, in pieces of about so many entries."""
    width = max(1, entries // rows)
    return [slice(start, min(start + width, columns)) for start in range(0, columns, width)]


def pack(columns: NDArray[Any]) -> Words:
    """One column after another, what is not zero counting as one:  [k, rows] -> [k, W].

    >>> pack(np.array([[1, 0, 1, 1]])).tolist()
    [[13]]
    """
    count, rows = columns.shape
    octets = np.zeros((count, word_count(rows) * 8), dtype=np.uint8)
    octets[:, : -(-rows // 8)] = np.packbits(np.ascontiguousarray(columns != 0), axis=1, bitorder="little")
    return octets.view("<u8").astype(np.uint64, copy=False)


def unpack(words: Words, rows: int) -> NDArray[np.uint8]:
    """Undo :func:`pack`:  [k, W] -> [k, rows] of 0 and 1."""
    return np.unpackbits(octets_of(words), axis=1, count=rows, bitorder="little")


def octets_of(words: Words) -> NDArray[np.uint8]:
    """The bytes of the columns, rows 0 to 7 first:  [k, W] -> [k, 8 W]."""
    return np.ascontiguousarray(words).astype("<u8", copy=False).view(np.uint8)


def popcounts(words: Words) -> NDArray[np.int64]:
    """How many ones each column has:  [k, W] -> [k]."""
    counts = np.empty(len(words), dtype=np.int64)
    for block in blocks(max(1, words.shape[1] * 8), len(words)):
        counts[block] = ONES[octets_of(words[block])].sum(axis=1, dtype=np.int64)
    return counts
