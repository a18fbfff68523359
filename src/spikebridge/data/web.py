"""Opening an address within a bounded time, and saying plainly why it failed."""

from __future__ import annotations

import json
import queue
import socket
import ssl
import threading
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from .errors import DataError

OPEN_S = 10.0
READ_S = 30.0
_LARGEST_DOCUMENT = 64 << 20


class UnreachableError(DataError):
    """A server that cannot be reached or answers with an error.

    Attributes:
        status: the HTTP status; 0 where there was none.
    """

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


def host_of(url: str) -> str:
    """The host of an address, without any name and password it carries."""
    return urlsplit(url).hostname or "no host"


def open_url(url: str, *, headers: Mapping[str, str] | None = None) -> HTTPResponse:
    """Open an address through the proxies of the environment, or fail within ten seconds.

    The bound covers name lookup, every address of the host in turn, encryption and the first answer: a firewall that
    swallows packets would else cost a time-out per address.

    Raises:  UnreachableError: with the reason in words.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise UnreachableError(f"{url!r} is not a web address")
    request = urllib.request.Request(url, headers={"User-Agent": "spikebridge", **(headers or {})})
    answers: queue.SimpleQueue[HTTPResponse | Exception] = queue.SimpleQueue()
    threading.Thread(target=_open, args=(request, answers), daemon=True).start()
    try:
        answer = answers.get(timeout=OPEN_S)
    except queue.Empty:
        raise UnreachableError(f"{host_of(url)} gave no answer within {OPEN_S:g} s") from None
    if isinstance(answer, Exception):
        raise _explained(answer, host_of(url)) from answer
    return answer


def _open(request: urllib.request.Request, answers: queue.SimpleQueue[HTTPResponse | Exception]) -> None:
    try:
        answers.put(urllib.request.urlopen(request, timeout=READ_S))
    except Exception as error:  # handed to the thread that asked, which raises it
        answers.put(error)


def _explained(error: Exception, host: str) -> UnreachableError:
    if isinstance(error, HTTPError):
        return UnreachableError(f"{host} answered {error.code} {error.reason}", status=error.code)
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, socket.gaierror):
        return UnreachableError(f"no address known for {host} ({cause.strerror})")
    if isinstance(cause, ssl.SSLError):
        return UnreachableError(f"the certificate of {host} is not accepted ({cause}); name yours in SSL_CERT_FILE")
    if isinstance(cause, TimeoutError):
        return UnreachableError(f"{host} gave no answer in time")
    if isinstance(cause, (OSError, HTTPException)):
        return UnreachableError(f"no connection to {host} ({cause})")
    return UnreachableError(f"{host}: {cause}")


def read_document(url: str, *, accept: str) -> tuple[str, str, str]:
    """A small text at an address: (content type, text, address after redirections).

    Raises:  DataError: it cannot be reached or broke off.
    """
    with open_url(url, headers={"Accept": accept}) as response:
        try:
            text = response.read(_LARGEST_DOCUMENT).decode()
        except (OSError, HTTPException, UnicodeDecodeError) as error:
            raise DataError(f"{host_of(url)} broke off ({error})") from error
        return response.headers.get_content_type(), text, response.url


def read_json(url: str, *, accept: str = "application/json") -> Any:
    """The JSON document at an address.

    Raises:  DataError: it cannot be reached, broke off or is not JSON.
    """
    _, text, _ = read_document(url, accept=accept)
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataError(f"{host_of(url)} sent no JSON ({error})") from error
