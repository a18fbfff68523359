"""Sources are tried in order, what arrives is checked, and errors say what was tried."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spikebridge import data
from spikebridge.data import DataError, Npm, store

from .archives import files_below, sha256, tar
from .site import Site, closed_port
from .toy import ARCHIVE, FILES, HIDDEN, MEMBERS, Notes, collection, server, visible


def test_get_fetches_once_and_then_asks_nobody(web: Site, tmp_path: Path) -> None:
    toy, notes = collection(server(web.serve("/toy.tar", ARCHIVE))), Notes()
    assert data.get(toy, root=tmp_path, progress=notes) == tmp_path
    assert visible(tmp_path) == FILES
    assert set(files_below(tmp_path / HIDDEN)) == {"lock", "verified.json"}  # no archive and no half file is left
    data.get(toy, root=tmp_path, progress=notes)
    assert len(web.requests) == 1
    assert notes.said[0] == "toy: trying 127.0.0.1"
    assert notes.said[-1] == f"toy is already whole in {tmp_path}"
    assert len(data.load(toy, root=tmp_path).train) == 36


def test_get_takes_files_that_others_put_there(web: Site, tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    data.get(collection(server(f"{web.url}/toy.tar")), root=tmp_path)
    assert not web.requests


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"b" * 256_000)])
def test_get_repairs_a_set_that_is_not_whole(web: Site, tmp_path: Path, damage: Any) -> None:
    toy = collection(server(web.serve("/toy.tar", ARCHIVE)))
    data.get(toy, root=tmp_path)
    damage(tmp_path / "toy/b")
    with pytest.raises(
        DataError, match=r"toy is not whole in .*: toy/b (is missing|has another checksum)\. Run `spike"
    ):
        data.load(toy, root=tmp_path)
    data.get(toy, root=tmp_path)
    assert visible(tmp_path) == FILES


def test_a_verified_file_is_not_read_again(web: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = collection(server(web.serve("/toy.tar", ARCHIVE)))
    data.get(toy, root=tmp_path)
    monkeypatch.setattr(store, "digest_of", lambda *arguments, **options: pytest.fail("read again"))
    assert store.faults(toy, tmp_path) == []
    changed = replace(toy, files={name: sha256(b"new") for name in FILES})
    with pytest.raises(pytest.fail.Exception):
        store.faults(changed, tmp_path)  # another checksum is wanted than the one that was verified


def test_get_goes_on_to_the_next_source_and_says_why(web: Site, tmp_path: Path) -> None:
    notes = Notes()
    data.get(
        collection(server(f"{web.url}/gone.tar"), server(web.serve("/toy.tar", ARCHIVE))), root=tmp_path, progress=notes
    )
    assert visible(tmp_path) == FILES
    assert "  failed: 127.0.0.1 answered 404 Not Found" in notes.said


def test_get_names_every_source_and_its_reason(
    web: Site, tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = closed_port()
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"http://127.0.0.1:{port}")
    sources = (
        server(f"{web.url}/gone.tar"),
        server(web.serve("/other.tar", tar({"in/toy/a": b"other"}, compression=""))),
        server(web.serve("/short.tar", ARCHIVE[:900_000])),
        server(web.serve("/half.tar", tar({"in/toy/a": FILES["toy/a"]}, compression=""))),
        server(web.serve("/sum.tar", ARCHIVE), digest=sha256(b"")),
        Npm(package="toy", version="1.0.0", members=MEMBERS),
    )
    with pytest.raises(DataError) as caught:
        data.get(collection(*sources), root=tmp_path)
    first, *lines = str(caught.value).splitlines()
    assert first == "toy could not be fetched. Tried:"
    expected = (
        "127.0.0.1: 127.0.0.1 answered 404",
        "127.0.0.1: its toy/a has the checksum sha256:",
        "127.0.0.1: short.tar is damaged",
        "127.0.0.1: it has no toy/b",
        "127.0.0.1: 127.0.0.1 sent another sum.tar",
        "npm toy 1.0.0: no connection to 127.0.0.1",
    )
    for line, start in zip(lines, expected, strict=False):
        assert line.startswith(f"  {start}")
    assert "HTTPS_PROXY" in lines[len(expected)]
    assert f"{tmp_path}/{HIDDEN}/downloads/toy/npm-toy-1.0.0." in lines[-1]
    assert visible(tmp_path) == {}
    assert not [name for name in files_below(tmp_path / HIDDEN) if name.endswith(".tar")]  # nor is a wrong archive kept


def test_get_says_when_no_registry_carries_a_set(tmp_path: Path) -> None:
    stand_in = data.find("n-mnist").stand_in
    toy = collection(server(f"http://127.0.0.1:{closed_port()}/toy.tar"), stand_in=stand_in)
    with pytest.raises(DataError) as caught:
        data.get(toy, root=tmp_path)
    assert "No package registry carries this set." in str(caught.value)
    assert "is taken from" in str(caught.value)
    assert "/toy/127.0.0.1 as toy.tar." in str(caught.value)
    assert f"{tmp_path}/NMNIST/*.npz (arrays of events, see docs/data.md)" in str(caught.value)


def test_contents_that_cannot_be_rebuilt_are_a_reason(web: Site, tmp_path: Path) -> None:
    def confused(stage: Path) -> None:
        raise KeyError("labels")

    toy = collection(replace(server(web.serve("/toy.tar", ARCHIVE)), rebuild=confused))
    with pytest.raises(DataError, match=r"127\.0\.0\.1: its contents are not what was expected \('labels'\)"):
        data.get(toy, root=tmp_path)


def test_two_that_fetch_at_once_download_once(web: Site, tmp_path: Path) -> None:
    toy = collection(server(web.serve("/toy.tar", ARCHIVE)))
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: data.get(toy, root=tmp_path), range(4))) == {tmp_path}
    assert len(web.requests) == 1
    assert visible(tmp_path) == FILES


def test_a_shared_folder_that_cannot_be_written_is_still_read(
    web: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = collection(server(web.serve("/toy.tar", ARCHIVE)))
    data.get(toy, root=tmp_path)
    (tmp_path / HIDDEN / "verified.json").write_text("?")
    monkeypatch.setattr(
        Path, "write_text", lambda *arguments: (_ for _ in ()).throw(PermissionError(errno.EACCES, "no"))
    )
    assert len(data.load(toy, root=tmp_path).test) == 40


@pytest.mark.parametrize("path", ["/etc/toy", "../toy", "toy/../../a"])
def test_a_collection_keeps_its_files_below_the_root(path: str) -> None:
    with pytest.raises(ValueError, match=r"toy expects paths below the root; got .* Leave out '/' and '\.\.'"):
        collection(files={path: sha256(b"")})


def test_a_collection_states_known_checksums() -> None:
    with pytest.raises(ValueError, match=r"toy expects checksums such as 'sha256:0123'; got 'abc' for toy/a\. Known"):
        collection(files={"toy/a": "abc"})


def test_the_root_is_the_environments_or_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert data.default_root() == Path.home() / ".cache/spikebridge/data"
    monkeypatch.setenv("SPIKEBRIDGE_DATA", str(tmp_path / "shared"))
    assert data.default_root() == tmp_path / "shared"


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_set_that_may_not_be_read_is_not_called_missing(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "secret"))

    for path in FILES:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    monkeypatch.setattr(*((Path, "stat") if what == "folder" else (store, "digest_of")), refuse)
    for ask in (data.load, data.get):
        with pytest.raises(DataError, match=r"Cannot read .*secret: Permission denied. Allow this user to read it, or"):
            ask(collection(), root=tmp_path)
