"""One resumable download over HTTP: a partial file that only becomes the file when it is whole."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .digest import digest_of
from .errors import DataError
from .progress import SILENT, Progress
from .web import UnreachableError, host_of, open_url

PAUSES_S = (1.0, 2.0, 4.0)
_BLOCK = 1 << 18
_UNSATISFIABLE = 416


@dataclass(frozen=True)
class Remote:
    """A file on a server.

    Args:
        url: where it is.
        digest: its checksum, "algorithm:hexadecimal", where it is known beforehand.
        name: what to call it here; the last part of the address by default.
    """

    url: str
    digest: str = ""
    name: str = ""

    @property
    def filename(self) -> str:
        return self.name or unquote(urlsplit(self.url).path.rpartition("/")[2])


class _CutError(Exception):
    """The server or the network stopped in the middle."""


def download(
    remote: Remote, folder: Path, *, progress: Progress = SILENT, pauses_s: Sequence[float] = PAUSES_S
) -> Path:
    """Fetch a file into a folder, continuing where an earlier attempt stopped; return its path.

    Bytes go to ``NAME.partial``. It continues only if the server confirms that the file is still the same (by ETag or
    date) or if the checksum is known, and is renamed to ``NAME`` when complete, checked and written to the disk.

    Args:
        remote: what to fetch.
        folder: where it goes; made if it is missing.
        progress: told about every block.
        pauses_s: waits between attempts that bring nothing, after the first bytes have arrived.

    Raises:
        DataError: the server cannot be reached, stops in the middle for good, or sends something else.
        OSError: the disk is full or the folder not ours; what has arrived stays for the next run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    partial = _Partial(folder / remote.filename, remote)
    if partial.target.exists():
        return partial.target
    continued = partial.size > 0
    _complete(partial, progress, pauses_s)
    if not partial.is_right() and continued:
        progress.note(f"{remote.filename}: the part fetched earlier does not fit; starting over")
        partial.discard()
        _complete(partial, progress, pauses_s)
    if not partial.is_right():
        found = digest_of(partial.path, like=remote.digest)
        partial.discard()
        raise DataError(f"{host_of(remote.url)} sent another {remote.filename}: {found} instead of {remote.digest}")
    partial.finish()
    return partial.target


class _Partial:
    """The bytes that are here so far, and what identifies the file they belong to."""

    def __init__(self, target: Path, remote: Remote) -> None:
        self.target, self.remote = target, remote
        self.path = target.with_name(f"{target.name}.partial")
        self._identity = target.with_name(f"{target.name}.partial.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def request_headers(self) -> dict[str, str]:
        validator = self._validator()
        if not self.size or not (validator or self.remote.digest):
            return {}
        return {"Range": f"bytes={self.size}-"} | ({"If-Range": validator} if validator else {})

    def _validator(self) -> str:
        try:
            return str(json.loads(self._identity.read_text())["validator"])
        except (OSError, ValueError, KeyError):
            return ""

    def accept(self, response: HTTPResponse) -> int | None:
        """Make room for what the server sends; return the length of the whole file where it says so."""
        length = response.headers.get("Content-Length")
        first, whole = _content_range(response)
        if response.status == http.client.PARTIAL_CONTENT and first == self.size:
            return whole
        asked = self.size
        self.discard()
        if response.status == http.client.PARTIAL_CONTENT:
            raise _CutError(f"{host_of(self.remote.url)} sent bytes from {first} when asked for bytes from {asked}")
        tag = response.headers.get("ETag", "")
        # A weak tag promises the same meaning, not the same bytes.
        validator = response.headers.get("Last-Modified", "") if tag.startswith("W/") or not tag else tag
        self._identity.write_text(json.dumps({"validator": validator}))
        return int(length) if length else None

    def is_right(self) -> bool:
        return not self.remote.digest or digest_of(self.path, like=self.remote.digest) == self.remote.digest

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._identity.unlink(missing_ok=True)

    def finish(self) -> None:
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(self.target)
        self._identity.unlink(missing_ok=True)


def _content_range(response: HTTPResponse) -> tuple[int, int | None]:
    """From ``bytes 100-999/1000`` to (100, 1000); an unknown length is a star."""
    span, _, whole = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    with suppress(ValueError):
        return int(span.partition("-")[0]), int(whole) if whole.isdigit() else None
    return -1, None


def _complete(partial: _Partial, progress: Progress, pauses_s: Sequence[float]) -> None:
    most, waits, started = partial.size, iter(pauses_s), False
    while True:
        try:
            return _attempt(partial, progress)
        except (_CutError, UnreachableError) as error:
            if partial.size > most:
                most, waits, started = partial.size, iter(pauses_s), True
            pause = next(waits, None)
            if not started or pause is None:
                raise DataError(str(error)) from error
            progress.note(f"{partial.remote.filename}: {error}; continuing in {pause:g} s")
            time.sleep(pause)


def _attempt(partial: _Partial, progress: Progress) -> None:
    try:
        response = open_url(partial.remote.url, headers=partial.request_headers())
    except UnreachableError as error:
        if error.status != _UNSATISFIABLE or not partial.size:
            raise
        # All bytes are here already, or bytes of something else.
        if partial.remote.digest and partial.is_right():
            return
        partial.discard()
        return _attempt(partial, progress)
    with response:
        total = partial.accept(response)
        done = partial.size
        with partial.path.open("ab") as sink:
            for block in _blocks(response):
                sink.write(block)
                done += len(block)
                progress.advance(partial.remote.filename, done, total)
    if total is not None and done != total:
        raise _CutError(f"{host_of(partial.remote.url)} stopped at byte {done} of {total}")


def _blocks(response: HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            block = response.read(_BLOCK)
        except (OSError, http.client.HTTPException) as error:
            # Only the network raises here; an OSError of the disk must not look like one of the server.
            raise _CutError(f"the connection broke ({error})") from error
        if not block:
            return
        yield block
