"""Sums of two numbers, digit by digit: what is written down and what is carried, at every step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .samples import Samples
from .split import Split


def addition(base: int, *, digits: int = 5, samples: int = 4096, seed: int = 0) -> Split:
    """Pairs of numbers and the digits and carries of their sum, cut 60 / 20 / 20 %.

    No two numbers are added in two parts, in either order, nor twice in one. Digits come least significant first, one
    pair a step, and one step more, of two zeros, for the last carry:

        total_t = a_t + b_t + carry_{t-1};  digit_t = total_t mod base;  carry_t = floor(total_t / base).

    Args:
        base: of the numbers (2 to 36).
        digits: of each number, leading zeros included (>= 1); T = digits + 1.
        samples: in all parts; fewer where there are fewer unordered pairs of numbers.
        seed: of the pairs and of the split.

    Shapes:  (value [time, 2 * base], targets [time, 2]): the two digits one-hot; digit and carry of the sum. These
        targets are what ``Samples`` calls labels.
    Raises:  ValueError: a base outside 2 to 36, no digit, or fewer than 5 samples.
    Source:  arXiv 2605.08022, where pairs are drawn with replacement; a split by pair is ours.

    >>> train, validation, test = addition(2, digits=3)
    >>> len(train), len(validation), len(test)  # of 36 unordered pairs
    (22, 7, 7)
    """
    everything = sums(base, digits=digits, samples=samples, seed=seed)
    size = len(everything)
    if size < 5:
        raise ValueError(
            f"addition expects at least 5 samples for three parts; got {size}. Ask for more, or for digits."
        )
    fifth = size // 5
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    cuts = (size - 2 * fifth, fifth, fifth)
    return Split(*(everything.part(rows) for rows in torch.split(order, list(cuts))))


def sums(base: int, *, digits: int, samples: int, seed: int = 0) -> Samples:
    """Different pairs of numbers and their sums, as :func:`addition` has them; a test set of longer numbers, say.

    Args:
        base: of the numbers (2 to 36).
        digits: of each number (>= 1).
        samples: how many; fewer where there are fewer unordered pairs.
        seed: of the pairs.

    >>> value, targets = sums(10, digits=2, samples=1)[0]
    >>> first, second = (int(part.argmax(1) @ torch.tensor([1, 10, 100])) for part in value.split(10, dim=1))
    >>> first + second == int(targets[:, 0] @ torch.tensor([1, 10, 100]))
    True
    """
    if not 2 <= base <= 36 or digits < 1 or samples < 1:
        raise ValueError(
            f"sums expects a base in 2 to 36, digits >= 1 and samples >= 1; got {base}, {digits} and {samples}."
        )
    pairs = _pairs(base, digits, samples, torch.Generator().manual_seed(seed))
    return Samples(_Pairs(pairs, base), _added(pairs, base))


@dataclass(frozen=True, eq=False)
class _Pairs:
    pairs: Tensor  # [rows, time, 2], digits of both numbers
    base: int

    def __call__(self, rows: Tensor) -> Tensor:
        return F.one_hot(self.pairs[rows].long(), self.base).flatten(2).float()


def _pairs(base: int, digits: int, samples: int, generator: torch.Generator) -> Tensor:
    """[rows, digits + 1, 2]: different unordered pairs of numbers, in a random order of rows and of both numbers."""
    numbers = base**digits
    available = numbers * (numbers + 1) // 2
    if available <= max(samples, 1 << 16):
        first, second = torch.triu_indices(numbers, numbers)
        found = torch.stack([_digits(first, base, digits), _digits(second, base, digits)], dim=2)
    else:
        found = torch.empty(0, digits, 2, dtype=torch.uint8)
    while len(found) < min(samples, available):
        drawn = torch.randint(base, (2 * samples, digits, 2), generator=generator, dtype=torch.uint8)
        # Sorted by the first digit that differs, a pair has one form.
        found = torch.unique(torch.cat([found, _ordered(drawn)]), dim=0)
    found = found[torch.randperm(len(found), generator=generator)[:samples]]
    is_swapped = torch.rand(len(found), generator=generator) < 0.5
    found = torch.where(is_swapped[:, None, None], found.flip(2), found)
    return F.pad(found, (0, 0, 0, 1))


def _ordered(pairs: Tensor) -> Tensor:
    differs = pairs[..., 0] != pairs[..., 1]
    where = differs.int().argmax(1)[:, None, None].expand(-1, 1, 2)
    first = pairs.gather(1, where)
    return torch.where(first[..., :1] > first[..., 1:], pairs.flip(2), pairs)


def _digits(numbers: Tensor, base: int, digits: int) -> Tensor:
    return (numbers[:, None] // base ** torch.arange(digits) % base).to(torch.uint8)


def _added(pairs: Tensor, base: int) -> Tensor:
    """[rows, time, 2] -> [rows, time, 2], digit and carry."""
    carry = torch.zeros(len(pairs), dtype=torch.long)
    found = []
    for step in range(pairs.shape[1]):
        total = pairs[:, step].long().sum(1) + carry
        carry = total // base
        found.append(torch.stack([total % base, carry], dim=1))
    return torch.stack(found, dim=1)
