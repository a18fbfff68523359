"""Frames against counting by hand, and recordings in both forms against tonic's own reader."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from spikebridge.data import DataError, Frames, load
from spikebridge.data import events as events_module
from spikebridge.data.events import EVENT
from spikebridge.data.n_mnist import unpack_events

from .archives import small, zipped

tonic = pytest.importorskip("tonic")
RECORDINGS = 12


def recording(seed: int, *, events: int = 400) -> np.ndarray:
    draw = np.random.default_rng(seed)
    found = np.zeros(events, dtype=EVENT)
    found["x"], found["y"], found["p"] = (
        draw.integers(0, 34, events),
        draw.integers(0, 34, events),
        draw.integers(0, 2, events),
    )
    found["t"] = np.sort(draw.integers(0, 300_000, events))
    return found


def as_file(events: np.ndarray) -> bytes:
    t = events["t"]
    columns = [events["x"], events["y"], events["p"].astype(int) << 7 | t >> 16, t >> 8 & 255, t & 255]
    return np.stack(columns, axis=1).astype(np.uint8).tobytes()


def put_zips(root: Path) -> None:
    """Train and test archives in the layout of the official ones: Part/label/number.bin."""
    (root / "NMNIST").mkdir(parents=True)
    for part, shift in (("Train", 0), ("Test", 100)):
        members = {f"{part}/{row % 3}/{row:05}.bin": as_file(recording(row + shift)) for row in range(RECORDINGS)}
        (root / "NMNIST" / f"{part.lower()}.zip").write_bytes(zipped({f"{part}/": b"", **members}))


def put_npz(path: Path, *, without: str = "") -> None:
    arrays: dict[str, np.ndarray] = {}
    for part, shift in (("train", 0), ("test", 100)):
        all_events = [recording(row + shift, events=300 + row) for row in range(RECORDINGS)]
        joined = np.concatenate(all_events)
        arrays |= {f"{part}_{key}": joined[key] for key in "xytp"}
        arrays[f"{part}_offset"] = np.cumsum([0, *map(len, all_events)])
        arrays[f"{part}_label"] = np.arange(RECORDINGS, dtype=np.uint8) % 3
    arrays.pop(without, None)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


@pytest.mark.parametrize("time_steps", [1, 3, 8])
def test_frames_count_every_event_before_the_end_of_the_last_bin(time_steps: int) -> None:
    events = recording(0)
    frames = Frames(lambda row: events, (34, 34), time_steps)(torch.tensor([0]))
    assert (frames.shape, frames.dtype) == ((1, time_steps, 2, 34, 34), torch.float32)
    first, last = int(events["t"][0]), int(events["t"][-1])
    width = (last - first) // time_steps
    expected = torch.zeros(time_steps, 2, 34, 34)
    for x, y, t, p in events.tolist():
        if (step := (t - first) // width) < time_steps:
            expected[step, int(p), y, x] += 1
    assert torch.equal(frames[0], expected)
    dropped = len(events) - int(frames.sum())
    assert dropped == sum(t >= first + width * time_steps for t in events["t"]) >= 1  # the last event at least


def test_events_unpack_as_tonic_reads_them(tmp_path: Path) -> None:
    content = (
        as_file(recording(0))
        + bytes([0, 240, 0, 0, 0])
        + as_file(recording(1))
        + bytes([9, 240, 0, 0, 0, 1, 2, 3, 4, 5])
    )
    (tmp_path / "a.bin").write_bytes(content)
    theirs = tonic.io.read_mnist_file(str(tmp_path / "a.bin"), dtype=tonic.datasets.NMNIST.dtype)
    ours = unpack_events(content)
    assert len(ours) == 801
    for name in "xytp":
        assert np.array_equal(ours[name], theirs[name])


def test_the_official_archives_load_in_tonics_order(tmp_path: Path) -> None:
    put_zips(tmp_path)
    official = small("n-mnist", tmp_path)
    train, validation, test = load(official, root=tmp_path, time_steps=4, validation=0.25)
    assert [len(train), len(validation), len(test)] == [9, 3, 12]
    assert test.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    row = [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]
    for at in (0, 5, 11):
        expected = Frames(lambda _, at=at: recording(row[at] + 100), (34, 34), 4)(torch.tensor([0]))[0]
        assert torch.equal(test[at][0], expected)
    assert torch.equal(pickle.loads(pickle.dumps(test))[3][0], test[3][0])
    assert load(official, root=tmp_path).test.tensors[0].shape == (12, *official.unit)


def test_a_file_of_ones_own_takes_the_place_of_the_archives(tmp_path: Path) -> None:
    put_npz(tmp_path / "NMNIST" / "mine.npz")
    split = load("n-mnist", root=tmp_path, time_steps=5, validation=0.25)
    assert [len(part) for part in split] == [9, 3, 12]
    expected = Frames(lambda row: recording(102, events=302), (34, 34), 5)(torch.tensor([0]))[0]
    assert torch.equal(split.test[2][0], expected)
    put_npz(tmp_path / "NMNIST" / "other.npz")
    with pytest.raises(DataError, match=r"n-mnist expects one file of your own; .* has .*mine\.npz, .*other\.npz"):
        load("n-mnist", root=tmp_path)


def test_a_file_of_ones_own_must_have_all_arrays(tmp_path: Path) -> None:
    put_npz(tmp_path / "NMNIST" / "mine.npz", without="test_offset")
    with pytest.raises(ValueError, match=r"mine\.npz expects the arrays train_x, .*; it lacks test_offset\."):
        load("n-mnist", root=tmp_path)


def test_frames_refuse_what_they_cannot_make(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="Frames expects time_steps >= 1; got 0"):
        Frames(lambda row: recording(row), (34, 34), 0)
    monkeypatch.setattr(events_module, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"by tonic, which is not installed\. Run `pip install tonic`\."):
        Frames(lambda row: recording(row), (34, 34), 3)


def test_no_recordings_give_no_frames() -> None:
    assert Frames(lambda row: recording(row), (34, 30), 3)(torch.tensor([], dtype=torch.long)).shape == (
        0,
        3,
        2,
        30,
        34,
    )
