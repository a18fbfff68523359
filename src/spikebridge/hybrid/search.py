"""Which of very many choices to measure: the best sums of single measurements, then neighbours of the best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, permutations
from typing import TypeAlias

Choice: TypeAlias = tuple[int, ...]
"""For every layer, in order, the place of its option; 0 is analog."""
Table: TypeAlias = Sequence[Sequence[float]]
"""A number for every layer and option."""
Key: TypeAlias = tuple[float, ...]
Measure: TypeAlias = "Callable[[Choice], tuple[float, Key]]"
"""Energy of a choice as a whole, and what shall be small."""

STATES = 1024
"""Most partial choices that are kept after each layer."""
SLACK = 1.1
"""A neighbour is measured if its energy is expected within this many times the limit: layers change each other's."""

_State: TypeAlias = tuple[float, float, Choice]


def additive_front(energies: Table, losses: Table, *, most: int) -> list[Choice]:
    """The choices that no other beats in both sums, cheapest first: a multiple-choice knapsack, layer by layer.

    Args:
        energies: of each layer under each option.
        losses: what each adds to the loss if it alone is changed.
        most: how many to give, at even distances in energy.

    >>> additive_front([[5.0, 1.0], [5.0, 2.0]], [[0.0, 0.3], [0.0, 0.1]], most=9)
    [(1, 1), (1, 0), (0, 1), (0, 0)]
    """
    states: list[_State] = [(0.0, 0.0, ())]
    for energy_of, loss_of in zip(energies, losses, strict=True):
        longer = [
            (energy + energy_of[option], loss + loss_of[option], (*choice, option))
            for energy, loss, choice in states
            for option in range(len(energy_of))
        ]
        states = _spread(_undominated(sorted(longer)), STATES)
    return [choice for _, _, choice in _spread(states, most)]


def improved(start: Choice, *, limit_pj: float, measure: Measure, energies: Table, losses: Table) -> Choice:
    """From a choice within the limit, move to better neighbours until there is none.

    The neighbours are tried in the order of what the sums expect of them, and the first better one is taken.

    Args:
        start: where to begin.
        limit_pj: of a choice's measured energy.
        measure: of a choice, energy and what shall be small.
        energies: as for :func:`additive_front`.
        losses: likewise.
    """
    here, (energy, key) = start, measure(start)
    while True:
        spent, lost = _sum(energies, here), _sum(losses, here)
        near = {
            other: (_sum(energies, other) - spent, _sum(losses, other) - lost) for other in _neighbours(here, energies)
        }
        within = [other for other in near if energy + near[other][0] <= limit_pj * SLACK]
        for other in sorted(within, key=lambda other: (near[other][1], other)):
            found = measure(other)
            if found[0] <= limit_pj and found[1] < key:
                here, (energy, key) = other, found
                break
        else:
            return here


def _neighbours(choice: Choice, energies: Table) -> Iterator[Choice]:
    """Every other option of one layer; one layer a step dearer and another a step cheaper; two layers exchanged."""
    for layer, options in enumerate(energies):
        yield from (_with(choice, {layer: option}) for option in range(len(options)) if option != choice[layer])
    for dearer, cheaper in permutations(range(len(choice)), 2):
        up, down = _step(energies[dearer], choice[dearer], 1), _step(energies[cheaper], choice[cheaper], -1)
        if up is not None and down is not None:
            yield _with(choice, {dearer: up, cheaper: down})
    for one, other in combinations(range(len(choice)), 2):
        if choice[one] != choice[other]:
            yield _with(choice, {one: choice[other], other: choice[one]})


def _with(choice: Choice, changes: dict[int, int]) -> Choice:
    return tuple(changes.get(layer, option) for layer, option in enumerate(choice))


def _step(energy_of: Sequence[float], option: int, by: int) -> int | None:
    """The option next to this one by energy."""
    ordered = sorted(range(len(energy_of)), key=lambda each: (energy_of[each], each))
    place = ordered.index(option) + by
    return ordered[place] if 0 <= place < len(ordered) else None


def _sum(table: Table, choice: Choice) -> float:
    return sum(table[layer][option] for layer, option in enumerate(choice))


def _undominated(states: Sequence[_State]) -> list[_State]:
    """Of states sorted by energy, those of less loss than all before them."""
    kept: list[_State] = []
    for state in states:
        if not kept or state[1] < kept[-1][1]:
            kept.append(state)
    return kept


def _spread(states: Sequence[_State], most: int) -> list[_State]:
    """At most so many of them, at even distances in energy, the first and the last included."""
    if len(states) <= most:
        return list(states)
    distance = (states[-1][0] - states[0][0]) / max(1, most - 1)
    kept = [states[0]]
    for state in states[1:-1]:
        if state[0] >= kept[-1][0] + distance:
            kept.append(state)
    return [*kept, states[-1]]
