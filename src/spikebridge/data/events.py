"""Recordings of event cameras, and the frames [T, 2, height, width] that a network with T steps takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import DataError

EVENT = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])
"""One event: column, row, time in microseconds, and whether it became brighter."""


@dataclass(frozen=True, eq=False)
class Frames:
    """Events counted per pixel, polarity and time bin, by tonic's ``ToFrame``.

    frames[t, p, y, x] = number of events of polarity p at (x, y) in bin t;
    bin t starts at first + t * floor((last - first) / T).

    So bins are equal in length within a recording, not between recordings. Up to T - 1 microseconds at the end belong
    to no bin, and a bin does not contain its end: the last event of a recording is always dropped, and with it the few
    that fall into the remainder.

    Args:
        recording: from a row number to its events, an array of ``EVENT``, ordered by time.
        size: (width, height) of the sensor.
        time_steps: T, number of frames (>= 1).

    Shapes:  rows [n] -> [n, time, 2, height, width]: counts, float32, not scaled.
    Raises:  ValueError: time_steps < 1. DataError: tonic is not installed.
    """

    recording: Callable[[int], NDArray[Any]]
    size: tuple[int, int]
    time_steps: int

    def __post_init__(self) -> None:
        if self.time_steps < 1:
            raise ValueError(f"Frames expects time_steps >= 1; got {self.time_steps}.")
        if find_spec("tonic") is None:
            raise DataError("Events become frames by tonic, which is not installed. Run `pip install tonic`.")

    def __call__(self, rows: Tensor) -> Tensor:
        from tonic.transforms import ToFrame

        count = ToFrame(sensor_size=(*self.size, 2), n_time_bins=self.time_steps)
        shape = (self.time_steps, 2, *reversed(self.size))
        frames = [torch.from_numpy(count(self.recording(row))) for row in rows.tolist()]
        return torch.stack(frames).float() if frames else torch.empty(0, *shape)


@dataclass(frozen=True, eq=False)
class Packed:
    """Recordings one after another in flat arrays.

    Args:
        x, y, t, p: columns, rows, microseconds and polarities of all events.
        offset: where each recording starts, and the end of the last.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    t: NDArray[Any]
    p: NDArray[Any]
    offset: NDArray[Any]

    def __call__(self, row: int) -> NDArray[Any]:
        where = slice(int(self.offset[row]), int(self.offset[row + 1]))
        events = np.empty(where.stop - where.start, dtype=EVENT)
        for name in ("x", "y", "t", "p"):
            events[name] = getattr(self, name)[where]
        return events
