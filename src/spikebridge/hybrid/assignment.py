"""What was decided: the network, the options, and what else could have been had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from .points import ANALOG, Point
from .trial import Trial

SHOWN = 12
"""Most points of the front in print."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Which layers receive spikes, in which code, within a budget; prints as a table.

    Everything in it was measured on the data that the choice was made on, and is therefore a little too good: report
    what ``model`` does on other data.

    Attributes:
        model: a new network, whose chosen layers are :class:`CodedLayer`.
        point: the choice and what was measured of it.
        analog: the same of the network as it was.
        budget_pj: per sample.
        front: the choices that no measured one beats in energy and accuracy at once, cheapest first.
        alone: layer -> option -> what it adds to the log-loss where it is the only one.
        skipped: layer -> why it was not decided on; it stays analog.
        measured: how many choices were.
        is_settled: the search ended by itself, and not because as many were measured as were allowed.
    """

    model: nn.Module
    point: Point
    analog: Point
    budget_pj: float
    front: tuple[Point, ...]
    alone: Mapping[str, Mapping[str, float]]
    skipped: Mapping[str, str]
    measured: int
    is_settled: bool
    _trial: Trial = field(repr=False)

    @property
    def choices(self) -> dict[str, str]:
        """Layer -> its option, "analog" or the name of a code."""
        return dict(self.point.choices)

    @property
    def points(self) -> tuple[Point, ...]:
        """Every choice that was measured, in that order."""
        return tuple(self._trial.found.values())

    def build(self, point: Point) -> nn.Module:
        """The network of another point, such as one of the front."""
        return self._trial.build(point.choices)

    def __str__(self) -> str:
        whole, share = self.analog.energy_pj, self.point.energy_pj / self.analog.energy_pj
        rows = [
            (
                part.layer,
                part.option,
                _brief(part.accumulates),
                _brief(part.multiplies),
                _brief(part.energy_pj),
                _brief(before.energy_pj),
                "" if part.option == ANALOG else f"{self.alone[part.layer][part.option]:+.4f}",
            )
            for part, before in zip(self.point.parts, self.analog.parts, strict=True)
        ]
        layers = _table(("layer", "receives", "AC", "MAC", "pJ", "analog pJ", "log-loss alone"), rows)
        shown = [self.front[place] for place in _places(len(self.front), SHOWN)]
        front = [
            (f"{p.energy_pj / whole:.1%}", _brief(p.energy_pj), f"{p.accuracy:.2%}", f"{p.log_loss:.4f}") for p in shown
        ]
        lines = [
            *layers,
            f"{_brief(self.point.energy_pj)} pJ per sample, {share:.1%} of the analog network's {_brief(whole)}; "
            f"the budget is {_brief(self.budget_pj)}.",
            f"Accuracy {self.point.accuracy:.2%}, analog {self.analog.accuracy:.2%}; log-loss "
            f"{self.point.log_loss:.4f}, analog {self.analog.log_loss:.4f}: on the data that the choice was made on.",
            *(f"'{name}' stays analog: {why}." for name, why in self.skipped.items()),
            f"{self.measured} choices measured{'' if self.is_settled else ', then the search had to stop'}; "
            f"{len(shown)} of {len(self.front)} points of the front:",
            *_table(("energy", "pJ", "accuracy", "log-loss"), front),
        ]
        return "\n".join(lines)


def _places(length: int, most: int) -> list[int]:
    """At most so many places of a sequence, evenly, with both ends."""
    if length <= most:
        return list(range(length))
    return [round(i * (length - 1) / (most - 1)) for i in range(most)]


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
    return [lines[0].rstrip(), "-" * len(lines[0].rstrip()), *(line.rstrip() for line in lines[1:])]


def _brief(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:.3g}"
