"""Debian's archive: the mirror that apt is configured to use, or the public pool."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass

from ..download import Remote
from .source import Registry

_POOL = "http://deb.debian.org/debian/pool/main"


@dataclass(frozen=True, kw_only=True)
class Debian(Registry):
    """A Debian package that holds nothing but data.

    Where apt is installed it names the address and the checksum of the version it knows, which its signed index vouches
    for; else the package comes from the public pool, and the checksums of the stored files have to do.

    Args:
        version: which one to take from the pool.
    """

    version: str
    tool = "apt-get"

    @property
    def title(self) -> str:
        return f"Debian {self.package}"

    def locate(self) -> Remote:
        if asked := self._asked():
            return asked
        name = f"{self.package}_{self.version}_all.deb"
        return Remote(f"{_POOL}/{self.package[0]}/{self.package}/{name}", name=name)

    def _asked(self) -> Remote | None:
        with suppress(OSError, subprocess.SubprocessError, ValueError):
            if program := shutil.which("apt-get"):
                command = [program, "download", "--print-uris", self.package]
                answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
                url, name, _, code = shlex.split(answer)
                return Remote(url, code.lower(), name)
        return None

    def client(self) -> list[str]:
        patience = ["Acquire::Retries=0", "Acquire::http::Timeout=10", "Acquire::https::Timeout=10"]
        return ["apt-get", "download", *(word for option in patience for word in ("-o", option)), self.package]
