"""Every kind of dictionary multiplies as the matrix it stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from spikebridge.convex import (
    BitDictionary,
    DenseDictionary,
    Dictionary,
    SparseDictionary,
    StreamedDictionary,
    as_dictionary,
)

from .dictionaries import KINDS, SHAPES, zeros_and_ones

ROUNDING = 1e-12
"""Relative; sums of at most 257 normal numbers in float64."""

kinds = pytest.mark.parametrize("kind", KINDS)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def close(found: Any, wanted: Any) -> bool:
    return found.shape == wanted.shape and np.allclose(found, wanted, rtol=ROUNDING, atol=ROUNDING)


@kinds
@shapes
@pytest.mark.parametrize("outputs", [None, 1, 3, 10, 17])
def test_products_are_those_of_the_matrix(kind: str, shape: tuple[int, int], outputs: int | None) -> None:
    matrix = zeros_and_ones(*shape)
    found, generator = KINDS[kind](matrix), np.random.default_rng(1)
    tail = () if outputs is None else (outputs,)
    weights, values = generator.normal(size=(shape[1], *tail)), generator.normal(size=(shape[0], *tail))
    assert found.shape == shape
    for product, wanted in ((found.matvec(weights), matrix @ weights), (found.rmatvec(values), matrix.T @ values)):
        assert product.dtype == np.float64 and close(product, wanted)


@kinds
@shapes
def test_products_restricted_to_columns(kind: str, shape: tuple[int, int]) -> None:
    matrix = zeros_and_ones(*shape)
    found, generator = KINDS[kind](matrix), np.random.default_rng(2)
    values = generator.normal(size=(shape[0], 3))
    for count in (0, 1, 6):
        columns = generator.integers(0, shape[1], count)  # in any order, with repeats
        weights = generator.normal(size=(count, 3))
        assert close(found.matvec(weights, columns=columns), matrix[:, columns] @ weights)
        assert close(found.rmatvec(values, columns=columns), matrix[:, columns].T @ values)
        assert np.array_equal(found.take(columns), matrix[:, columns])


@kinds
@shapes
def test_norms_sums_and_rows(kind: str, shape: tuple[int, int]) -> None:
    matrix = zeros_and_ones(*shape)
    found = KINDS[kind](matrix)
    assert np.array_equal(found.column_sums(), matrix.sum(axis=0))
    assert np.array_equal(found.column_norms(), np.square(matrix).sum(axis=0))
    rows = np.random.default_rng(3).integers(0, shape[0], 71)
    some = found.take_rows(rows)
    assert type(some) is type(found)
    assert np.array_equal(some.take(np.arange(shape[1])), matrix[rows])


@pytest.mark.parametrize("kind", ["dense", "dense float32", "sparse", "streamed"])
def test_real_numbers(kind: str) -> None:
    matrix = np.random.default_rng(4).normal(size=(30, 10)).astype(np.float32).astype(np.float64)
    found = KINDS[kind](matrix)
    assert not found.is_binary
    assert close(found.column_norms(), np.square(matrix).sum(axis=0)) and close(found.column_sums(), matrix.sum(axis=0))
    assert close(found.rmatvec(np.arange(30.0)), matrix.T @ np.arange(30.0))


def test_dense_products_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikebridge.convex.dense.BLOCK_ENTRIES", 100)
    matrix = np.random.default_rng(5).normal(size=(57, 9)).astype(np.float32)
    found, wide = DenseDictionary(matrix), matrix.astype(np.float64)
    assert close(found.matvec(np.arange(9.0)), wide @ np.arange(9.0))
    assert close(found.rmatvec(np.arange(57.0)), wide.T @ np.arange(57.0))
    assert close(found.column_norms(), np.square(wide).sum(axis=0))


@kinds
def test_operands_that_do_not_fit_are_refused(kind: str) -> None:
    found = KINDS[kind](zeros_and_ones(6, 4))
    for refused in (
        lambda: found.matvec(np.ones(6)),
        lambda: found.rmatvec(np.ones(4)),
        lambda: found.matvec(np.ones((4, 1, 1))),
        lambda: found.matvec(np.ones(4), columns=np.array([0, 1])),
        lambda: found.rmatvec(np.float64(1.0)),
    ):
        with pytest.raises(ValueError, match=r"of 6 rows and 4 columns expects (weights|values) \[\d\]"):
            refused()
    for columns in ([0, 4], [-1], [[0]]):
        with pytest.raises(ValueError, match=r"expects column indices in \[0, 4\)"):
            found.take(np.array(columns))
    with pytest.raises(TypeError, match=r"A mask becomes indices with numpy\.flatnonzero"):
        found.take(np.array([True, False, True, False]))
    with pytest.raises(ValueError, match=r"expects row indices in \[0, 6\)"):
        found.take_rows(np.array([6]))


BINARY = zeros_and_ones(40, 5)
REAL = BINARY + 0.5


@pytest.mark.parametrize(
    ("matrix", "kind"),
    [
        (BINARY, BitDictionary),
        (BINARY.astype(np.float32), BitDictionary),
        (BINARY.astype(bool), BitDictionary),
        (BINARY.astype(np.int8), BitDictionary),
        (BINARY.tolist(), BitDictionary),
        (REAL, DenseDictionary),
        (2 * BINARY.astype(np.uint8), DenseDictionary),
        (sparse.csr_matrix(BINARY), BitDictionary),
        (sparse.coo_array(2 * BINARY), SparseDictionary),
        (sparse.eye_array(50), SparseDictionary),
    ],
)
def test_the_kind_that_suits_a_matrix(matrix: Any, kind: type[Dictionary]) -> None:
    found = as_dictionary(matrix)
    wanted = matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix, dtype=np.float64)
    assert type(found) is kind
    assert np.array_equal(found.take(np.arange(found.shape[1])), wanted)
    assert as_dictionary(found) is found


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.int64, torch.bool])
def test_tensors_are_taken_as_they_are(dtype: torch.dtype) -> None:
    tensor = torch.from_numpy(BINARY).to(dtype).requires_grad_(dtype.is_floating_point)
    found = as_dictionary(tensor)
    assert type(found) is BitDictionary
    assert np.array_equal(found.take(np.arange(found.shape[1])), BINARY)


@pytest.mark.parametrize("make", [as_dictionary, DenseDictionary, BitDictionary.from_columns])
def test_what_is_no_matrix_is_refused(make: Any) -> None:
    for shape in ((3,), (2, 2, 2), ()):
        with pytest.raises(ValueError, match=r"expects a matrix \[samples, features\]"):
            make(np.zeros(shape))
    for shape in ((0, 3), (3, 0)):
        with pytest.raises(ValueError, match="at least one row and one column"):
            make(np.zeros(shape))
    for wrong in (np.nan, np.inf):
        with pytest.raises(ValueError, match="got 1 that are NaN or infinite"):
            make(np.array([[0.0, wrong], [1.0, 0.0]]))


def test_other_refusals() -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        as_dictionary(sparse.csr_array(np.array([[np.nan, 0.0]])))
    with pytest.raises(TypeError, match="expects real numbers; got complex128"):
        as_dictionary(np.array([[1j]]))
    with pytest.raises(TypeError, match="got a masked array"):
        as_dictionary(np.ma.masked_equal(np.eye(2), 0.0))
    with pytest.raises(TypeError, match="expects a scipy sparse matrix; got ndarray"):
        SparseDictionary(np.eye(2))
    with pytest.raises(ValueError, match=r"BitDictionary expects zeros and ones; got 2\.0"):
        BitDictionary.from_columns(np.array([[0.0, 2.0]]))
    with pytest.raises(ValueError, match="at least one block"):
        StreamedDictionary(lambda number: BINARY, blocks=0)
