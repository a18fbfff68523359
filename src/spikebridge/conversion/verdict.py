"""STAND-IN, to be replaced by its author's file: what verify found. Inferred from its uses in verify and matching."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """The first thing in which two networks differ."""

    layer: str
    site: str
    quantity: str
    step: int
    index: tuple[int, ...]
    expected: object
    found: object


@dataclass(frozen=True)
class Verdict:
    """Whether a converted network equals its reference; true if it does."""

    difference: Difference | None
    sites: tuple[str, ...]
    counts: int
    samples: int
    time_steps: int

    def __bool__(self) -> bool:
        return self.difference is None
