"""Column generation: solve with few columns, ask for those that would help, add them, repeat until none would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .bits import BitDictionary
from .bounds import feasible, lower_bound
from .fit import Solution, solve
from .losses import Floats, Loss
from .penalties import Penalty
from .pricing import Priced, Pricer
from .problem import ClassWeight, Problem


class Round(NamedTuple):
    """What a round began with.

    Attributes:
        objective: of the columns so far.
        bound: the largest lower bound so far, over all columns that the pricers stand for.
        columns: how many there are.
    """

    objective: float
    bound: float
    columns: int


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What :func:`generate_columns` found.

    Attributes:
        solution: over the columns below; its certificate is of level A, over them.
        columns: [n, k] of 0 and 1.
        names: k pairs (number of the pricer, its name for the column).
        rounds: the way there.
        relative_gap: (objective - bound) / objective over all columns that the pricers stand for, level B; infinite if
            a pricer has not seen all of its own.
    """

    solution: Solution
    columns: Floats
    names: list[tuple[int, Any]]
    rounds: tuple[Round, ...]
    relative_gap: float


def generate_columns(
    pricers: Sequence[Pricer],
    targets: NDArray[Any],
    loss: str | Loss = "logistic",
    penalty: str | Penalty = "l1",
    strength: float = 0.01,
    intercept: bool = False,
    tol: float = 1e-4,
    *,
    sample_weight: NDArray[Any] | None = None,
    class_weight: ClassWeight = None,
    classes: int | None = None,
    most: int = 50,
    patience: int = 3,
    tries: int = 3,
    max_rounds: int = 200,
) -> Generated:
    """Train a readout over columns that are too many to store: the optimum over all, with the few that it needs.

    A round solves over the present columns, takes the dual point u, and has every pricer look for columns with
    size(d^T u) > (1 + tol / 2) lambda. If pricers see all of theirs, the largest size there is makes u feasible for
    them all, which bounds the optimum over all columns: within tol where none is found. Columns that stay unused for
    some rounds go, and one that is there already is not added again, whatever its name.

    Args:
        pricers: where columns come from; at least one.
        targets: as for :func:`fit_sparse`, and so on.
        loss: likewise.
        penalty: likewise.
        strength: likewise.
        intercept: likewise.
        tol: relative gap over all columns.
        sample_weight: likewise.
        class_weight: likewise.
        classes: likewise.
        most: columns a pricer may add in a round.
        patience: rounds that an unused column stays.
        tries: rounds in a row without a new column after which it ends; pricers that draw may find one at the next.
        max_rounds: after which the best so far is returned.

    Raises:  ValueError: no pricer, no round, pricers of other rows, and whatever :func:`fit_sparse` refuses.
    Source:  Demiriz, Bennett, Shawe-Taylor, Mach. Learn. 2002 (LPBoost); Bengio et al., NIPS 2005 (convex networks).

    >>> from spikebridge.convex import ThresholdPricer
    >>> pricer = ThresholdPricer(np.array([[0.1, 0.9], [0.2, 0.1], [0.3, 0.8], [0.4, 0.2]]))
    >>> found = generate_columns([pricer], np.array([-1, -1, 1, 1]), strength=0.05, intercept=True)
    >>> found.relative_gap <= 1e-4, (0, (0, 0.3)) in found.names
    (True, True)
    """
    if not pricers:
        raise ValueError("generate_columns expects at least one pricer; got none. PoolPricer takes any dictionary.")
    if max_rounds < 1:
        raise ValueError(f"generate_columns expects max_rounds >= 1; got {max_rounds}.")
    empty = np.zeros((len(np.asarray(targets)), 1))
    settings: dict[str, Any] = {"loss": loss, "penalty": penalty, "strength": strength, "intercept": intercept}
    settings |= {"sample_weight": sample_weight, "class_weight": class_weight, "classes": classes}
    state = _State(Problem.of(BitDictionary.from_columns(empty), targets, **settings), tol, patience)
    is_flat = np.ndim(targets) == 1 and state.problem.outputs == 1
    in_vain = 0
    for _ in range(max_rounds):
        state.solve(is_flat=is_flat)
        if state.look(pricers, most):
            break
        in_vain = 0 if state.grow() else in_vain + 1
        if in_vain >= tries:
            break
    return state.result()


