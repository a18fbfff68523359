"""Three disjoint parts of a data set, drawn by seed with equal shares of every class."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .samples import Samples


class Split(NamedTuple):
    """Three disjoint parts of a data set; choices are made on validation, figures reported on test."""

    train: Samples
    validation: Samples
    test: Samples


class Parts(NamedTuple):
    """A data set as its authors published it.

    Attributes:
        train: the official training set, or all there is.
        test: the official test set; None where the authors drew none.
    """

    train: Samples
    test: Samples | None = None


def hold_out(train: Samples, test: Samples, *, share: float, seed: int) -> Split:
    """Draw the validation set from the official training set; the official test set stays whole.

    round(share * N) of N training samples are held out: of a class with n samples, share * n rounded down, and one more
    of those classes that lost most by rounding. So each part has the classes' own proportions. A class keeps at least
    one training sample, so of very small classes fewer are held out.

    Args:
        train: the official training set.
        test: the official test set.
        share: of every class in the training set, in [0, 1).
        seed: of the draw; the same seed gives the same split on every machine.

    Raises:  ValueError: a share outside [0, 1), or so small that nothing is held out.
    """
    if not 0 <= share < 1:
        raise ValueError(f"A validation share lies in [0, 1); got {share}. Pass 0.1 to hold out a tenth.")
    drawn = _draw(train.labels, share, torch.Generator().manual_seed(seed))
    if share and not drawn.any():
        raise ValueError(
            f"validation={share} holds out none of {len(train)} training samples. "
            "Pass a larger share, or 0 for no validation set."
        )
    return Split(train.part((~drawn).nonzero().flatten()), train.part(drawn.nonzero().flatten()), test)


def _draw(labels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    sizes = labels.bincount()
    wanted = share * sizes.double()
    counts = wanted.floor().long()
    missing = round(share * len(labels)) - int(counts.sum())
    lost = (wanted - counts).where(counts + 1 < sizes, 0.0)
    most = lost.argsort(descending=True, stable=True)[: min(missing, int((lost > 0).sum()))]
    counts[most] += 1
    drawn = torch.zeros(len(labels), dtype=torch.bool)
    for label, count in enumerate(counts):
        rows = (labels == label).nonzero().flatten()
        drawn[rows[torch.randperm(len(rows), generator=generator)[:count]]] = True
    return drawn


def three_ways(everything: Samples, *, seed: int) -> Split:
    """Draw 60 / 20 / 20 % with equal shares of every class, for a set without an official test set."""
    from sklearn.model_selection import train_test_split

    fifth = -(-len(everything) // 5)
    labels = everything.labels.numpy()
    train, rest = train_test_split(everything.rows.numpy(), test_size=2 * fifth, stratify=labels, random_state=seed)
    validation, test = train_test_split(rest, test_size=fifth, stratify=labels[rest], random_state=seed)
    return Split(*(everything.part(torch.from_numpy(rows)) for rows in (train, validation, test)))
