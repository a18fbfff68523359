"""A web server on this machine that can be told to fail in every way a real one does."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Page:
    """What the server does for one address.

    Attributes:
        body: the file.
        headers: sent with it.
        cuts: after how many bytes to hang up, request by request; whole answers follow.
        hold: after how many bytes to wait until ``Site.release`` is set.
        ranges: whether a part can be asked for.
        status: another answer than the file.
    """

    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    hold: int | None = None
    ranges: bool = True
    status: int = 200


class Site:
    """The addresses, and what was asked of them: (path, Range header)."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, str]] = []
        self.release = threading.Event()

    def serve(self, path: str, body: bytes = b"", **settings: Any) -> str:
        self.pages[path] = Page(body, **settings)
        return self.url + path


class Handler(BaseHTTPRequestHandler):
    """Answers from the pages of the site that its server belongs to."""

    site: Site

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        self.site.requests.append((self.path, asked))
        page = self.site.pages.get(self.path, Page(status=404))
        start = self._start(page, asked)
        if page.status != 200:
            self.send_error(page.status)
        elif start is not None and start >= len(page.body):
            self.send_error(416)
        else:
            self._head(page, start)
            self._send(page, page.body[start or 0 :])

    def _start(self, page: Page, asked: str) -> int | None:
        condition = self.headers.get("If-Range", "")
        same = not condition or condition in page.headers.values()
        return int(re.findall(r"\d+", asked)[0]) if asked and page.ranges and same else None

    def _head(self, page: Page, start: int | None) -> None:
        self.send_response(200 if start is None else 206)
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{len(page.body) - 1}/{len(page.body)}")
        for name, value in {"Content-Length": str(len(page.body) - (start or 0)), **page.headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, page: Page, rest: bytes) -> None:
        cut = page.cuts.pop(0) if page.cuts else len(rest)
        if page.hold is None:
            self.wfile.write(rest[:cut])
        else:
            self.wfile.write(rest[: page.hold])
            self.wfile.flush()
            self.site.release.wait(timeout=60)
        self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def running() -> Iterator[Site]:
    """A site on a free port, until the block ends."""
    handler = type("OwnHandler", (Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    handler.site = site = Site(server.server_port)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
