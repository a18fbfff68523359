"""The hinge with l1 as a linear program: where it is small, a simplex method ends at the vertex itself."""

from __future__ import annotations

import numpy as np

from ..margins import Hinge
from ..penalties import L1, Group
from ..problem import Problem
from .found import Found

LARGEST_PROGRAM = 300_000
"""Samples times features up to which the program is written down."""

ACCURACY = 1e-10
"""Of HiGHS, on costs of size 1."""


def is_small_program(problem: Problem) -> bool:
    """Whether a problem is a linear program, and small. With its one output a group is a single weight."""
    is_linear = isinstance(problem.loss, Hinge) and type(problem.penalty) in (L1, Group) and problem.ridge == 0.0
    return is_linear and int(np.prod(problem.dictionary.shape)) <= LARGEST_PROGRAM


def by_program(problem: Problem, *, max_time: float) -> Found | None:
    """Solve  min sum_i a_i s_i + lambda * sum_j (v_j + w_j)  s.t.  y_i (D (v - w) + b)_i + s_i >= 1;  s, v, w >= 0.

    The multipliers of the inequalities are the dual point. None where the time is not enough.

    Source:  l1 support vector machines: Zhu et al., NIPS 2003; solver: HiGHS, Huangfu and Hall, 2018, from scipy.
    """
    from scipy import optimize, sparse  # slow to import, and only the hinge needs it

    rows, count = problem.dictionary.shape
    signs, weights = problem.targets[:, 0], problem.sample_weights[:, 0]
    signed = problem.dictionary.take(np.arange(count)) * signs[:, None]
    constant = signs[:, None] * np.ones((rows, int(problem.intercept)))
    system = sparse.hstack([signed, -signed, constant, sparse.eye_array(rows)], format="csc")
    scale = 1.0 / float(weights.max())
    costs = np.concatenate([np.full(2 * count, problem.strength), np.zeros(constant.shape[1]), weights])
    bounds = np.zeros((len(costs), 2))
    bounds[:, 1] = np.inf
    bounds[2 * count : 2 * count + constant.shape[1], 0] = -np.inf
    options = {"primal_feasibility_tolerance": ACCURACY, "dual_feasibility_tolerance": ACCURACY}
    found = optimize.linprog(
        scale * costs,
        A_ub=-system,
        b_ub=-np.ones(rows),
        bounds=bounds,
        method="highs",
        options=options if np.isinf(max_time) else {**options, "time_limit": max_time},
    )
    if found.status != 0:
        return None
    intercept = found.x[2 * count : 2 * count + 1] if problem.intercept else np.zeros(1)
    dual = -found.ineqlin.marginals / scale * signs
    return Found((found.x[:count] - found.x[count : 2 * count])[:, None], intercept, dual[:, None], 1, True)
