"""Whether torch.compile works on the device that trains."""

from __future__ import annotations

import functools

import torch

from ..core.devices import device_for


def compiler_problem(accelerator: str = "auto") -> str | None:
    """Why ``torch.compile`` cannot be used where training runs, in one line; None where it can.

    Args:
        accelerator: "auto", "cpu", "gpu" or "mps", as in :class:`Machines`; each has a compiler of its own.
    """
    return _problem_on(device_for(accelerator))


@functools.cache
def _problem_on(device: torch.device) -> str | None:
    try:
        torch.compile(_trial, dynamic=False)(torch.ones(8, device=device))
    except Exception as error:  # any compiler may fail in a way of its own
        return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return None


def _trial(values: torch.Tensor) -> torch.Tensor:
    return (values + 1).square()
