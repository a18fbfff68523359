"""Columns and rows that repeat are kept once, and nothing that is minimised changes."""

from __future__ import annotations

import numpy as np
import pytest

from spikebridge.convex import BitDictionary, DenseDictionary, Dictionary, distinct, merge_rows
from spikebridge.convex import duplicates as module

from .dictionaries import Matrix, streamed, zeros_and_ones


def repeating(rows: int, *, seed: int = 0) -> Matrix:
    """60 columns: 7 different ones, their complements, and constants."""
    generator = np.random.default_rng([seed, rows])
    base = (generator.random((rows, 7)) < 0.4).astype(float)
    columns = np.concatenate([base, 1.0 - base, np.zeros((rows, 1)), np.ones((rows, 1))], axis=1)
    return columns[:, generator.integers(0, columns.shape[1], 60)]


@pytest.mark.parametrize("rows", [9, 64, 130])
@pytest.mark.parametrize("intercept", [False, True])
def test_kept_columns_are_the_first_of_their_kind(rows: int, intercept: bool) -> None:
    matrix = repeating(rows)
    found = distinct(BitDictionary.from_columns(matrix), intercept=intercept)
    kinds: dict[bytes, int] = {}
    for place, column in enumerate(matrix.T):
        forms = [column.tobytes(), (1.0 - column).tobytes()][: 2 if intercept else 1]
        if not any(form in kinds for form in forms):
            kinds[forms[0]] = place
    assert found.kept.tolist() == list(kinds.values())
    kept = matrix[:, found.kept]
    again = np.where(found.is_complement, 1.0 - kept[:, found.source], kept[:, found.source])
    assert np.array_equal(again, matrix)
    assert np.array_equal(found.dictionary.take(np.arange(len(found.kept))), kept)
    assert np.array_equal(found.is_constant, kept.min(axis=0) == kept.max(axis=0))
    assert found.is_complement.any() == intercept


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("outputs", [None, 3])
def test_scores_stay_and_the_penalty_does_not_grow(intercept: bool, outputs: int | None) -> None:
    bits = BitDictionary.from_columns(repeating(50))
    found = distinct(bits, intercept=intercept)
    weights = np.random.default_rng(1).normal(size=(60,) if outputs is None else (60, outputs))
    merged, shift = found.merged(weights)
    assert np.allclose(found.dictionary.matvec(merged) + shift, bits.matvec(weights))
    assert np.abs(merged).sum() <= np.abs(weights).sum()
    assert intercept or not np.any(shift)
    assert np.allclose(bits.matvec(found.spread(merged)), found.dictionary.matvec(merged))
    assert np.array_equal(found.spread(merged)[found.kept], merged)
    assert np.count_nonzero(found.spread(merged)) == np.count_nonzero(merged)


def test_hashes_that_collide_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = repeating(50)
    bits = BitDictionary.from_columns(matrix)
    wanted, rows = distinct(bits, intercept=True), merge_rows(bits, np.zeros(50))
    monkeypatch.setattr(module, "_hashes", lambda words, start=0: np.zeros((len(words), 2), dtype=np.uint64))
    assert np.array_equal(distinct(bits, intercept=True).source, wanted.source)
    assert np.array_equal(merge_rows(bits, np.zeros(50)).source, rows.source)


KINDS = {"bits": BitDictionary.from_columns, "dense": DenseDictionary, "streamed": streamed}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_weighted", [False, True])
def test_merged_rows_leave_every_objective_as_it_is(kind: str, is_weighted: bool) -> None:
    generator = np.random.default_rng(2)
    matrix = zeros_and_ones(6, 10)[generator.integers(0, 6, 200)]
    targets = generator.integers(0, 3, 200)
    weights = generator.random(200) if is_weighted else None
    dictionary: Dictionary = KINDS[kind](matrix)
    merged = merge_rows(dictionary, targets, weights=weights)
    assert merged.dictionary.shape[0] == len(np.unique(np.column_stack([matrix, targets]), axis=0))
    assert np.array_equal(merged.dictionary.take(np.arange(10))[merged.source], matrix)
    assert np.array_equal(merged.targets[merged.source], targets)
    counts = np.ones(200) if weights is None else weights
    for _ in range(3):
        readout = generator.normal(size=10)
        full = np.sum(counts * np.square(dictionary.matvec(readout) - targets))
        less = np.sum(merged.weights * np.square(merged.dictionary.matvec(readout) - merged.targets))
        assert np.isclose(full, less, rtol=1e-12)


def test_rows_of_real_numbers_and_of_several_targets() -> None:
    matrix = np.array([[0.5, 0.0], [0.5, -0.0], [0.5, 1e-300], [0.5, 0.0]])
    assert merge_rows(DenseDictionary(matrix), np.zeros(4)).source.tolist() == [0, 0, 1, 0]
    targets = np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0], [1.0, 3.0]])
    assert merge_rows(DenseDictionary(matrix), targets).source.tolist() == [0, 0, 1, 2]


def test_refusals() -> None:
    with pytest.raises(TypeError, match="expects a BitDictionary; got DenseDictionary"):
        distinct(DenseDictionary(np.eye(2)))  # type: ignore[arg-type]
    bits = BitDictionary.from_columns(np.eye(2))
    for targets, weights in ((np.zeros(3), None), (np.zeros(2), np.ones(3))):
        with pytest.raises(ValueError, match="one target and one weight for each of 2 samples"):
            merge_rows(bits, targets, weights=weights)
    for strange in (np.nan, np.inf, -1.0):
        with pytest.raises(ValueError, match="merge_rows expects weights that are finite and >= 0"):
            merge_rows(bits, np.zeros(bits.shape[0]), weights=np.full(bits.shape[0], strange))
    with pytest.raises(ValueError, match="merge_rows expects finite numbers"):
        merge_rows(bits, np.array([0.0, np.nan]))