class _State:
    """The columns so far. The first, of zeros, is there so that there is always one."""

    def __init__(self, problem: Problem, tol: float, patience: int) -> None:
        self.problem, self.tol, self.patience = problem, tol, patience
        self.columns = problem.dictionary.take(np.arange(1))
        self.names: list[tuple[int, Any]] = [(-1, None)]
        self.idle = np.zeros(1, dtype=np.intp)
        self.solution: Solution | None = None
        self.offers: list[tuple[int, Priced]] = []
        self.rounds: list[Round] = []
        self.dropped: set[bytes] = set()
        self.returned: set[bytes] = set()

    def solve(self, *, is_flat: bool) -> None:
        """Over the present columns, from the last weights."""
        self.problem = self.problem.with_dictionary(BitDictionary.from_columns(self.columns))
        start = None
        if self.solution is not None:
            old = self.solution.weights.reshape(-1, self.problem.outputs)
            new = np.zeros((self.columns.shape[1] - len(old), self.problem.outputs))
            start = (np.vstack([old, new]), self.solution.intercept)
        self.solution = solve(self.problem, tol=0.3 * self.tol, warm_start=start, is_flat=is_flat)

    def look(self, pricers: Sequence[Pricer], most: int) -> bool:
        """Have everything priced; whether the gap over all columns is small enough."""
        assert self.solution is not None
        dual = feasible(self.problem, self.solution.dual_point)
        above = (1.0 + 0.5 * self.tol) * self.problem.strength
        self.offers = [
            (number, pricer.price(dual, self.problem.penalty, above=above, most=most))
            for number, pricer in enumerate(pricers)
        ]
        for number, offer in self.offers:
            if len(offer.columns) != len(dual):
                raise ValueError(
                    f"generate_columns expects columns of {len(dual)} rows, as many as there are targets; pricer "
                    f"{number}, {type(pricers[number]).__name__}, offers columns of {len(offer.columns)}."
                )
        largest = max(offer.largest for _, offer in self.offers)
        bound = lower_bound(self.problem, dual, at_least=largest).value if np.isfinite(largest) else -np.inf
        best = max([bound, *(round_.bound for round_ in self.rounds)])
        self.rounds.append(Round(self.solution.objective, best, self.columns.shape[1] - 1))
        return self.solution.objective - best <= self.tol * self.solution.objective

    def grow(self) -> bool:
        """Drop what has been idle, add what was offered; whether anything was. What comes back stays for good."""
        assert self.solution is not None
        used = self.solution.weights.reshape(len(self.names), -1).any(axis=1)
        self.idle = np.where(used, 0, self.idle + 1)
        known = _prints(self.columns)
        stays = (self.idle <= self.patience) | np.array([each in self.returned for each in known])
        stays[0] = True
        keep = np.flatnonzero(stays)
        self.dropped.update(known[place] for place in np.flatnonzero(~stays))
        self.names, self.idle = [self.names[place] for place in keep], self.idle[keep]
        self.columns = self.columns[:, keep]
        self.solution = Solution(**{**vars(self.solution), "weights": self.solution.weights[keep]})
        before, there = len(self.names), set(known)
        for number, offer in self.offers:
            self._add(number, offer, there)
        return len(self.names) > before

    def _add(self, number: int, offer: Priced, there: set[bytes]) -> None:
        """Add the columns of an offer that are not there yet."""
        prints = _prints(offer.columns)
        fresh = [place for place, each in enumerate(prints) if each not in there and each not in prints[:place]]
        there.update(prints)
        self.returned.update(self.dropped.intersection(prints[place] for place in fresh))
        self.names += [(number, offer.names[place]) for place in fresh]
        self.columns = np.hstack([self.columns, offer.columns[:, fresh]])
        self.idle = np.concatenate([self.idle, np.zeros(len(fresh), dtype=np.intp)])

    def result(self) -> Generated:
        """Without the column of zeros."""
        assert self.solution is not None
        solution = Solution(**{**vars(self.solution), "weights": self.solution.weights[1:]})
        gap = solution.objective - self.rounds[-1].bound
        relative = max(0.0, gap) / max(solution.objective, 1e-300)
        kept = len(solution.weights) + 1
        return Generated(
            solution=solution,
            columns=self.columns[:, 1:kept],
            names=self.names[1:kept],
            rounds=tuple(self.rounds),
            relative_gap=float(relative),
        )


def _prints(columns: Floats) -> list[bytes]:
    """Of every column, something that no other column has."""
    return [bits.tobytes() for bits in np.packbits(columns.T.astype(bool), axis=1)]
