"""A download becomes a file when it is whole and right, and continues where it stopped."""

from __future__ import annotations

import re
import socket
import ssl
from http.client import RemoteDisconnected
from pathlib import Path
from urllib.error import URLError

import pytest

from spikebridge.data import web as web_module
from spikebridge.data.download import Remote, download
from spikebridge.data.errors import DataError

from .archives import files_below, sha256
from .site import Site, closed_port

BODY = bytes(range(256)) * 4096  # 1 MiB
HALF = 600_000
FRESH, TAGGED = "", {"ETag": '"one"'}


def test_download_leaves_the_file_and_nothing_else(web: Site, tmp_path: Path) -> None:
    path = download(Remote(web.serve("/a.bin", BODY), sha256(BODY)), tmp_path)
    assert files_below(tmp_path) == {"a.bin": BODY}
    assert path == tmp_path / "a.bin"
    download(Remote(f"{web.url}/a.bin"), tmp_path)
    assert len(web.requests) == 1  # what is here is not asked for again


def test_download_continues_within_a_run_when_the_connection_is_cut(web: Site, tmp_path: Path) -> None:
    url = web.serve("/a.bin", BODY, cuts=[HALF, 100_000], headers=TAGGED)
    download(Remote(url), tmp_path, pauses_s=(0.0,))
    assert files_below(tmp_path) == {"a.bin": BODY}
    assert web.requests == [("/a.bin", FRESH), ("/a.bin", f"bytes={HALF}-"), ("/a.bin", f"bytes={HALF + 100_000}-")]


@pytest.mark.parametrize(("headers", "digest"), [(TAGGED, ""), ({"Last-Modified": "x"}, ""), ({}, sha256(BODY))])
def test_download_continues_in_a_later_run(web: Site, tmp_path: Path, headers: dict[str, str], digest: str) -> None:
    remote = Remote(web.serve("/a.bin", BODY, cuts=[HALF], headers=headers), digest)
    with pytest.raises(DataError, match=rf"127.0.0.1 stopped at byte {HALF} of {len(BODY)}"):
        download(remote, tmp_path, pauses_s=())
    assert not (tmp_path / "a.bin").exists()
    download(remote, tmp_path)
    assert files_below(tmp_path) == {"a.bin": BODY}
    assert web.requests[1] == ("/a.bin", f"bytes={HALF}-")


def test_download_starts_over_when_the_file_on_the_server_is_another(web: Site, tmp_path: Path) -> None:
    remote = Remote(web.serve("/a.bin", BODY, cuts=[HALF], headers=TAGGED))
    with pytest.raises(DataError):
        download(remote, tmp_path, pauses_s=())
    web.serve("/a.bin", BODY[::-1], headers={"ETag": '"two"'})
    download(remote, tmp_path)
    assert files_below(tmp_path) == {"a.bin": BODY[::-1]}


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"weak"'}])
def test_download_does_not_continue_what_nothing_identifies(web: Site, tmp_path: Path, headers: dict[str, str]) -> None:
    remote = Remote(web.serve("/a.bin", BODY, cuts=[HALF], headers=headers))
    with pytest.raises(DataError):
        download(remote, tmp_path, pauses_s=())
    download(remote, tmp_path)
    assert web.requests == [("/a.bin", FRESH), ("/a.bin", FRESH)]
    assert files_below(tmp_path) == {"a.bin": BODY}


def test_download_starts_over_when_the_server_knows_no_ranges(web: Site, tmp_path: Path) -> None:
    url = web.serve("/a.bin", BODY, cuts=[HALF], headers=TAGGED, ranges=False)
    download(Remote(url, sha256(BODY)), tmp_path, pauses_s=(0.0,))
    assert files_below(tmp_path) == {"a.bin": BODY}


def test_download_gives_up_when_it_never_gets_further(web: Site, tmp_path: Path) -> None:
    url = web.serve("/a.bin", BODY, cuts=[HALF] * 9, headers=TAGGED, ranges=False)
    with pytest.raises(DataError, match=f"stopped at byte {HALF}"):
        download(Remote(url), tmp_path, pauses_s=(0.0, 0.0))
    assert len(web.requests) == 3  # one that brought something, and one after each pause
    assert not (tmp_path / "a.bin").exists()


