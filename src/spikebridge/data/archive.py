"""Named members out of archives: nothing else is written, whatever an archive contains."""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .errors import DataError

_BLOCK = 1 << 20
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, gzip.BadGzipFile, ValueError)
_AR = b"!<arch>\n"


def extract(archive: Path, members: Mapping[str, str], folder: Path) -> None:
    """Write the members that ``members`` names to the paths it gives them; ignore all others.

    Paths come from ``members`` alone, so no archive can write outside the folder. Links and devices are not followed.
    Tar (any compression), zip, wheel and deb are opened; any other file is its own only member. A member
    NAME.gz that is to become a path without .gz is decompressed.

    Args:
        archive: the archive.
        members: name inside the archive -> path below ``folder``.
        folder: where they go.

    Raises:  DataError: the archive is damaged.
    """
    if archive.name in members and not archive.name.endswith(".gz"):
        _copy(archive, _made(folder / members[archive.name]))
        return
    try:
        for name, content in _contents(archive):
            if target := members.get(name.removeprefix("./")):
                plain = gzip.open(content) if name.endswith(".gz") and not target.endswith(".gz") else content
                with _made(folder / target).open("wb") as sink:
                    shutil.copyfileobj(plain, sink, _BLOCK)
    except _DAMAGE as error:
        raise DataError(f"{archive.name} is damaged ({error})") from error


def _copy(archive: Path, target: Path) -> None:
    try:
        target.hardlink_to(archive)
    except OSError:  # a file system without links
        shutil.copyfile(archive, target)


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _contents(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    name = archive.name
    if name.endswith((".zip", ".whl")):
        yield from _zipped(archive)
    elif name.endswith(".deb"):
        with _data_of_deb(archive) as data, tarfile.open(fileobj=data, mode="r|*") as tar:
            yield from _tarred(tar)
    elif name.endswith((".tgz", ".tar")) or ".tar." in name:
        with tarfile.open(archive) as tar:
            yield from _tarred(tar)
    else:
        with archive.open("rb") as file:
            yield name, file


def _zipped(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as whole:
        for name in whole.namelist():
            with whole.open(name) as file:
                yield name, file


def _tarred(tar: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in tar:
        if member.isreg() and (file := tar.extractfile(member)):
            yield member.name, file


@contextmanager
def _data_of_deb(archive: Path) -> Iterator[IO[bytes]]:
    """The tar inside a Debian package, which is an ar archive of three files.

    Source:  deb(5) and ar(5).
    """
    name, content = _ar_member(archive, "data.tar")
    if not name.endswith(".zst"):
        yield io.BytesIO(content)
        return
    # Python reads zstd from 3.14 on only, and a system whose packages use it has dpkg.
    if not (program := shutil.which("dpkg-deb")):
        raise DataError(f"{archive.name} is compressed with zstd, and dpkg-deb, which reads it, is not installed")
    unpacked = subprocess.run([program, "--fsys-tarfile", str(archive)], capture_output=True, check=False)
    if unpacked.returncode:
        raise DataError(f"dpkg-deb cannot read {archive.name}: {unpacked.stderr.decode(errors='replace').strip()}")
    yield io.BytesIO(unpacked.stdout)


def _ar_member(archive: Path, prefix: str) -> tuple[str, bytes]:
    with archive.open("rb") as file:
        if file.read(len(_AR)) != _AR:
            raise DataError(f"{archive.name} is not a Debian package")
        while len(header := file.read(60)) == 60:
            name, size = header[:16].decode().strip().rstrip("/"), int(header[48:58])
            if name.startswith(prefix):
                return name, file.read(size)
            file.seek(size + size % 2, io.SEEK_CUR)
    raise DataError(f"{archive.name} holds no {prefix}")
