"""NaN and the infinities as JSON, which has no numbers for them: a diverged run is a result too."""

from __future__ import annotations

import math
from typing import Any

_SPELLED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_WORDS = {"name", "kind", "source"}


def spelled(value: Any) -> Any:
    """The value with every number that is not finite as a string, at any depth.

    >>> spelled({"loss": [0.5, float("nan"), float("-inf")]})
    {'loss': [0.5, 'NaN', '-Infinity']}
    """
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: spelled(entry) for key, entry in value.items()}
    return [spelled(entry) for entry in value] if isinstance(value, list | tuple) else value


def unspelled(value: Any) -> Any:
    """Undo :func:`spelled`; what stands under a key for words stays one.

    >>> unspelled([{"name": "NaN", "loss": "Infinity"}])
    [{'name': 'NaN', 'loss': inf}]
    """
    if isinstance(value, dict):
        return {key: entry if key in _WORDS else unspelled(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [unspelled(entry) for entry in value]
    return _SPELLED.get(value, value) if isinstance(value, str) else value
