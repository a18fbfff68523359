"""A parameter that stays positive whatever an optimiser does to it."""

from __future__ import annotations

import torch
from torch import Tensor

FLOOR = 1e-6
"""Softplus underflows to zero; a threshold of zero would divide by it."""


def positive(raw: Tensor) -> Tensor:
    """softplus(raw) + FLOOR:  above zero for every finite ``raw``, and ``raw`` itself where that is large."""
    return torch.nn.functional.softplus(raw) + FLOOR


def raw_of(value: Tensor) -> Tensor:
    """Undo :func:`positive`, in the form that does not overflow.

    >>> round(positive(raw_of(torch.tensor(3.0))).item(), 4)
    3.0
    """
    above = (value - FLOOR).clamp(min=FLOOR)
    return above + torch.log(-torch.expm1(-above))
