"""Working sets: solve over the columns that seem to matter, look at all of them, add those that do, repeat."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from ..bounds import Bound, lower_bound
from ..losses import Floats
from ..penalties import Group
from ..problem import Problem
from ..screening import centred_norms, may_be_used
from .all_outputs import AllOutputs
from .block import Block
from .by_output import ByOutput
from .by_row import ByRow
from .found import Found

FIRST_COLUMNS = 100
"""Size of the first working set."""

NEAR = 0.9
"""Columns below this share of lambda are not worth a place."""

EASING = 0.3
"""How far below the worst error over all columns that of the working set is brought before looking again."""

MOST_ROUNDS, MOST_SWEEPS = 200, 20

PATIENCE = 8
"""Rounds after which rounding is all that is left: with no gap a tenth smaller, nor an objective lower by ``tol``."""


def working_set(
    problem: Problem,
    weights: Floats,
    intercept: Floats,
    *,
    tol: float,
    max_time: float,
    first: NDArray[np.intp] | None = None,
) -> Found:
    """Solve to a relative duality gap, from given weights.

    Args:
        problem: with a smooth loss.
        weights: [P, C], the start.
        intercept: [C], likewise.
        tol: relative gap.
        max_time: seconds; the best found by then is returned.
        first: columns of the first working set; None takes those with the largest gradients.

    Source:  working sets: Massias, Gramfort, Salmon, ICML 2018; screening: Ndiaye et al., JMLR 2017.
    """
    deadline = time.monotonic() + max_time
    norms = centred_norms(problem)
    alive = np.arange(problem.dictionary.shape[1])
    best: Bound | None = None
    least, lowest, patience = np.inf, np.inf, PATIENCE
    rounds = 0
    while True:
        rounds += 1
        scores, intercept, primal = _evaluated(problem, weights, intercept)
        bound = lower_bound(problem, problem.residual(scores), columns=alive)
        best = bound if best is None or bound.value > best.value else best
        gap = primal - best.value
        patience = PATIENCE if gap < 0.9 * least or primal < (1.0 - tol) * lowest else patience - 1
        least, lowest = min(least, gap), min(lowest, primal)
        is_over = problem.dictionary.agreed(time.monotonic() > deadline)
        if gap <= tol * primal or not patience or rounds == MOST_ROUNDS or is_over:
            break
        keep = may_be_used(problem, bound, primal - bound.value, norms[alive])
        alive, correlations = alive[keep], bound.correlations[keep]
        weights = _without(weights, alive)
        gradient = problem.ridge * weights[alive] - correlations
        columns, first = alive[_chosen(problem, weights[alive], gradient)] if first is None else first, None
        columns = np.union1d(columns, np.flatnonzero(weights.any(axis=1)))
        block = Block.of(problem, columns, weights, intercept)
        worst = float(problem.penalty.errors(weights[alive], gradient, problem.strength).max(initial=0.0))
        _inner(block).improve(EASING * worst, most=MOST_SWEEPS)
        weights = np.zeros_like(weights)
        weights[columns], intercept = block.split()
    return Found(weights, intercept, best.point, rounds, gap <= tol * primal)


def _evaluated(problem: Problem, weights: Floats, intercept: Floats) -> tuple[Floats, Floats, float]:
    """Scores with the best intercept, the intercept, and the objective."""
    bare = problem.scores(weights, np.zeros(problem.outputs))
    intercept = problem.best_intercept(bare, intercept)
    scores = bare + intercept
    return scores, intercept, problem.loss_value(scores) + problem.penalty_value(weights)


def _inner(block: Block) -> AllOutputs | ByOutput | ByRow:
    """With one output a group is a single weight."""
    if isinstance(block.problem.penalty, Group) and block.problem.outputs > 1:
        return ByRow(block)
    return AllOutputs(block) if AllOutputs.suits(block) else ByOutput(block)


def _without(weights: Floats, alive: NDArray[np.intp]) -> Floats:
    """Weights of columns that are proven useless set to zero."""
    kept = np.zeros_like(weights)
    kept[alive] = weights[alive]
    return kept


def _chosen(problem: Problem, weights: Floats, gradient: Floats) -> NDArray[np.intp]:
    """The columns with the largest gradients of those not in use, as many as are in use at most."""
    used = weights.any(axis=1)
    sizes = problem.penalty.sizes(gradient).max(axis=1)
    others = np.flatnonzero(~used & (sizes > NEAR * problem.strength))
    room = max(FIRST_COLUMNS, int(np.count_nonzero(used)))
    return np.asarray(others[np.argsort(-sizes[others], kind="stable")[:room]])
