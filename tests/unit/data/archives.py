"""Small archives of every kind, made in memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from spikebridge.data import Collection, find
from spikebridge.data.digest import digest_of


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def integrity(content: bytes) -> str:
    """The checksum as npm writes it."""
    return f"sha512-{b64encode(hashlib.sha512(content).digest()).decode()}"


def tar(members: Mapping[str, bytes], *, compression: str = "gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return buffer.getvalue()


def zipped(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def ar(members: Mapping[str, bytes]) -> bytes:
    parts = [b"!<arch>\n"]
    for name, content in members.items():
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
        parts += [header.encode(), content, b"\n" * (len(content) % 2)]
    return b"".join(parts)


def deb(members: Mapping[str, bytes], *, compression: str = "xz") -> bytes:
    data = {
        f"data.tar.{compression}": tar(
            {f"./{name}": content for name, content in members.items()}, compression=compression
        )
    }
    return ar({"debian-binary": b"2.0\n", "control.tar.gz": tar({"control": b"x"}), **data})


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content)


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def small(name: str, root: Path) -> Collection:
    """A set of the catalogue, content with the files that are there."""
    whole = find(name)
    return replace(whole, files={path: digest_of(root / path, like=digest) for path, digest in whole.files.items()})
