"""One choice of codes as it was measured, and those that no other beats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

ANALOG = "analog"
"""The option that changes nothing: numbers arrive, and each is multiplied."""


@dataclass(frozen=True)
class Part:
    """One layer in one choice.

    Attributes:
        layer: its name.
        option: "analog", or the name of its code.
        accumulates: per sample.
        multiplies: per sample.
        energy_pj: of one sample.
    """

    layer: str
    option: str
    accumulates: float
    multiplies: float
    energy_pj: float


@dataclass(frozen=True)
class Point:
    """One choice of codes, measured as a whole.

    Attributes:
        energy_pj: of one sample, the layers that are not decided on included.
        accuracy: share of right answers, in [0, 1].
        log_loss: mean cross entropy, in nats.
        choices: layer -> its option, "analog" or the name of a code.
        parts: what every layer costs in it.
    """

    energy_pj: float
    accuracy: float
    log_loss: float
    choices: Mapping[str, str] = field(hash=False)
    parts: tuple[Part, ...] = field(repr=False)


def front_of(points: Iterable[Point]) -> tuple[Point, ...]:
    """The points that no other beats in energy and accuracy at once, cheapest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.energy_pj, -point.accuracy, point.log_loss)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return tuple(front)
