"""A dictionary made block by block, and no more blocks than are needed."""

from __future__ import annotations

import numpy as np
import pytest

from spikebridge.convex import BitDictionary, StreamedDictionary, exact_rmatvec

from .dictionaries import Matrix, zeros_and_ones

ROWS, WIDTH, BLOCKS = 70, 4, 6
MATRIX = zeros_and_ones(ROWS, WIDTH * BLOCKS)


class Maker:
    """Makes blocks of one matrix and remembers which."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __call__(self, number: int) -> Matrix:
        self.made.append(number)
        return MATRIX[:, number * WIDTH :][:, :WIDTH]


def test_a_product_makes_every_block_once() -> None:
    maker = Maker()
    pool = StreamedDictionary(maker, blocks=BLOCKS)
    for product in (lambda: pool.matvec(np.ones(24)), lambda: pool.rmatvec(np.ones(ROWS)), lambda: list(pool.chunks())):
        maker.made.clear()
        product()
        assert maker.made == list(range(BLOCKS))


def test_columns_make_only_the_blocks_they_are_in() -> None:
    maker = Maker()
    pool = StreamedDictionary(maker, blocks=BLOCKS)
    columns = np.array([21, 2, 23, 2])
    maker.made.clear()
    assert np.array_equal(pool.take(columns), MATRIX[:, columns])
    assert maker.made == [0, 5]


def test_sums_and_norms_are_made_once() -> None:
    maker = Maker()
    pool = StreamedDictionary(maker, blocks=BLOCKS)
    pool.column_sums()[:] = 0.0  # what was given out may be written on
    maker.made.clear()
    assert np.array_equal(pool.column_sums(), MATRIX.sum(axis=0)) and maker.made == []
    assert pool.nbytes == 8 * WIDTH * BLOCKS


def test_chunks_are_the_columns_in_order() -> None:
    for columns, block in StreamedDictionary(Maker(), blocks=BLOCKS).chunks():
        assert isinstance(block, BitDictionary)
        assert np.array_equal(block.take(np.arange(WIDTH)), MATRIX[:, columns])


def test_exact_products_equal_those_of_the_stored_dictionary() -> None:
    values = np.random.default_rng(0).normal(size=(ROWS, 3))
    stored, made = BitDictionary.from_columns(MATRIX), StreamedDictionary(Maker(), blocks=BLOCKS)
    assert made.is_binary
    assert np.array_equal(exact_rmatvec(made, values).products, exact_rmatvec(stored, values).products)


def test_blocks_of_another_shape_are_refused() -> None:
    pool = StreamedDictionary(lambda number: np.zeros((5, 2 + number)), blocks=2)
    with pytest.raises(ValueError, match=r"block 0 is \(5, 2\), block 1 is \(5, 3\)"):
        pool.rmatvec(np.ones(5))


def test_zeros_and_ones_are_promised_for_all_blocks_or_none() -> None:
    blocks = [np.array([[0.0], [1.0], [1.0]]), np.array([[0.0], [0.3], [1.0]])]
    pool = StreamedDictionary(lambda number: blocks[number], blocks=2)
    with pytest.raises(ValueError, match="zeros and ones in every block, as block 0 has them; block 1 holds other"):
        pool.rmatvec(np.ones(3))
    other = StreamedDictionary(lambda number: blocks[1 - number], blocks=2)
    assert not other.is_binary and other.rmatvec(np.ones(3)).tolist() == [1.3, 2.0]
    few = other.take_rows(np.array([0, 2]))
    assert not few.is_binary and few.column_sums().tolist() == [1.0, 1.0]
