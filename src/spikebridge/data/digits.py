"""1,797 scans of handwritten digits that ship inside scikit-learn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import TensorDataset


class Split(NamedTuple):
    """Three disjoint parts of a data set; choices are made on validation, figures reported on test."""

    train: TensorDataset
    validation: TensorDataset
    test: TensorDataset


def digits(*, seed: int = 0) -> Split:
    """The digits, 60 / 20 / 20 % with equal shares of every class; images [1, 8, 8] in [0, 1].

    Source:  Alpaydin and Kaynak, UCI Optical Recognition of Handwritten Digits, as shipped in scikit-learn.

    >>> [len(part) for part in digits()]
    [1077, 360, 360]
    """
    from sklearn.model_selection import train_test_split

    images, labels = all_digits()
    rows = np.arange(len(labels))
    train, rest = train_test_split(rows, test_size=720, stratify=labels, random_state=seed)
    validation, test = train_test_split(rest, test_size=360, stratify=labels[rest], random_state=seed)
    return Split(*(TensorDataset(images[part], labels[part]) for part in (train, validation, test)))


def all_digits() -> tuple[torch.Tensor, torch.Tensor]:
    """All images [1797, 1, 8, 8] in [0, 1] and their labels [1797]."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(pixels).float().reshape(-1, 1, 8, 8) / 16.0
    return images, torch.from_numpy(labels)
