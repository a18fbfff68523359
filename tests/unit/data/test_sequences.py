"""Sequences that are made, not fetched: what their labels mean, and that no part has an input of another."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from spikebridge.data import Samples, Split, addition, digits, first_last_xor, in_chunks, sums

SPLITS = {
    **{f"xor {bits}": lambda seed, bits=bits: first_last_xor(bits, seed=seed) for bits in (4, 6, 8, 11, 14)},
    **{f"base {base}": lambda seed, base=base: addition(base, samples=600, seed=seed) for base in (2, 3, 5, 10)},
    "base 2, few": lambda seed: addition(2, digits=2, seed=seed),
}


def numbers(part: Samples, base: int) -> Tensor:
    """The two numbers of every row: [rows, 2]."""
    values, _ = part.tensors
    hot = values.reshape(*values.shape[:2], 2, base)
    assert bool((hot.sum(-1) == 1).all())
    powers = base ** torch.arange(values.shape[1])
    return (hot.argmax(-1) * powers[:, None]).sum(1)


def inputs(part: Samples) -> set[tuple[int, ...]]:
    """Every input once; a sum's two numbers in either order are one input."""
    values = part.tensors[0].int()
    half = values.shape[2] // 2
    other = values if half == 1 else torch.cat([values[..., half:], values[..., :half]], dim=2)
    pairs = zip(values.flatten(1).tolist(), other.flatten(1).tolist(), strict=True)
    return {min(tuple(row), tuple(swapped)) for row, swapped in pairs}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", SPLITS)
def test_no_input_is_in_two_parts_nor_twice_in_one(name: str, seed: int) -> None:
    split = SPLITS[name](seed)
    found = [inputs(part) for part in split]
    assert [len(each) for each in found] == [len(part) for part in split]
    for one, other in itertools.combinations(found, 2):
        assert not one & other
    assert min(map(len, split)) > 0


@pytest.mark.parametrize("name", SPLITS)
def test_a_seed_gives_one_split_and_another_seed_another(name: str) -> None:
    first, again, other = SPLITS[name](3), SPLITS[name](3), SPLITS[name](4)
    for part, same in zip(first, again, strict=True):
        assert all(torch.equal(one, two) for one, two in zip(part.tensors, same.tensors, strict=True))
    assert not torch.equal(first.train.tensors[0], other.train.tensors[0])


@pytest.mark.parametrize("bits", [4, 7, 11])
def test_all_strings_are_there_and_labelled_by_their_ends(bits: int) -> None:
    split = first_last_xor(bits)
    assert sum(map(len, split)) == 2**bits
    for part in split:
        values, labels = part.tensors
        assert values.shape == (len(part), bits, 2)
        assert bool((values.sum(-1) == 1).all())
        assert torch.equal(labels, (values[:, 0, 1] != values[:, -1, 1]).long())
        assert abs(labels.float().mean().item() - 0.5) < 0.5 / len(part) + 1e-6


@pytest.mark.parametrize(("base", "digit_count"), [(2, 5), (3, 5), (5, 3), (10, 4), (3, 50)])
def test_digits_and_carries_are_those_of_the_sum(base: int, digit_count: int) -> None:
    part = sums(base, digits=digit_count, samples=50, seed=1)
    values, targets = part.tensors
    assert values.shape == (50, digit_count + 1, 2 * base)
    hot = values.reshape(50, digit_count + 1, 2, base).argmax(-1).tolist()
    for row, wanted in zip(hot, targets.tolist(), strict=True):
        one, two = (sum(pair[which] * base**place for place, pair in enumerate(row)) for which in (0, 1))
        total = one + two
        assert sum(digit * base**place for place, (digit, _) in enumerate(wanted)) == total
        for place, (_, carry) in enumerate(wanted):
            below = base ** (place + 1)
            assert carry == (one % below + two % below) // below


def test_both_orders_of_two_numbers_occur() -> None:
    pairs = numbers(sums(3, digits=4, samples=400), 3)
    assert 100 < int((pairs[:, 0] < pairs[:, 1]).sum()) < 300


def test_where_there_are_few_pairs_all_are_there() -> None:
    pairs = numbers(sums(2, digits=3, samples=10**6), 2).sort(1).values
    assert len(pairs.unique(dim=0)) == len(pairs) == 36


def test_chunks_are_the_image_one_piece_after_another() -> None:
    split: Split = digits()
    cut = in_chunks(split, time_steps=4)
    for part, original in zip(cut, split, strict=True):
        assert torch.equal(part.labels, original.labels)
        assert torch.equal(part[3][0].flatten(), original[3][0].flatten())
    assert cut.test[0][0].shape == (4, 16)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: first_last_xor(3), r"first_last_xor expects 4 to 20 bits; got 3\."),
        (lambda: first_last_xor(21), r"first_last_xor expects 4 to 20 bits; got 21\."),
        (lambda: addition(1), r"sums expects a base in 2 to 36, digits >= 1 and samples >= 1; got 1, 5 and 4096\."),
        (lambda: addition(2, samples=4), r"addition expects at least 5 samples for three parts; got 4\."),
        (lambda: in_chunks(digits(), time_steps=5), r"in_chunks cuts values of 64 numbers .* got time_steps=5\. Take"),
    ],
)
def test_what_cannot_be_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
