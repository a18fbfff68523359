"""The server of a data set's authors: the addresses from which torchvision and tonic download too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..download import Remote, download
from ..progress import Progress
from ..web import host_of
from .source import Source


@dataclass(frozen=True, kw_only=True)
class Server(Source):
    """Files on a web server.

    Args:
        remotes: all of them; a set needs each.
    """

    remotes: tuple[Remote, ...]

    @property
    def title(self) -> str:
        return host_of(self.remotes[0].url)

    @property
    def filenames(self) -> tuple[str, ...]:
        return tuple(remote.filename for remote in self.remotes)

    def fetch(self, folder: Path, *, progress: Progress) -> list[Path]:
        return [download(remote, folder, progress=progress) for remote in self.remotes]
