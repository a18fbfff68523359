"""How fast this machine copies and multiplies: what no layer on it can beat."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

COPIED, SIDE, REPEATS = 1 << 24, 1024, 7
"""Numbers that are copied, sides of the matrices that are multiplied, and how often; the fastest counts."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Measured rates.

    Attributes:
        bytes_per_s: read and written together, by copying a large tensor into memory that is there.
        flops_per_s: multiplications and additions, by a product of large matrices.
    """

    bytes_per_s: float
    flops_per_s: float

    def seconds(self, *, flops: float, moved: float) -> float:
        """The least time for so many operations and so many bytes to and from memory, one behind the other."""
        return max(flops / self.flops_per_s, moved / self.bytes_per_s)


def measure_limits(device: torch.device | str = "cpu", *, dtype: torch.dtype = torch.float32) -> Limits:
    """Measure a device, on as many threads as PyTorch uses now.

    Args:
        device: where.
        dtype: of the matrices.
    """
    source = torch.randn(COPIED, device=device)
    target = torch.empty_like(source)
    matrix = torch.randn(SIDE, SIDE, device=device, dtype=dtype)
    copied = min(seconds(lambda: target.copy_(source), source.device) for _ in range(REPEATS))
    multiplied = min(seconds(lambda: matrix @ matrix, source.device) for _ in range(REPEATS))
    return Limits(bytes_per_s=2 * source.nbytes / copied, flops_per_s=2 * SIDE**3 / multiplied)


def seconds(action: Callable[[], object], device: torch.device) -> float:
    """How long a call takes, what it has queued on an accelerator included."""
    _wait(device)
    start = time.perf_counter()
    action()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
