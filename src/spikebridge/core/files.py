"""Files that a reader never sees half of, and folders that one process at a time works in."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PARTIAL = ".*.partial"
"""What a file is called beside its place until it is whole; a killed process leaves it behind."""


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A new file to write into; it is moved to ``path`` when the block ends without an error.

    Whatever interrupts the block leaves the earlier file as it was. The file gets the permissions of any other new
    file, and its name is its own, so two writers do not meet.

    Raises:  WriteError: the disk is full or the folder closed; the message names ``path``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole(Path(folder) / "a.txt") as partial:
    ...         _ = partial.write_text("done")
    ...     (Path(folder) / "a.txt").read_text()
    'done'
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch(exist_ok=False)
        permissions = partial.stat().st_mode & 0o777
        yield partial
        partial.chmod(permissions)  # some writers make a file that only its owner reads
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise about_writing(path, error) from error
    finally:
        with suppress(OSError):  # else it would hide what went wrong
            partial.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file as :func:`whole` does, and return its path.

    Raises:  WriteError: the disk is full or the folder closed; the message names ``path``.
    """
    with whole(path) as partial:
        partial.write_bytes(content)
    return path


class WriteError(OSError):
    """A file cannot be written; the message names it and says why."""


def about_writing(path: Path, error: OSError) -> WriteError:
    """The same error, in words that name the file."""
    if isinstance(error, WriteError):
        return error
    named = WriteError(f"cannot write {path}: {error.strerror or error}")
    named.errno = error.errno
    return named


@contextmanager
def locked(path: Path, *, busy: Callable[[], None]) -> Iterator[None]:
    """Hold the lock at ``path``, which one process at a time can; it goes with the process, however that ends.

    Args:
        path: of an empty file, which stays; its folder must be there.
        busy: called when another process holds the lock; what it raises ends the attempt, else this one waits.

    Raises:  OSError: the folder is closed.
    """
    with path.open("w") as file:
        _lock(file, busy)
        _HELD.add(file)
        try:
            yield
        finally:
            _HELD.discard(file)
            if fcntl is not None:
                with suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_UN)  # now, though a process forked a moment ago has yet to let go


def _lock(file: IO[str], busy: Callable[[], None]) -> None:
    if fcntl is None:  # two processes at once are on their own
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        busy()
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        return


_HELD: set[IO[str]] = set()


def _let_go() -> None:
    """A fork would hold the lock on: a process that loads data may outlive the one that was killed."""
    for file in _HELD:
        file.close()
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
