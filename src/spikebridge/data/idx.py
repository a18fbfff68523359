"""The IDX format of MNIST and its relatives: two zero bytes, type, number of axes, sizes, then the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .samples import Samples, Stored
from .split import Parts

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_UNSIGNED_BYTE = 8


def read_idx(path: Path) -> Tensor:
    """The array of bytes in an IDX file, uint8.

    Source:  LeCun, Cortes and Burges, "The MNIST database", section on the file formats.
    Raises:  ValueError: not an IDX file of unsigned bytes, or one whose length is not what its header says.
    """
    content = np.fromfile(path, dtype=np.uint8)
    if len(content) < 4 or content[:3].tolist() != [0, 0, _UNSIGNED_BYTE]:
        raise ValueError(f"{path} is not an IDX file of unsigned bytes. Delete it and fetch the set again.")
    header = 4 + 4 * int(content[3])
    sizes = content[4:header].view(">u4").tolist()
    if len(content) - header != int(np.prod(sizes)):
        raise ValueError(f"{path} holds {len(content) - header} bytes, not {sizes}. Delete it and fetch the set again.")
    return torch.from_numpy(content[header:].reshape(sizes))


def read_parts(folder: Path) -> Parts:
    """Training and test images [1, rows, columns] in [0, 1] from a folder with MNIST's four file names."""
    images, labels, test_images, test_labels = (read_idx(folder / name) for name in NAMES)
    return Parts(
        Samples(Stored(images.unsqueeze(1), largest=255.0), labels),
        Samples(Stored(test_images.unsqueeze(1), largest=255.0), test_labels),
    )
