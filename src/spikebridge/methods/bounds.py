"""Settings that a type alone does not bound: refused with got, expected and, where a name is meant, the nearest."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..core.catalogue import nearest


def require_at_least(name: str, value: float, low: float) -> None:
    """Refuse what is below ``low`` or not finite."""
    if not low <= value < math.inf:
        raise ValueError(f"{name} expects a number >= {low}; got {value}.")


def require_within(name: str, value: float, low: float, high: float) -> None:
    """Refuse what is outside [low, high]."""
    if not low <= value <= high:
        raise ValueError(f"{name} expects a number in [{low}, {high}]; got {value}.")


def require_known(name: str, value: str, known: Iterable[str]) -> None:
    """Refuse a name that is not among those known."""
    if value not in (names := list(known)):
        raise ValueError(f"{name} expects a name it knows; got {value!r}. {nearest(value, names)}")
