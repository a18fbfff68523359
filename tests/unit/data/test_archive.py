"""Only named members leave an archive, and only to the places named here."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from spikebridge.data import archive as archive_module
from spikebridge.data.archive import extract
from spikebridge.data.errors import DataError

from .archives import ar, deb, files_below, gzipped, tar, zipped

KINDS: dict[str, Callable[[Mapping[str, bytes]], bytes]] = {
    "a.tgz": tar,
    "a.tar.gz": tar,
    "a.tar.xz": lambda members: tar(members, compression="xz"),
    "a.zip": zipped,
    "a.whl": zipped,
    "a.deb": deb,
    "b.deb": lambda members: deb(members, compression="gz"),
}
CONTENT = {"in/one.txt": b"one", "in/two.gz": gzipped(b"two"), "in/three.txt": b"three"}
WANTED = {"in/one.txt": "out/1", "in/two.gz": "out/2"}


@pytest.mark.parametrize("name", KINDS)
def test_extract_writes_the_named_members_and_no_others(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(KINDS[name](CONTENT))
    extract(tmp_path / name, WANTED, tmp_path / "to")
    assert files_below(tmp_path / "to") == {"out/1": b"one", "out/2": b"two"}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("evil", ["../evil", "/tmp/../../evil", "in/../../evil", "./../evil"])
def test_extract_never_writes_where_an_archive_says(name: str, evil: str, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / name).write_bytes(KINDS[name]({evil: b"evil", "in/one.txt": b"one"}))
    extract(tmp_path / "deep" / name, WANTED, tmp_path / "deep" / "to")
    assert set(files_below(tmp_path)) == {f"deep/{name}", "deep/to/out/1"}


def test_extract_follows_no_links(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, kind in (("in/one.txt", tarfile.SYMTYPE), ("in/two.gz", tarfile.LNKTYPE)):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, str(tmp_path / "secret")
            archive.addfile(link)
    (tmp_path / "a.tgz").write_bytes(buffer.getvalue())
    extract(tmp_path / "a.tgz", WANTED, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_single_file_is_its_own_member(tmp_path: Path) -> None:
    (tmp_path / "two.gz").write_bytes(gzipped(b"two"))
    (tmp_path / "train.zip").write_bytes(zipped({"x": b"x"}))
    extract(tmp_path / "two.gz", {"two.gz": "raw/two"}, tmp_path / "to")
    extract(tmp_path / "train.zip", {"train.zip": "N/train.zip"}, tmp_path / "to")
    assert files_below(tmp_path / "to") == {"raw/two": b"two", "N/train.zip": (tmp_path / "train.zip").read_bytes()}


@pytest.mark.parametrize("name", [*KINDS, "two.gz"])
@pytest.mark.parametrize("damage", [lambda whole: whole[: len(whole) // 2], lambda whole: b"?" * len(whole)])
def test_a_damaged_archive_is_named(name: str, damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    whole = gzipped(b"two" * 99) if name == "two.gz" else KINDS[name](CONTENT)
    (tmp_path / name).write_bytes(damage(whole))
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        extract(tmp_path / name, {**WANTED, "two.gz": "2"}, tmp_path / "to")


def test_a_package_that_cannot_be_read_here_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.deb").write_bytes(ar({"debian-binary": b"2.0\n", "data.tar.zst": b"?"}))
    (tmp_path / "b.deb").write_bytes(ar({"debian-binary": b"2.0\n"}))
    monkeypatch.setattr(archive_module.shutil, "which", lambda program: None)
    with pytest.raises(
        DataError, match=r"a\.deb is compressed with zstd, and dpkg-deb, which reads it, is not installed"
    ):
        extract(tmp_path / "a.deb", WANTED, tmp_path / "to")
    with pytest.raises(DataError, match=r"b\.deb holds no data\.tar"):
        extract(tmp_path / "b.deb", WANTED, tmp_path / "to")
