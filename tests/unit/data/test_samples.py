"""Samples behave like tensors that are converted when read; splits are disjoint, stratified and repeatable."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch.utils.data import DataLoader

from spikebridge.data import Samples, Stored, digits
from spikebridge.data.split import hold_out, three_ways

VALUES = torch.randint(0, 256, (100, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(100, dtype=torch.uint8) % 10


def samples() -> Samples:
    return Samples(Stored(VALUES, largest=255.0), LABELS)


def numbered(labels: torch.Tensor) -> Samples:
    """Each value is the number of its row."""
    return Samples(Stored(torch.arange(len(labels)).unsqueeze(1)), labels)


def rows_of(part: Samples) -> list[int]:
    return part.tensors[0].flatten().int().tolist()


def test_a_sample_is_a_float_and_a_label() -> None:
    value, label = samples()[7]
    assert torch.equal(value, VALUES[7].float() / 255)
    assert (label.dtype, label.shape, int(label)) == (torch.int64, (), 7)


@pytest.mark.parametrize("index", [slice(3, 50, 7), [5, 1, 1], torch.tensor([9, 0]), -1], ids=str)
def test_samples_are_indexed_like_tensors(index: object) -> None:
    values, labels = samples()[index]
    assert torch.equal(values, VALUES[index].float() / 255)
    assert torch.equal(labels, LABELS[index].long())


def test_samples_end_where_they_end() -> None:
    assert len(list(samples())) == len(samples()) == 100  # iteration stops at an IndexError
    with pytest.raises(IndexError):
        samples()[100]


def test_a_batch_read_at_once_equals_its_samples() -> None:
    whole = samples()
    assert all(
        torch.equal(at_once[0], whole[row][0]) and at_once[1] == whole[row][1]
        for row, at_once in zip([4, 2, 9], whole.__getitems__([4, 2, 9]), strict=True)
    )
    loaded = list(DataLoader(whole, batch_size=32))
    assert [tuple(values.shape) for values, _ in loaded] == [(32, 1, 4, 4)] * 3 + [(4, 1, 4, 4)]
    assert torch.equal(torch.cat([values for values, _ in loaded]), whole.tensors[0])
    assert torch.equal(torch.cat([labels for _, labels in loaded]), whole.tensors[1])


def test_a_part_of_a_part_holds_the_right_rows_and_copies_none() -> None:
    part = samples().part(torch.arange(50, 100)).part(torch.tensor([3, 1]))
    assert torch.equal(part.tensors[0], VALUES[[53, 51]].float() / 255)
    assert part.labels.tolist() == [3, 1]
    assert part.read.values.data_ptr() == VALUES.data_ptr()  # type: ignore[attr-defined]


def test_samples_travel_to_other_processes() -> None:
    copy = pickle.loads(pickle.dumps(samples()))
    assert torch.equal(copy.tensors[0], samples().tensors[0])


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.33])
def test_hold_out_cuts_training_in_two_and_leaves_the_test_set_whole(share: float) -> None:
    labels = torch.tensor([0] * 503 + [1] * 251 + [2] * 17)
    train, test = numbered(labels), numbered(labels[:9])
    split = hold_out(train, test, share=share, seed=3)
    assert sorted(rows_of(split.train) + rows_of(split.validation)) == list(range(len(labels)))
    assert len(split.validation) == round(share * len(labels))
    assert split.test is test
    held, sizes = split.validation.labels.bincount(minlength=3), labels.bincount()
    assert ((held - share * sizes).abs() < 1).all()


def test_the_split_follows_from_the_seed_alone() -> None:
    train = numbered(LABELS.long())
    first, again, other = (rows_of(hold_out(train, train, share=0.2, seed=seed).validation) for seed in (1, 1, 2))
    assert first == again != other
    # Recorded results rest on this very draw.
    assert first == [8, 15, 16, 21, 22, 23, 29, 31, 34, 47, 50, 55, 60, 74, 82, 86, 87, 93, 98, 99]


def test_no_validation_set_is_drawn_only_when_asked_for() -> None:
    train = numbered(LABELS.long())
    assert [len(part) for part in hold_out(train, train, share=0, seed=0)] == [100, 0, 100]
    with pytest.raises(ValueError, match=r"validation=0\.001 holds out none of 100 training samples\. Pass a larger"):
        hold_out(train, train, share=0.001, seed=0)
    for share in (-0.1, 1, float("nan")):
        with pytest.raises(ValueError, match=rf"A validation share lies in \[0, 1\); got {share}"):
            hold_out(train, train, share=share, seed=0)


def test_no_class_loses_its_last_training_sample() -> None:
    train = numbered(torch.tensor([0, 1, 2, 2, 3, 3, 3, 3, 3, 3]))
    split = hold_out(train, train, share=0.4, seed=0)
    assert split.train.labels.bincount().tolist() == [1, 1, 1, 3]
    assert split.validation.labels.bincount().tolist() == [0, 0, 1, 3]


def test_three_ways_cuts_everything_in_60_20_20() -> None:
    split = three_ways(numbered(LABELS.long()), seed=0)
    assert [len(part) for part in split] == [60, 20, 20]
    assert sorted(row for part in split for row in rows_of(part)) == list(range(100))
    assert [part.labels.bincount().tolist() for part in split] == [[6] * 10, [2] * 10, [2] * 10]


def test_at_most_draws_without_repetition_and_by_the_seed() -> None:
    everything = numbered(LABELS.long())
    some, again, other = (rows_of(everything.at_most(30, seed=seed)) for seed in (0, 0, 1))
    assert some == again != other
    assert len(set(some)) == 30
    for size in (None, 100, 1000):
        assert rows_of(everything.at_most(size, seed=0)) == list(range(100))


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    split = digits(seed=1)
    found = torch.cat([part.tensors[0] for part in split]).flatten(1)
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, (torch.from_numpy(pixels).float() / 16).tolist()))
    assert sum(len(part) for part in split) == len(labels)
