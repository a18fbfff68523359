"""Pricing where a column is a unit, of which there is no end: what a search finds, without a claim about the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from .bits import BitDictionary
from .duplicates import distinct
from .losses import Floats
from .penalties import Penalty
from .pricing import Priced
from .units import Name, Units


class _Scored(NamedTuple):
    """Different columns, those with the largest size of d^T u first, and the unit that each is of."""

    columns: BitDictionary
    sizes: Floats
    rows: Floats
    names: list[Name]


class UnitPricer(ABC):
    """Draws units, improves the best of them and of those offered before, and offers what is above lambda.

    A subclass says how units are improved. ``largest`` is infinite: nobody has seen all units, so nothing is proven
    about those not found. Names are those of :class:`Units`, which makes a network of them.

    Args:
        units: what to look among.
        pool: units drawn at every look (>= 1).
        starts: units that are improved at every look (>= 1).
        seed: of all that is drawn; a pricer that is asked the same things in the same order gives the same answers.

    Raises:  ValueError: no unit to draw or improve.
    """

    def __init__(self, units: Units, *, pool: int = 256, starts: int = 16, seed: int = 0) -> None:
        if min(pool, starts) < 1:
            raise ValueError(f"{type(self).__name__} expects pool and starts >= 1; got {pool} and {starts}.")
        self.units, self.pool, self.starts, self.seed = units, pool, starts, seed
        self._looks = 0
        self._offered = np.zeros((0, units.inputs + 2))

    def price(self, dual: Floats, penalty: Penalty, *, above: float, most: int) -> Priced:
        generator = np.random.default_rng([self.seed, self._looks])
        self._looks += 1
        rows = np.vstack([self.units.drawn(self.pool, generator), self._offered])
        rows = self.units.tuned(rows, dual, penalty)
        first = self._scored(rows, dual, penalty)
        better = self.improved(self._chosen(first.rows, rows, generator), dual, penalty, generator)
        better = self.units.tuned(better, dual, penalty)
        found = self._scored(np.vstack([better, rows]), dual, penalty)
        chosen = np.flatnonzero(found.sizes > above)[:most]
        self._offered = np.vstack([found.rows[chosen], self._offered])[: self.starts]
        return Priced(found.columns.take(chosen), [found.names[place] for place in chosen], np.inf)

    @abstractmethod
    def improved(self, rows: Floats, dual: Floats, penalty: Penalty, generator: np.random.Generator) -> Floats:
        """Units near given ones with a larger size(d^T u), or the given ones:  [k, inputs + 2] -> the same."""

    def _chosen(self, best: Floats, rows: Floats, generator: np.random.Generator) -> Floats:
        """Where to start: the best units of different columns; where there are too few of these, any others."""
        chosen = best[: self.starts]
        return np.vstack([chosen, generator.choice(rows, size=self.starts - len(chosen))])

    def sizes(self, rows: Floats, dual: Floats, penalty: Penalty) -> Floats:
        """The largest size of d^T u among the columns of each unit: [k]."""
        return np.asarray(_sizes(self.units.dictionary(rows), dual, penalty).reshape(-1, len(rows)).max(axis=0))

    def _scored(self, rows: Floats, dual: Floats, penalty: Penalty) -> _Scored:
        dictionary = self.units.dictionary(rows)
        sizes = _sizes(dictionary, dual, penalty)
        order = np.argsort(-sizes, kind="stable")
        different = distinct(dictionary.take_columns(order))
        kept = order[different.kept]
        return _Scored(different.dictionary, sizes[kept], rows[kept % len(rows)], self.units.names(rows, kept))


class SearchPricer(UnitPricer):
    """Local search: of random neighbours of a unit, the best takes its place if its column is better.

    A neighbour differs in all numbers, or in one: w' = w + spread rms(w, b) N(0, 1), threshold' = threshold
    e^(spread N(0, 1)), with spreads from 1 / 32 to 1.

    Args:
        units: as for :class:`UnitPricer`, and so on.
        pool: likewise.
        starts: likewise.
        steps: how often every unit looks around (>= 0).
        copies: neighbours at a step (>= 1).
        seed: likewise.

    Raises:  ValueError: likewise, or no neighbour.
    Source:  units asked for one by one, Bengio et al., NIPS 2005 (convex networks); this search is ours.

    >>> import torch
    >>> from spikebridge import Direct
    >>> from spikebridge.convex import L1
    >>> values = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> pricer = SearchPricer(Units(values, encoder=Direct(time_steps=1)))
    >>> pricer.price(np.array([[-1.0], [2.0], [-1.0], [1.0]]), L1(), above=0.0, most=1).columns.T.tolist()
    [[0.0, 1.0, 0.0, 1.0]]
    """

    def __init__(
        self, units: Units, *, pool: int = 256, starts: int = 16, steps: int = 10, copies: int = 16, seed: int = 0
    ) -> None:
        super().__init__(units, pool=pool, starts=starts, seed=seed)
        if steps < 0 or copies < 1:
            raise ValueError(f"SearchPricer expects steps >= 0 and copies >= 1; got {steps} and {copies}.")
        self.steps, self.copies = steps, copies

    def improved(self, rows: Floats, dual: Floats, penalty: Penalty, generator: np.random.Generator) -> Floats:
        best: Floats = rows.copy()
        sizes = self.sizes(rows, dual, penalty)
        for _ in range(self.steps):
            near = self._neighbours(best, generator)
            reached = self.sizes(near.reshape(-1, near.shape[-1]), dual, penalty).reshape(len(best), self.copies)
            place = reached.argmax(axis=1)
            rises = np.flatnonzero(reached.max(axis=1) > sizes)
            best[rises], sizes[rises] = near[rises, place[rises]], reached[rises, place[rises]]
        return best

    def _neighbours(self, rows: Floats, generator: np.random.Generator) -> Floats:
        """[k, numbers] -> [k, copies, numbers]; odd copies differ in one number."""
        shape = (len(rows), self.copies, rows.shape[1])
        noise = generator.normal(size=shape) * 2.0 ** -generator.uniform(0.0, 5.0, size=(*shape[:2], 1))
        one = generator.integers(shape[2], size=shape[:2])
        noise[:, 1::2] *= (one[..., None] == np.arange(shape[2]))[:, 1::2]
        size = np.sqrt(np.square(rows[:, :-1]).mean(axis=1))[:, None, None]
        moved = rows[:, None, :-1] + size * noise[..., :-1]
        return np.concatenate([moved, rows[:, None, -1:] * np.exp(noise[..., -1:])], axis=2)


def _sizes(dictionary: BitDictionary, dual: Floats, penalty: Penalty) -> Floats:
    return np.asarray(penalty.sizes(dictionary.rmatvec(dual)).max(axis=1), dtype=np.float64)
