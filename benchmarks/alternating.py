"""Times of actions that run in turn, A B C A B C, so that drift of the machine falls on all alike; as ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

Action = Callable[[], object]


def alternate(actions: Mapping[str, Action], *, rounds: int, against: str, warm_ups: int = 2) -> dict[str, Any]:
    """Run all actions in turn and compare each with one of them, round by round.

    Args:
        actions: by name.
        rounds: how often, after the warm-ups.
        against: the action whose time is 1.
        warm_ups: rounds that do not count.

    Returns:
        Of every action the median ratio, its quartiles, and the median seconds.
    """
    for _ in range(warm_ups):
        for action in actions.values():
            action()
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            taken[name].append(time.perf_counter() - start)
    return {name: compared(times, taken[against]) for name, times in taken.items()}


def compared(times: list[float], others: list[float]) -> dict[str, Any]:
    """Ratios round by round: median, quartiles, and the seconds they come from."""
    ratios = [mine / other for mine, other in zip(times, others, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return {
        "ratio": round(middle, 3),
        "quartiles": [round(low, 3), round(high, 3)],
        "seconds": float(f"{statistics.median(times):.4g}"),
    }
