"""The npm registry, or the mirror of it that npm is configured to use."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..digest import from_integrity
from ..download import Remote
from ..errors import DataError
from ..web import host_of, read_json
from .source import Registry

_PUBLIC = "https://registry.npmjs.org"


@dataclass(frozen=True, kw_only=True)
class Npm(Registry):
    """A package of the npm registry, at one version.

    Source:  npm, "Package metadata": versions, dist.tarball, dist.integrity.
    """

    version: str
    tool = "npm"

    @property
    def title(self) -> str:
        return f"npm {self.package} {self.version}"

    def locate(self) -> Remote:
        registry = configured_registry()
        try:
            release = read_json(f"{registry}/{self.package}")["versions"][self.version]["dist"]
            digest = from_integrity(release["integrity"]) if "integrity" in release else f"sha1:{release['shasum']}"
            address = str(release["tarball"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{host_of(registry)} has no {self.package} {self.version}") from error
        if urlsplit(address).hostname == urlsplit(_PUBLIC).hostname:
            # A mirror often repeats the public address; npm itself asks the mirror then, and so do we.
            address = registry + urlsplit(address).path
        return Remote(address, digest, f"{self.package}-{self.version}.tgz")

    def client(self) -> list[str]:
        patience = ["--fetch-retries=0", "--fetch-timeout=120000"]
        return ["npm", "pack", "--ignore-scripts", *patience, f"{self.package}@{self.version}"]


def configured_registry() -> str:
    """The registry that npm would use here: the environment, npm itself where installed, ~/.npmrc, the public one."""
    for name, value in os.environ.items():
        if name.lower() == "npm_config_registry" and value:
            return value.rstrip("/")
    return (_asked() or _written() or _PUBLIC).rstrip("/")


def _asked() -> str:
    with suppress(OSError, subprocess.SubprocessError):
        if program := shutil.which("npm"):
            command = [program, "config", "get", "registry"]
            answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
            return answer if answer.startswith("http") else ""
    return ""


def _written() -> str:
    with suppress(OSError, RuntimeError):
        if found := re.search(r"^\s*registry\s*=\s*[\"']?(http[^\s\"']+)", (Path.home() / ".npmrc").read_text(), re.M):
            return found[1]
    return ""
