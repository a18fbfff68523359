"""MNIST shown on a screen to a moving event camera: 60,000 + 10,000 recordings of about 0.3 s."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from .collection import Collection, StandIn
from .download import Remote
from .events import EVENT, Frames, Packed
from .samples import Samples
from .sources import Server
from .split import Parts

TIME_STEPS = 10
_SIZE = (34, 34)
_FOLDER = "NMNIST"
_SERVER = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files"
_OVERFLOW_ROW, _OVERFLOW_US = 240, 1 << 13
_KEYS = ("x", "y", "t", "p", "offset")


def _read(root: Path) -> Parts:
    return Parts(*(_zipped(root / _FOLDER / f"{part}.zip") for part in ("train", "test")))


def _zipped(path: Path) -> Samples:
    """Recordings are read out of the archive, one at a time; in order of class, then number, as tonic has them."""
    names = tuple(sorted(name for name in _opened(str(path), os.getpid()).namelist() if name.endswith(".bin")))
    labels = torch.tensor([int(name.split("/")[-2]) for name in names])
    return Samples(Frames(_Zipped(path, names), _SIZE, TIME_STEPS), labels)


@dataclass(frozen=True)
class _Zipped:
    path: Path
    names: tuple[str, ...]

    def __call__(self, row: int) -> NDArray[Any]:
        return unpack_events(_opened(str(self.path), os.getpid()).read(self.names[row]))


@lru_cache(maxsize=4)
def _opened(path: str, process: int) -> ZipFile:
    # By process: two that share an open file would move each other's position.
    return ZipFile(path)


def unpack_events(content: bytes) -> NDArray[Any]:
    """The events of one recording file.

    Five bytes each: x (8 bits), y (8), polarity (1), microseconds (23). Row 240 is no event but says that the clock
    has overflowed, by 2^13 microseconds.

    Source:  Orchard et al., "N-MNIST", README of the data set.

    >>> unpack_events(bytes([3, 5, 0x80, 0x01, 0x02])).tolist()
    [(3, 5, 258, True)]
    """
    x, y, high, middle, low = np.frombuffer(content, dtype=np.uint8).reshape(-1, 5).T.astype(np.int64)
    overflows = y == _OVERFLOW_ROW
    time = ((high & 0x7F) << 16 | middle << 8 | low) + _OVERFLOW_US * np.cumsum(overflows)
    events = np.empty(len(x), dtype=EVENT)
    events["x"], events["y"], events["t"], events["p"] = x, y, time, high >> 7
    proper: NDArray[Any] = events[~overflows]
    return proper


def _read_npz(path: Path) -> Parts:
    with np.load(path) as content:
        arrays = dict(content)
    wanted = [f"{part}_{key}" for part in ("train", "test") for key in (*_KEYS, "label")]
    if missing := [key for key in wanted if key not in arrays]:
        raise ValueError(f"{path} expects the arrays {', '.join(wanted)}; it lacks {', '.join(missing)}.")
    return Parts(*(_packed(arrays, part) for part in ("train", "test")))


def _packed(arrays: dict[str, NDArray[Any]], part: str) -> Samples:
    events = Packed(**{key: arrays[f"{part}_{key}"] for key in _KEYS})
    return Samples(Frames(events, _SIZE, TIME_STEPS), torch.from_numpy(arrays[f"{part}_label"]))


N_MNIST = Collection(
    name="n-mnist",
    description="MNIST seen by an event camera, 34x34, 60,000 + 10,000",
    licence="CC BY-SA 4.0",
    citation="Orchard, Jayawant, Cohen, Thakor, Converting static image datasets to spiking neuromorphic datasets "
    "using saccades, Frontiers in Neuroscience 9:437, 2015",
    unit=(TIME_STEPS, 2, *_SIZE),
    classes=tuple("0123456789"),
    download_mb=1150,
    files={
        f"{_FOLDER}/train.zip": "md5:20959b8e626244a1b502305a9e6e2031",
        f"{_FOLDER}/test.zip": "md5:69ca8762b2fe404d9b9bad1103e97832",
    },
    sources=(
        Server(
            remotes=(
                Remote(
                    f"{_SERVER}/39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded",
                    "md5:20959b8e626244a1b502305a9e6e2031",
                    "train.zip",
                ),
                Remote(
                    f"{_SERVER}/05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded",
                    "md5:69ca8762b2fe404d9b9bad1103e97832",
                    "test.zip",
                ),
            ),
            members={f"{part}.zip": f"{_FOLDER}/{part}.zip" for part in ("train", "test")},
        ),
    ),
    read=_read,
    stand_in=StandIn(f"{_FOLDER}/*.npz", "arrays of events, see docs/data.md", _read_npz),
)
