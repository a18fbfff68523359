"""Products of packed bits with real vectors, compiled: every byte of bits looks up a sum that was made before.

Eight rows (or eight columns) have 256 possible sums of their numbers; a byte of bits picks one. That is one addition
for eight entries, without unpacking. Threads share the columns of a result, or its rows, never a sum: an entry is
added up in the same order whatever their number.

Source:  Arlazarov et al., Dokl. Akad. Nauk SSSR 1970 (the "four Russians": products by tables of partial sums).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from .columns import Floats
from .packing import Words, octets_of

TABLES = 4
"""Bytes of rows whose tables are kept at once: with 16 outputs, 128 KB."""

OUTPUTS = 16
"""Outputs taken together."""

ROW_TILE = 2048
"""Rows of a result, a multiple of 64, that stay in the cache while all columns are added to them."""

SHARE = 1 << 22
"""Entries below which a thread of its own is not worth its start."""


def matvec(words: Words, weights: Floats, rows: int) -> Floats:
    """sum_j d_j w_j:  words [k, W], weights [k, outputs] -> [rows, outputs]."""
    product = np.empty((rows, weights.shape[1]))
    for part in _outputs(weights):
        numbers, sums = np.ascontiguousarray(weights[:, part]), np.zeros((rows, part.stop - part.start))

        def work(start: int, stop: int, numbers: Floats = numbers, sums: Floats = sums) -> None:
            _matvec(words, numbers, sums, start, stop, _width(numbers))

        _share(work, rows, len(words), step=ROW_TILE)
        product[:, part] = sums
    return product


def rmatvec(words: Words, values: Floats) -> Floats:
    """d_j . v for every column:  words [k, W], values [rows, outputs] -> [k, outputs]."""
    octets, product = octets_of(words), np.empty((len(words), values.shape[1]))
    for part in _outputs(values):
        numbers, sums = np.ascontiguousarray(values[:, part]), np.zeros((len(words), part.stop - part.start))

        def work(start: int, stop: int, numbers: Floats = numbers, sums: Floats = sums) -> None:
            _rmatvec(octets[start:stop], numbers, sums[start:stop], _width(numbers))

        _share(work, len(words), len(values), step=1)
        product[:, part] = sums
    return product


def gram(words: Words, others: Words) -> NDArray[np.int64]:
    """d_i . d_j by counting common bits:  [k, W], [m, W] -> [k, m]."""
    counts = np.empty((len(words), len(others)), dtype=np.int64)

    def work(start: int, stop: int) -> None:
        _gram(words[start:stop], others, counts[start:stop])

    _share(work, len(words), 64 * words.shape[1] * len(others), step=1)
    return counts


def _outputs(numbers: Floats) -> list[slice]:
    outputs = numbers.shape[1]
    return [slice(start, min(start + OUTPUTS, outputs)) for start in range(0, outputs, OUTPUTS)]


def _width(numbers: Floats) -> tuple[int, ...]:
    """A type that tells the compiler of a single output, whose loops it then leaves out."""
    return (1,) if numbers.shape[1] == 1 else ()


def _share(work: Callable[[int, int], None], length: int, depth: int, *, step: int) -> None:
    """Cut [0, length) into a piece for every thread, at multiples of step."""
    steps = math.ceil(length / step)
    threads = max(1, min(torch.get_num_threads(), length * depth // SHARE, steps))
    if threads == 1:
        work(0, length)
        return
    piece = math.ceil(steps / threads) * step
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, at, min(at + piece, length)) for at in range(0, length, piece)]:
            done.result()


def _fill_python(table: Any, numbers: Any, first: int, width: Any) -> None:
    """table[e] = sum of numbers[first + b] over the bits b of e."""
    outputs = 1 if len(width) == 1 else numbers.shape[1]
    for c in range(outputs):
        table[0, c] = 0.0
    for bit in range(8):
        half = 1 << bit
        is_there = first + bit < numbers.shape[0]
        for entry in range(half):
            for c in range(outputs):
                table[half + entry, c] = table[entry, c] + (numbers[first + bit, c] if is_there else 0.0)


def _rmatvec_python(octets: Any, values: Any, sums: Any, width: Any) -> None:
    outputs = 1 if len(width) == 1 else values.shape[1]
    tables = np.empty((TABLES, 256, values.shape[1]))
    length = -(-values.shape[0] // 8)
    for first in range(0, length, TABLES):
        count = min(TABLES, length - first)
        for k in range(count):
            _fill(tables[k], values, 8 * (first + k), width)
        for j in range(octets.shape[0]):
            for k in range(count):
                entry = octets[j, first + k]
                for c in range(outputs):
                    sums[j, c] += tables[k, entry, c]


def _matvec_python(words: Any, weights: Any, sums: Any, start: int, stop: int, width: Any) -> None:
    outputs = 1 if len(width) == 1 else weights.shape[1]
    table, entries = np.empty((256, weights.shape[1])), np.empty(64, dtype=np.uint64)
    for low in range(start, stop, ROW_TILE):
        high = min(low + ROW_TILE, stop)
        for first in range(0, words.shape[0], 8):
            _fill(table, weights, first, width)
            for word in range(low // 64, -(-high // 64)):
                entries[:] = 0
                for j in range(min(8, words.shape[0] - first)):
                    bits = words[first + j, word]
                    for row in range(64):
                        entries[row] |= ((bits >> np.uint64(row)) & np.uint64(1)) << np.uint64(j)
                for row in range(min(64, high - 64 * word)):
                    for c in range(outputs):
                        sums[64 * word + row, c] += table[entries[row], c]


def _gram_python(words: Any, others: Any, counts: Any) -> None:
    pairs, fours = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333)
    octets, sum_of = np.uint64(0x0F0F0F0F0F0F0F0F), np.uint64(0x0101010101010101)
    for i in range(words.shape[0]):
        for j in range(others.shape[0]):
            count = np.uint64(0)
            for k in range(words.shape[1]):
                bits = words[i, k] & others[j, k]
                bits = bits - ((bits >> np.uint64(1)) & pairs)
                bits = (bits & fours) + ((bits >> np.uint64(2)) & fours)
                bits = (bits + (bits >> np.uint64(4))) & octets
                count += (bits * sum_of) >> np.uint64(56)
            counts[i, j] = count


_compiled = numba.njit(nogil=True, cache=True)
_fill = _compiled(_fill_python)
_matvec, _rmatvec, _gram = _compiled(_matvec_python), _compiled(_rmatvec_python), _compiled(_gram_python)
