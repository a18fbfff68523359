"""Measures choices until the best one within a budget has no better neighbour."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

from .points import Point, front_of
from .search import Choice, Key, Table, additive_front, improved
from .trial import Trial

By: TypeAlias = Literal["accuracy", "log_loss"]

CANDIDATES = 32
"""How many choices along the front of the sums are measured."""
STARTS = {"log_loss": 3, "accuracy": 8}
"""From how many of the best choices within the budget the search walks on: accuracy has more dead ends."""
LEVELS = 6
"""At how many other energies the front is improved, from the best choice each."""

KEYS: dict[str, Callable[[Point], Key]] = {
    "accuracy": lambda point: (-point.accuracy, point.log_loss, point.energy_pj),
    "log_loss": lambda point: (point.log_loss, point.energy_pj),
}


def _energy(point: Point) -> Key:
    return (point.energy_pj,)


class _Spent(Exception):  # noqa: N818 - no error: the search stops
    """As many choices are measured as were allowed."""


class Chooser:
    """Measures choices until a budget's best has no better neighbour."""

    def __init__(self, trial: Trial, *, most: int) -> None:
        least = 1 + len(trial.names) * len(trial.codes)
        if most < least:
            raise ValueError(
                f"assign expects at least {least} measurements, one for each option of {len(trial.names)} layers and "
                f"one of the network as it is; got {most}. Allow more, or pass fewer codes or layers."
            )
        self.trial, self.most, self.is_settled = trial, most, True
        self.energies, self.losses = self._alone()

    @property
    def alone(self) -> dict[str, dict[str, float]]:
        """Layer -> option -> log-loss added."""
        names = self.trial.options[1:]
        return {
            layer: dict(zip(names, losses[1:], strict=True))
            for layer, losses in zip(self.trial.names, self.losses, strict=True)
        }

    def run(self, limit_pj: float) -> None:
        """Candidates for all energies, then better neighbours for this one and for some others."""
        try:
            for choice in additive_front(self.energies, self.losses, most=CANDIDATES):
                self._measure(choice)
            for option in range(1, len(self.trial.options)):
                self._measure((option,) * len(self.trial.names))
            if not self._best(limit_pj, by="log_loss"):
                self._save()
            self._improve(limit_pj, by="log_loss", starts=STARTS["log_loss"])
            front = front_of(self.trial.found.values())
            cheapest, dearest = front[0].energy_pj, front[-1].energy_pj
            for level in range(1, LEVELS + 1):
                self._improve(cheapest + (dearest - cheapest) * level / (LEVELS + 1), by="log_loss", starts=1)
            self._improve(limit_pj, by="accuracy", starts=STARTS["accuracy"])
        except _Spent:
            self.is_settled = False

    def best(self, limit_pj: float, *, by: By) -> Point | None:
        """Of the choices measured, the best within a limit."""
        return next(iter(self._best(limit_pj, by=by)), None)

    def _best(self, limit_pj: float, *, by: By) -> list[Point]:
        """The choices measured that are within a limit, the best first."""
        return sorted((p for p in self.trial.found.values() if p.energy_pj <= limit_pj), key=KEYS[by])

    def _improve(self, limit_pj: float, *, by: By, starts: int) -> None:
        for start in self._best(limit_pj, by=by)[:starts]:
            self._walk(start, KEYS[by], limit_pj=limit_pj, losses=self.losses)

    def _walk(self, start: Point, key: Callable[[Point], Key], *, limit_pj: float, losses: Table) -> None:
        def measure(choice: Choice) -> tuple[float, Key]:
            point = self._measure(choice)
            return point.energy_pj, key(point)

        place = tuple(self.trial.options.index(option) for option in start.choices.values())
        improved(place, limit_pj=limit_pj, measure=measure, energies=self.energies, losses=losses)

    def _save(self) -> None:
        """Walk from the cheapest choice to cheaper ones, since none is within the limit."""
        cheapest = min(self.trial.found.values(), key=_energy)
        self._walk(cheapest, _energy, limit_pj=math.inf, losses=self.energies)

    def _measure(self, choice: Choice) -> Point:
        if choice not in self.trial.found and len(self.trial.found) >= self.most:
            raise _Spent
        return self.trial.measure(choice)

    def _alone(self) -> tuple[Table, Table]:
        """What every option costs in its layer, and what it adds to the log-loss, all other layers being analog."""
        analog = self._measure(self.trial.analog)
        energies, losses = [], []
        for place, part in enumerate(analog.parts):
            points = [analog, *(self._measure(self._only(place, k)) for k in range(1, len(self.trial.options)))]
            energies.append([part.energy_pj, *(point.parts[place].energy_pj for point in points[1:])])
            losses.append([point.log_loss - analog.log_loss for point in points])
        return energies, losses

    def _only(self, place: int, option: int) -> Choice:
        return tuple(option if each == place else 0 for each in range(len(self.trial.names)))
