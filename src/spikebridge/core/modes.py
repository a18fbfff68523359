"""Training and eval mode, for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def in_mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    """The module and all in it in one mode, and afterwards each in its own."""
    modes = {part: part.training for part in module.modules()}
    for part in modes:
        part.training = training
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
