"""Columns that say the same, and samples that are the same: kept once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bits import BitDictionary
from .columns import Dictionary, Floats, Index, require_finite
from .dictionary import as_dictionary
from .packing import Words, blocks, popcounts

HASH_SEED = 0x5B1D
"""Of the factors of the hash; any will do, as hashes only propose and an exact comparison decides."""


@dataclass(frozen=True)
class Distinct:
    """The different columns of a dictionary, and where each column is among them.

    d_j = (1 - c_j) kept[source_j] + c_j (1 - kept[source_j]),  c_j = is_complement_j.

    Attributes:
        dictionary: the columns that are kept, in their order.
        kept: [K], where they were.
        source: [P], where each column is among those kept.
        is_complement: [P], whether it is there with zeros and ones exchanged.
        is_constant: [K], whether a kept column is all zeros or all ones.
    """

    dictionary: BitDictionary
    kept: Index
    source: Index
    is_complement: NDArray[np.bool_]
    is_constant: NDArray[np.bool_]

    def merged(self, weights: NDArray[Any]) -> tuple[Floats, Floats]:
        """Weights on the kept columns and a shift of the intercept that give the same scores:  D w = D' w' + shift.

        Shapes:  weights [P] or [P, outputs] -> ([K] or [K, outputs], [] or [outputs]).
        """
        given = np.asarray(weights, dtype=np.float64)
        flipped = self.is_complement.reshape(-1, *[1] * (given.ndim - 1))
        result = np.zeros((len(self.kept), *given.shape[1:]))
        np.add.at(result, self.source, np.where(flipped, -given, given))
        return result, np.asarray(np.where(flipped, given, 0.0).sum(axis=0))

    def spread(self, weights: NDArray[Any]) -> Floats:
        """Weights for all columns, zero where a column is not kept: [K] -> [P], [K, outputs] -> [P, outputs]."""
        given = np.asarray(weights, dtype=np.float64)
        result = np.zeros((len(self.source), *given.shape[1:]))
        result[self.kept] = given
        return result


@dataclass(frozen=True)
class MergedRows:
    """The different samples, and how many of each there are.

    Attributes:
        dictionary: one row of each kind, in the order of their first.
        targets: its targets.
        weights: [rows], how many samples are the same, or the sum of their weights.
        source: [n], which row each sample became.
    """

    dictionary: Dictionary
    targets: NDArray[Any]
    weights: Floats
    source: Index


def distinct(dictionary: BitDictionary, *, intercept: bool = False) -> Distinct:
    """Keep every column once, the first of its kind.

    A weight on a column that repeats another can move there, which leaves the scores as they are and the penalty no
    larger: the optimum stays. With a free intercept the same holds for a column and its complement, as
    (1 - d) w = w - d w.

    Args:
        dictionary: of bits.
        intercept: whether complements count as the same, which needs a free intercept.

    Raises:  TypeError: another kind of dictionary.

    >>> found = distinct(BitDictionary.from_columns(np.array([[0, 0, 1], [1, 1, 0]])), intercept=True)
    >>> found.kept.tolist(), found.source.tolist(), found.is_complement.tolist()
    ([0], [0, 0, 0], [False, False, True])
    """
    if not isinstance(dictionary, BitDictionary):
        raise TypeError(f"distinct expects a BitDictionary; got {type(dictionary).__name__}. from_dictionary packs it.")
    words, (rows, columns) = dictionary.words, dictionary.shape
    starts_with_one = (words[:, 0] & np.uint64(1)).astype(bool)
    flipped = starts_with_one if intercept else np.zeros(columns, dtype=bool)
    full = _full_column(rows, words.shape[1])

    def is_equal(left: Index, right: Index) -> NDArray[np.bool_]:
        result = np.empty(len(left), dtype=bool)
        for part in blocks(words.shape[1], len(left)):
            change = np.where((flipped[left[part]] ^ flipped[right[part]])[:, None], full, np.uint64(0))
            result[part] = ((words[left[part]] ^ words[right[part]]) == change).all(axis=1)
        return result

    prints = _hashes(words)
    prints[flipped] = _hashes(full[None]) - prints[flipped]  # a complement is full - words, word by word
    first = first_equal(prints, is_equal)
    kept, source = np.unique(first, return_inverse=True)
    chosen = dictionary.take_columns(kept)
    ones = popcounts(chosen.words)
    return Distinct(
        chosen, kept, source.reshape(-1), flipped ^ flipped[first], is_constant=(ones == 0) | (ones == rows)
    )


def merge_rows(dictionary: Any, targets: NDArray[Any], *, weights: NDArray[Any] | None = None) -> MergedRows:
    """Keep once the samples that are equal in every feature and in their target, weighted by how many there are.

    sum_i a_i loss(d_i w, y_i) stays what it is for every w; discrete data shrink a lot.

    Args:
        dictionary: [n, features]: an array, a scipy sparse matrix, or a :class:`Dictionary`.
        targets: [n] or [n, outputs].
        weights: a_i, [n]; None is 1 each.

    Raises:  ValueError: targets or weights for another number of samples, targets that are not finite, or weights that
        are not finite and >= 0.

    >>> merged = merge_rows(np.array([[1], [0], [1]]), np.array([2, 2, 2]))
    >>> merged.weights.tolist(), merged.source.tolist()
    ([2.0, 1.0], [0, 1, 0])
    """
    dictionary = as_dictionary(dictionary)
    rows = dictionary.shape[0]
    labels, counts = np.asarray(targets), np.ones(rows) if weights is None else np.asarray(weights, dtype=np.float64)
    if len(labels) != rows or counts.shape != (rows,):
        raise ValueError(
            f"merge_rows expects one target and one weight for each of {rows} samples; got shapes {labels.shape} and "
            f"{counts.shape}."
        )
    require_finite(labels, owner="merge_rows")
    if not (np.isfinite(counts) & (counts >= 0.0)).all():
        raise ValueError(f"merge_rows expects weights that are finite and >= 0; got {counts.min()} to {counts.max()}.")
    same_target = np.unique(labels.reshape(rows, -1), axis=0, return_inverse=True)[1].reshape(-1)
    pieces = [np.arange(dictionary.shape[1])[piece] for piece in blocks(rows, dictionary.shape[1])]
    prints = np.zeros((rows, 2), dtype=np.uint64)
    for number, piece in enumerate(pieces):
        prints += _hashes(_as_words(dictionary.take(piece)), start=number)
    prints = np.column_stack([prints, same_target.astype(np.uint64)])

    def is_equal(left: Index, right: Index) -> NDArray[np.bool_]:
        result: NDArray[np.bool_] = same_target[left] == same_target[right]
        for piece in pieces:
            block = dictionary.take(piece)
            result &= (block[left] == block[right]).all(axis=1)
        return result

    kept, source = np.unique(first_equal(prints, is_equal), return_inverse=True)
    source = source.reshape(-1)
    total = np.zeros(len(kept))
    np.add.at(total, source, counts)
    return MergedRows(dictionary.take_rows(kept), labels[kept], total, source)


def first_equal(prints: NDArray[np.uint64], is_equal: Callable[[Index, Index], NDArray[np.bool_]]) -> Index:
    """For every item the first that equals it.

    Args:
        prints: [items, *], equal for equal items; for others they may be equal too.
        is_equal: whether items are equal, pair by pair.
    """
    first = np.arange(len(prints))
    waiting = first.copy()
    while len(waiting):
        _, lowest, group = np.unique(prints[waiting], axis=0, return_index=True, return_inverse=True)
        candidates = waiting[lowest[group.reshape(-1)]]
        is_same = waiting == candidates
        others = ~is_same
        is_same[others] = is_equal(waiting[others], candidates[others])
        first[waiting[is_same]] = candidates[is_same]
        waiting = waiting[~is_same]
    return first


def _hashes(words: Words, *, start: int = 0) -> NDArray[np.uint64]:
    """128 bits for every row of words, sum_k words_k r_k modulo 2^64 for two sets of factors: [k, W] -> [k, 2]."""
    factors = np.random.default_rng([HASH_SEED, start]).integers(0, 2**64, (words.shape[1], 2), dtype=np.uint64)
    result: NDArray[np.uint64] = words @ (factors | np.uint64(1))
    return result


def _as_words(block: Floats) -> Words:
    bits = (block + 0.0).view(np.uint64)  # -0.0 becomes 0.0
    mixed: Words = bits ^ (bits >> np.uint64(32))  # small whole numbers have ones in their upper half alone
    return mixed


def _full_column(rows: int, count: int) -> Words:
    full = np.full(count, ~np.uint64(0))
    if rows % 64:
        full[-1] = np.uint64((1 << (rows % 64)) - 1)
    return full
