"""Packed bits: their size, their kernels, and products that are exact."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch

from spikebridge.convex import BitDictionary, DenseDictionary, exact_rmatvec
from spikebridge.convex.kernels import KERNELS, kernels_for
from spikebridge.convex.packing import pack, popcounts, unpack, word_count

from .dictionaries import SHAPES, zeros_and_ones

ROUNDING = 1e-12
names = pytest.mark.parametrize("name", KERNELS)


@pytest.fixture
def _three_threads(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Three threads, for any amount of work."""
    before = torch.get_num_threads()
    monkeypatch.setattr("spikebridge.convex.kernels_numba.SHARE", 1)
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_packing_is_undone_by_unpacking(shape: tuple[int, int]) -> None:
    matrix = zeros_and_ones(*shape)
    words = pack(matrix.T)
    assert words.shape == (shape[1], word_count(shape[0]))
    assert np.array_equal(unpack(words, shape[0]).T, matrix)
    assert np.array_equal(popcounts(words), matrix.sum(axis=0))


def test_row_i_is_bit_i_of_its_column() -> None:
    matrix = np.zeros((70, 1))
    matrix[[0, 3, 65]] = 1.0
    assert BitDictionary.from_columns(matrix).words.tolist() == [[1 + 2**3, 2]]


def test_a_thirty_second_of_float32() -> None:
    rows, columns = 1000, 50
    assert BitDictionary.from_columns(zeros_and_ones(rows, columns)).nbytes <= 4 * rows * columns / 32 + 8 * columns


def test_spikes_become_columns_step_after_step() -> None:
    train = (torch.rand(4, 9, 2, 3) < 0.4).float()
    found = BitDictionary.from_spikes(train)
    for step in range(4):
        columns = np.arange(6) + step * 6
        assert np.array_equal(found.take(columns), train[step].flatten(1).numpy())


@names
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gram_counts_common_ones(name: str, shape: tuple[int, int]) -> None:
    matrix = zeros_and_ones(*shape)
    found = BitDictionary.from_columns(matrix, kernels=name)
    wanted = (matrix.T @ matrix).astype(np.int64)
    assert found.gram().dtype == np.int64 and np.array_equal(found.gram(), wanted)
    left, right = np.array([shape[1] - 1, 0]), np.array([0])
    assert np.array_equal(found.gram(left, right), wanted[np.ix_(left, right)])


@names
def test_kernels_on_more_rows_and_columns_than_one_tile(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikebridge.convex.kernels_numpy.TILE_ENTRIES", 10_000)
    matrix, generator = zeros_and_ones(4999, 37), np.random.default_rng(0)
    weights, values = generator.normal(size=(37, 2)), generator.normal(size=(4999, 2))
    kernels, words = kernels_for(name), pack(matrix.T)
    assert np.allclose(kernels.matvec(words, weights, 4999), matrix @ weights, rtol=ROUNDING, atol=ROUNDING)
    assert np.allclose(kernels.rmatvec(words, values), matrix.T @ values, rtol=ROUNDING, atol=1e3 * ROUNDING)


@pytest.mark.usefixtures("_three_threads")
def test_threads_change_nothing() -> None:
    matrix, generator = zeros_and_ones(5000, 101), np.random.default_rng(0)
    weights, values = generator.normal(size=(101, 3)), generator.normal(size=(5000, 3))
    kernels, words = kernels_for("numba"), pack(matrix.T)

    def products() -> list[Any]:
        return [kernels.matvec(words, weights, 5000), kernels.rmatvec(words, values), kernels.gram(words, words)]

    shared = products()
    torch.set_num_threads(1)
    assert all(np.array_equal(one, other) for one, other in zip(shared, products(), strict=True))
    assert np.allclose(shared[0], matrix @ weights) and np.array_equal(shared[2], matrix.T @ matrix)


def test_without_numba_numpy_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels_for("auto") is kernels_for("numba")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "numba" else find(name))
    assert kernels_for("auto") is kernels_for("numpy")
    with pytest.raises(ImportError, match=r"pip install 'spikebridge\[convex\]'"):
        kernels_for("numba")
    with pytest.raises(ValueError, match="expects kernels 'auto', 'numba' or 'numpy'; got 'cuda'"):
        BitDictionary.from_columns(np.eye(2), kernels="cuda")


def test_small_dictionaries_wait_for_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    found = BitDictionary.from_columns(zeros_and_ones(100, 100))
    assert found._kernels is kernels_for("numpy")
    monkeypatch.setattr("spikebridge.convex.bits.COMPILED_FROM", 100)
    assert found._kernels is kernels_for("numba")


@pytest.mark.parametrize(
    ("words", "rows"), [(np.zeros((3, 1)), 65), (np.zeros((0, 1)), 5), (np.zeros(3), 5), (np.zeros((3, 0)), 0)]
)
def test_words_that_do_not_fit_are_refused(words: Any, rows: int) -> None:
    with pytest.raises(ValueError, match=rf"of {rows} rows expects words \[columns, {word_count(rows)}\]"):
        BitDictionary(words.astype(np.uint64), rows)


def test_ones_past_the_last_row_are_refused() -> None:
    with pytest.raises(ValueError, match="zeros past the last row"):
        BitDictionary(np.array([[32]], dtype=np.uint64), 5)
    assert BitDictionary(np.array([[31]], dtype=np.uint64), 5).column_sums().tolist() == [5.0]


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e12])
def test_exact_products_do_not_depend_on_who_multiplies(scale: float) -> None:
    matrix = zeros_and_ones(3001, 83)
    values = np.random.default_rng(1).normal(size=(3001, 3)) * scale
    order = np.random.default_rng(2).permutation(3001)
    found = [exact_rmatvec(BitDictionary.from_columns(matrix, kernels=name), values) for name in KERNELS]
    found.append(exact_rmatvec(BitDictionary.from_columns(matrix[order]), values[order]))
    quantum = found[0].quantum
    halves = [
        exact_rmatvec(BitDictionary.from_columns(matrix[rows]), values[rows], quantum=quantum).products
        for rows in (slice(0, 1000), slice(1000, None))
    ]
    whole = np.rint(values / quantum).astype(np.int64)
    wanted = (matrix.astype(np.int64).T @ whole).astype(np.float64) * quantum
    for products in (*(one.products for one in found), halves[0] + halves[1]):
        assert np.array_equal(products, wanted)


def test_exact_products_are_within_their_slack() -> None:
    matrix = zeros_and_ones(2000, 60)
    values = np.random.default_rng(3).normal(size=2000)
    bits = BitDictionary.from_columns(matrix)
    for quantum in (2.0**-6, 2.0**-20):
        found = exact_rmatvec(bits, values, quantum=quantum)
        off = np.abs(
            found.products - np.array([np.sum(values[column > 0], dtype=np.longdouble) for column in matrix.T])
        )
        assert (off <= found.slack + 1e-11).all() and off.max() > found.slack.max() / 200
        assert (found.slack <= 2000 * quantum / 2).all()
    assert exact_rmatvec(bits, values).slack.max() < 1e-9


def test_exact_products_refuse_what_would_not_be_exact() -> None:
    bits = BitDictionary.from_columns(np.eye(3))
    for quantum in (0.3, 2.0**-60):
        with pytest.raises(ValueError, match="expects a power of two of at least"):
            exact_rmatvec(bits, np.ones(3), quantum=quantum)
    with pytest.raises(ValueError, match="expects a dictionary of zeros and ones"):
        exact_rmatvec(DenseDictionary(np.eye(3) * 0.5), np.ones(3))
