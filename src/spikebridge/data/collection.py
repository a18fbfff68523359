"""One data set: what it is, where it comes from, which files it is stored in and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

from .digest import ALGORITHMS
from .sources import Source
from .split import Parts


class StandIn(NamedTuple):
    """A file that a user may put in the place of a set that cannot be fetched.

    Attributes:
        pattern: which files below the root are taken for it.
        what: what such a file holds, in a few words.
        read: from that file to the samples.
    """

    pattern: str
    what: str
    read: Callable[[Path], Parts]


@dataclass(frozen=True, kw_only=True)
class Collection:
    """A data set that can be fetched and loaded by name.

    Args:
        name: in lower case with hyphens; ``family/NAME`` for sets that share a file.
        description: one line.
        licence: as its authors state it.
        citation: whom to cite.
        unit: shape of one value.
        classes: their names; a label is an index into them.
        download_mb: about how much has to be fetched, in MB (10^6 bytes).
        files: stored file, as a path below the root -> its checksum, "algorithm:hexadecimal".
        sources: tried in order.
        read: from the root to the samples, when all files are there.
        stand_in: a file of the user's own that may take their place.

    Raises:  ValueError: a path that leaves the root, or a checksum in an unknown form.
    """

    name: str
    description: str
    licence: str
    citation: str
    unit: tuple[int, ...]
    classes: tuple[str, ...]
    download_mb: int
    files: Mapping[str, str]
    sources: tuple[Source, ...]
    read: Callable[[Path], Parts] = field(repr=False)
    stand_in: StandIn | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for path, digest in self.files.items():
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise ValueError(f"{self.name} expects paths below the root; got {path!r}. Leave out '/' and '..'.")
            if digest.partition(":")[0] not in ALGORITHMS:
                raise ValueError(
                    f"{self.name} expects checksums such as 'sha256:0123'; got {digest!r} for {path}. "
                    f"Known algorithms: {', '.join(ALGORITHMS)}."
                )

    @property
    def family(self) -> str:
        """The name, or for one set of many in a file the name they share."""
        return self.name.partition("/")[0]


def by_name(namespace: Mapping[str, Any]) -> Mapping[str, Collection]:
    """The collections, alone or in tuples, that a module imports, by name."""
    found: dict[str, Collection] = {}
    for thing in namespace.values():
        for one in thing if isinstance(thing, tuple) else (thing,):
            if isinstance(one, Collection):
                found[one.name] = one
    return MappingProxyType(found)
