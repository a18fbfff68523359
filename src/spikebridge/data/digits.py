"""1,797 scans of handwritten digits that ship inside scikit-learn."""

from __future__ import annotations

import torch

from .collection import Collection
from .samples import Samples, Stored
from .split import Parts, Split, three_ways


def digits(*, seed: int = 0) -> Split:
    """The digits, 60 / 20 / 20 % with equal shares of every class; images [1, 8, 8] in [0, 1].

    Source:  Alpaydin and Kaynak, UCI Optical Recognition of Handwritten Digits, as shipped in scikit-learn.

    >>> [len(part) for part in digits()]
    [1077, 360, 360]
    """
    return three_ways(_everything(), seed=seed)


def all_digits() -> tuple[torch.Tensor, torch.Tensor]:
    """All images [1797, 1, 8, 8] in [0, 1] and their labels [1797]."""
    return _everything().tensors


def _everything() -> Samples:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return Samples(Stored(torch.from_numpy(pixels).reshape(-1, 1, 8, 8), largest=16.0), torch.from_numpy(labels))


DIGITS = Collection(
    name="digits",
    description="handwritten digits, 8x8 grey, 1,797 in all",
    licence="CC BY 4.0",
    citation="Alpaydin and Kaynak, UCI Optical Recognition of Handwritten Digits, 1998",
    unit=(1, 8, 8),
    classes=tuple("0123456789"),
    download_mb=0,
    files={},
    sources=(),
    read=lambda root: Parts(_everything()),
)
