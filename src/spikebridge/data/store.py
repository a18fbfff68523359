"""The folder that data sets are kept in: what is whole there, and how files get in without ever being half there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..core.files import locked
from .collection import Collection
from .digest import digest_of
from .errors import DataError
from .progress import Progress

_STATE = ".spikebridge"


def default_root() -> Path:
    """Where data sets are kept unless told otherwise: $SPIKEBRIDGE_DATA, else ~/.cache/spikebridge/data."""
    return Path(os.environ.get("SPIKEBRIDGE_DATA") or "~/.cache/spikebridge/data").expanduser()


def downloads(root: Path, collection: Collection) -> Path:
    """Where archives wait, complete or not, until the set is stored; sets of one family share them."""
    return root / _STATE / "downloads" / collection.family


def stage(root: Path) -> Path:
    """Where files are made before they are moved to their places."""
    return root / _STATE / "stage"


def faults(collection: Collection, root: Path) -> list[str]:
    """What keeps a set from being whole: files that are missing or have another checksum; empty when it is whole.

    A checksum is computed once: size, time of change and checksum are noted, and a file for which they still hold is
    not read again.

    Raises:  OSError: the folder or a file in it may not be read, so nobody can tell.
    """
    noted, found = _noted(root), []
    known = dict(noted)
    for path, digest in collection.files.items():
        try:
            facts = _facts(root / path, digest)
        except OSError as error:
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                raise
            found.append(f"{path} is missing")
            continue
        if noted.get(path) != facts:
            if digest_of(root / path, like=digest) != digest:
                found.append(f"{path} has another checksum")
                continue
            known[path] = facts
    if known != noted:
        _note(root, known)
    return found


def _facts(path: Path, digest: str) -> dict[str, Any]:
    status = path.stat()
    return {"size": status.st_size, "changed_ns": status.st_mtime_ns, "digest": digest}


def _noted(root: Path) -> dict[str, Any]:
    try:
        content = json.loads((root / _STATE / "verified.json").read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _note(root: Path, known: dict[str, Any]) -> None:
    # Whoever may not write there computes the checksums each time.
    with suppress(OSError):
        (root / _STATE).mkdir(exist_ok=True)
        temporary = root / _STATE / f"verified.{os.getpid()}.json"
        temporary.write_text(json.dumps(known, indent=1))
        temporary.replace(root / _STATE / "verified.json")


def move_in(collection: Collection, made: Path, root: Path) -> None:
    """Check the files that a source made, and move them to their places.

    Raises:  DataError: one is missing or has another checksum; nothing is moved then.
    """
    for path, digest in collection.files.items():
        if not (made / path).is_file():
            raise DataError(f"it has no {path}")
        if (found := digest_of(made / path, like=digest)) != digest:
            raise DataError(f"its {path} has the checksum {found} instead of {digest}")
    for path in collection.files:
        with (made / path).open("rb+") as file:
            os.fsync(file.fileno())
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).replace(root / path)
    _note(root, _noted(root) | {path: _facts(root / path, digest) for path, digest in collection.files.items()})


@contextmanager
def fetching_alone(root: Path, progress: Progress) -> Iterator[None]:
    """Only one process at a time fetches into a root; another waits, and says so."""
    (root / _STATE).mkdir(parents=True, exist_ok=True)
    said = "another process is fetching into this folder; waiting for it"
    with locked(root / _STATE / "lock", busy=lambda: progress.note(said)):
        yield
