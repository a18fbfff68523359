"""Whether torch.compile works on this machine."""

from __future__ import annotations

import functools

import torch


@functools.cache
def compiler_problem() -> str | None:
    """Why ``torch.compile`` cannot be used here, in one line; None where it can."""
    try:
        torch.compile(_trial, dynamic=False)(torch.ones(8))
    except Exception as error:  # any compiler may fail in a way of its own
        return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return None


def _trial(values: torch.Tensor) -> torch.Tensor:
    return (values + 1).square()
