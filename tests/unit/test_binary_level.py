"""Levels by brightness as binary digits, against whole numbers."""

from __future__ import annotations

import re

import pytest
import torch

from spikebridge.encoders import BinaryLevel

BYTES = torch.arange(256)


@pytest.mark.parametrize(
    ("value", "digits"),
    [(1.0, "1000"), (0.9, "0100"), (0.5, "0001"), (0.0625, "1111"), (0.05, "0000"), (0.0, "0000")],
)
def test_digits_of_four_steps_lowest_first(value: float, digits: str) -> None:
    assert BinaryLevel(bits=4).encode(torch.tensor(value)[None]).flatten().tolist() == [int(digit) for digit in digits]


@pytest.mark.parametrize("bits", range(1, 9))
def test_every_byte_is_sent_as_its_rank(bits: int) -> None:
    """The rank is the number of the first threshold 1 - (i + 1) / 2^B that is reached, counted from 1."""
    count = 2**bits
    reached = BYTES[:, None] * count >= 255 * (count - 1 - torch.arange(count - 1))
    rank = torch.where(reached.any(1), reached.int().argmax(1) + 1, 0)
    for encoder, x in (
        (BinaryLevel(bits=bits), BYTES / 255),
        (BinaryLevel(bits=bits, value_range=(0.0, 255.0)), BYTES.float()),
    ):
        train = encoder.encode(x)
        assert torch.equal((train.long() << torch.arange(bits)[:, None]).sum(0), rank)
    assert ((train == 0) | (train == 1)).all()


def test_what_is_decoded_is_the_least_value_of_its_interval() -> None:
    encoder, x = BinaryLevel(bits=4), BYTES / 255
    low, high = encoder.interval(encoder.encode(x))
    assert torch.equal(encoder.decode(encoder.encode(x)), low)
    assert torch.equal(low, (BYTES * 16 // 255).clamp(max=15) / 16)
    assert torch.equal(high, low + 1 / 16)
    assert encoder.value_error == 1 / 16


def test_more_digits_decode_better_and_as_many_as_there_are_steps() -> None:
    assert [BinaryLevel(time_steps=steps).value_error for steps in (1, 2, 8)] == [0.5, 0.25, 1 / 256]
    encoder = BinaryLevel()
    assert (encoder.bits, encoder.time_steps, encoder.levels) == (4, 4, 16)


def test_every_digit_stands_for_darkness_backward() -> None:
    x = torch.linspace(0, 1, 33).requires_grad_()
    encoder = BinaryLevel(bits=3)
    train = encoder.encode(x)
    slopes = torch.stack([torch.autograd.grad(step.sum(), x, retain_graph=True)[0] for step in train])
    assert torch.equal(slopes, -torch.ones(3, 33))
    (decoded,) = torch.autograd.grad(encoder.decode(train).sum(), x)
    assert torch.equal(decoded, torch.full((33,), 7 / 8))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"bits": 0}, ValueError, "BinaryLevel expects bits from 1 to 8; got 0. Pass bits=8"),
        ({"bits": 9}, ValueError, "BinaryLevel expects bits from 1 to 8; got 9. Pass bits=8"),
        ({"time_steps": 9}, ValueError, "BinaryLevel expects bits from 1 to 8; got 9. Pass bits=8"),
        ({"bits": 2.5}, TypeError, "BinaryLevel expects bits to be an int from 1 to 8; got 2.5"),
        ({"bits": 3, "time_steps": 4}, ValueError, "one step per digit; got bits = 3 and time_steps = 4. Pass one"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, int], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        BinaryLevel(**settings)
