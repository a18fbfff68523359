"""A loss with a kink, through smooth ones: the kink is rounded less and less, and the gap is the true loss's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..bounds import judged
from ..certificate import certify_problem
from ..losses import Floats
from ..margins import Hinge
from ..problem import Problem
from ..subgradient import LARGEST_SYSTEM
from .found import Found
from .program import by_program, is_small_program

FIRST_WIDTH, NARROWING, MOST_STAGES = 0.3, 0.1, 9

Solver = Callable[..., Found]


def through_smooth_losses(
    solver: Solver, problem: Problem, weights: Floats, intercept: Floats, *, tol: float, max_time: float
) -> Found:
    """Solve with :meth:`Hinge.smoothed`, each stage from the last one's end.

    The residuals of a smoothed hinge lie in the domain of the hinge's dual, so they certify the hinge itself; only
    samples on the kink add to the gap, a quarter of the width each at most. Where the last stage does not reach the
    gap, a small problem is solved as a linear program.

    Source:  Nesterov, Math. Program. 2005.
    """
    assert isinstance(problem.loss, Hinge)
    deadline = time.monotonic() + max_time
    width, rounds = FIRST_WIDTH, 0
    if weights.any() and certify_problem(problem, weights, intercept).relative_gap <= tol:
        return Found(weights, intercept, judged(problem, weights, intercept)[1].point, rounds, True)
    for _ in range(MOST_STAGES):
        smooth = replace(problem, loss=problem.loss.smoothed(width))
        left = max(0.0, deadline - time.monotonic())
        found = solver(smooth, weights, intercept, tol=max(0.2 * tol, 0.02 * width), max_time=left)
        weights, intercept, rounds = found.weights, found.intercept, rounds + found.rounds
        ends = [(weights, intercept), _onto_kink(problem, weights, intercept, width)]
        gaps = [(certify_problem(problem, *end, dual_point=found.dual_point).relative_gap, end) for end in ends]
        gap, end = min(gaps, key=lambda pair: pair[0])
        if gap <= tol or problem.dictionary.agreed(time.monotonic() > deadline):
            break
        width *= NARROWING
    left = deadline - time.monotonic()
    if gap > tol and not problem.dictionary.agreed(left <= 0.0) and is_small_program(problem):
        vertex = by_program(problem, max_time=left)
        is_missing = problem.dictionary.agreed(vertex is None)
        if vertex is not None and not is_missing:
            found, end = vertex, (vertex.weights, vertex.intercept)
            gap = certify_problem(problem, *end, dual_point=found.dual_point).relative_gap
    _, bound = judged(problem, *end, dual_point=found.dual_point)
    return Found(*end, bound.point, rounds, gap <= tol)


def _onto_kink(problem: Problem, weights: Floats, intercept: Floats, width: float) -> tuple[Floats, Floats]:
    """Weights moved, as little as can be, so that the margins within a width of the kink are exactly 1.

    The hinge's optimum is a vertex: as many samples lie on the kink as weights are not zero.
    """
    scores = problem.scores(weights, intercept)
    missing = 1.0 - scores * problem.targets
    rows = np.flatnonzero((missing[:, 0] > 0.0) & (missing[:, 0] < width))
    support = np.flatnonzero(weights[:, 0])
    if not 0 < len(rows) <= LARGEST_SYSTEM or not 0 < len(support) <= LARGEST_SYSTEM:
        return weights, intercept
    system = problem.dictionary.take(support)[rows]
    if problem.intercept:
        system = np.hstack([system, np.ones((len(rows), 1))])
    change = np.linalg.lstsq(system, (problem.targets - scores)[rows, 0], rcond=None)[0]
    moved = weights.copy()
    moved[support, 0] += change[: len(support)]
    return moved, intercept + change[len(support) :] if problem.intercept else intercept