def test_download_refuses_another_checksum_and_keeps_nothing(web: Site, tmp_path: Path) -> None:
    url = web.serve("/a.bin", BODY[:-1] + b"!")
    with pytest.raises(DataError, match=r"127.0.0.1 sent another a.bin: sha256:\w+ instead of sha256:"):
        download(Remote(url, sha256(BODY)), tmp_path)
    assert files_below(tmp_path) == {}


def test_download_starts_over_when_the_earlier_part_was_damaged(web: Site, tmp_path: Path) -> None:
    (tmp_path / "a.bin.partial").write_bytes(b"!" * HALF)
    download(Remote(web.serve("/a.bin", BODY), sha256(BODY)), tmp_path)
    assert files_below(tmp_path) == {"a.bin": BODY}
    assert web.requests == [("/a.bin", f"bytes={HALF}-"), ("/a.bin", FRESH)]


@pytest.mark.parametrize("earlier", [BODY, BODY + b"more", b"!" * len(BODY)], ids=["whole", "longer", "damaged"])
def test_download_finishes_when_the_server_has_no_more_bytes(web: Site, tmp_path: Path, earlier: bytes) -> None:
    (tmp_path / "a.bin.partial").write_bytes(earlier)
    download(Remote(web.serve("/a.bin", BODY), sha256(BODY)), tmp_path)
    assert files_below(tmp_path) == {"a.bin": BODY}


def test_download_reports_every_block(web: Site, tmp_path: Path) -> None:
    class Watcher:
        seen: list[tuple[str, int, int | None]] = []  # noqa: RUF012

        def note(self, message: str) -> None:
            self.seen.append((message, 0, None))

        def advance(self, file: str, done: int, total: int | None) -> None:
            self.seen.append((file, done, total))

    download(Remote(web.serve("/a.bin", BODY), name="b.bin"), tmp_path, progress=Watcher())
    assert [done for _, done, _ in Watcher.seen] == [1 << 18, 2 << 18, 3 << 18, 4 << 18]
    assert {(file, total) for file, _, total in Watcher.seen} == {("b.bin", len(BODY))}


REASONS = {
    "no address known for a.example (Name unknown)": URLError(socket.gaierror(-2, "Name unknown")),
    "the certificate of a.example is not accepted": URLError(ssl.SSLCertVerificationError(1, "self-signed")),
    "a.example gave no answer in time": URLError(TimeoutError()),
    "no connection to a.example ([Errno 104] reset": URLError(ConnectionResetError(104, "reset")),
    "no connection to a.example (closed early": RemoteDisconnected("closed early"),
    "a.example: unknown url": URLError("unknown url"),
}


@pytest.mark.parametrize("reason", REASONS)
def test_an_address_that_cannot_be_opened_is_named_with_the_reason(
    reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise REASONS[reason]

    monkeypatch.setattr(web_module.urllib.request, "urlopen", fail)
    with pytest.raises(DataError, match=re.escape(reason)):
        download(Remote("https://a.example/a"), tmp_path)


def test_an_address_that_answers_otherwise_is_named_with_the_reason(web: Site, tmp_path: Path) -> None:
    web.serve("/gone", status=403)
    with pytest.raises(DataError, match=r"127\.0\.0\.1 answered 403 Forbidden"):
        download(Remote(f"{web.url}/gone"), tmp_path)
    with pytest.raises(DataError, match=r"no connection to 127\.0\.0\.1"):
        download(Remote(f"http://127.0.0.1:{closed_port()}/a"), tmp_path)
    with pytest.raises(DataError, match="'file:///etc/hostname' is not a web address"):
        download(Remote("file:///etc/hostname"), tmp_path)


def test_a_server_that_swallows_packets_costs_a_bounded_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_module, "OPEN_S", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(DataError, match=r"127.0.0.1 gave no answer within 0.05 s"):
            download(Remote(f"http://127.0.0.1:{silent.getsockname()[1]}/a"), tmp_path)


def test_a_name_and_a_password_in_an_address_are_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        download(Remote(f"http://me:secret@127.0.0.1:{closed_port()}/a"), tmp_path)
    assert "secret" not in str(caught.value)
