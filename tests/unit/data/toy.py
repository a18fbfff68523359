"""A set of two files, made up, and what it is served as."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from spikebridge.data import Collection, Parts, Remote, Samples, Server, Source, Stored

from .archives import files_below, sha256, tar

FILES = {"toy/a": b"a" * 700_000, "toy/b": bytes(range(256)) * 1000}
ARCHIVE = tar({f"in/{name}": content for name, content in FILES.items()}, compression="")
MEMBERS = {f"in/{name}": name for name in FILES}
HIDDEN = ".spikebridge"


class Notes:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)

    def advance(self, file: str, done: int, total: int | None) -> None:
        pass


def read(root: Path) -> Parts:
    values = torch.tensor(list((root / "toy/b").read_bytes()[:40]), dtype=torch.uint8).reshape(-1, 1)
    samples = Samples(Stored(values), torch.arange(40) % 2)
    return Parts(samples, samples)


def server(url: str, **settings: Any) -> Server:
    return Server(remotes=(Remote(url, **settings),), members=MEMBERS)


def collection(*sources: Source, **changes: Any) -> Collection:
    plain = Collection(
        name="toy",
        description="a toy",
        licence="CC0",
        citation="nobody",
        unit=(1,),
        classes=("even", "odd"),
        download_mb=1,
        files={name: sha256(content) for name, content in FILES.items()},
        sources=sources,
        read=read,
    )
    return replace(plain, **changes)


def visible(root: Path) -> dict[str, bytes]:
    return {name: content for name, content in files_below(root).items() if not name.startswith(HIDDEN)}
