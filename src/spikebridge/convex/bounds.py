"""Lower bounds of the optimum from dual points, exact or with what rounding may have added deducted."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .columns import Dictionary
from .grid import quantum_for
from .losses import Floats
from .problem import Problem
from .subgradient import dual_candidates

EPSILON = float(np.finfo(np.float64).eps)
FACTORS = (1.0, 0.9, 0.5, 0.2, 0.05, 0.0)
"""Shares of a dual point that are tried where a ridge leaves its size free."""


def judged(
    problem: Problem,
    weights: Floats,
    intercept: Floats | None,
    *,
    pool: Dictionary | None = None,
    universal: bool = False,
    dual_point: NDArray[Any] | None = None,
) -> tuple[Floats, Bound]:
    """Scores of weights, with the intercept given or the best, and the largest bound that they suggest."""
    bare = problem.scores(weights, np.zeros(problem.outputs))
    require_no_overflow(bare, weights)
    best = problem.best_intercept(bare, np.zeros(problem.outputs) if intercept is None else intercept)
    candidates = dual_candidates(problem, weights, bare + best)
    if dual_point is not None:
        candidates.append(np.asarray(dual_point, dtype=np.float64).reshape(problem.targets.shape))
    bounds = [lower_bound(problem, candidate, pool=pool, universal=universal) for candidate in candidates]
    return bare + (best if intercept is None else intercept), max(bounds, key=lambda bound: bound.value)


def require_no_overflow(numbers: Floats, weights: Floats) -> None:
    """Refuse weights that are finite but whose scores or objective are not."""
    if not np.isfinite(numbers).all():
        raise ValueError(
            f"certify expects weights whose scores and objective are finite in float64; those of weights of up to "
            f"{np.abs(weights).max(initial=0.0):g} are not. Scale them down."
        )


class Bound(NamedTuple):
    """A lower bound of the optimum and the dual point that proves it.

    Attributes:
        value: the bound.
        violation: relative excess of the largest size over lambda.
        is_exact: whether all sums over samples were free of rounding.
        point: u, [n, C], before it is scaled to be feasible.
        factor: what scales it.
        correlations: D^T u over the columns asked for, [k, C]; empty at the universal level.
    """

    value: float
    violation: float
    is_exact: bool
    point: Floats
    factor: float
    correlations: Floats


def lower_bound(
    problem: Problem,
    dual: Floats,
    *,
    columns: NDArray[np.intp] | None = None,
    pool: Dictionary | None = None,
    universal: bool = False,
    at_least: float = 0.0,
) -> Bound:
    """A lower bound of the optimum from any numbers [n, C].

    Args:
        problem: whose optimum it is.
        dual: numbers that are made feasible.
        columns: those that can be in use at the optimum, where others are proven not to be; None takes all.
        pool: more columns.
        universal: every column of zeros and ones instead.
        at_least: the largest size of d^T u, u as :func:`feasible` makes it, among columns that somebody else has seen.
    """
    point = feasible(problem, dual)
    if universal:
        correlations, is_exact = np.zeros((0, problem.outputs)), True
        sizes = problem.penalty.sizes(_largest_of_any_column(point)[None])
    else:
        correlations = problem.dictionary.rmatvec(point, columns=columns)
        sizes = _sizes(problem, problem.dictionary, correlations, point, columns)
        is_exact = problem.dictionary.is_binary
    if pool is not None:
        sizes = np.concatenate([sizes, _sizes(problem, pool, pool.rmatvec(point), point, None)])
        is_exact = is_exact and pool.is_binary
    if at_least > 0.0:
        sizes = np.vstack([sizes, np.full((1, sizes.shape[1]), at_least * (1.0 + 8.0 * EPSILON))])
    largest = float(sizes.max(initial=0.0))
    excess = max(0.0, largest / problem.strength - 1.0) if problem.strength else largest
    has_ridge = problem.ridge > 0.0 and not universal and at_least == 0.0
    value, factor = _scaled(problem, point, sizes, has_ridge=has_ridge)
    return Bound(value, excess, is_exact, point, factor, correlations)


def feasible(problem: Problem, dual: Floats) -> Floats:
    """A point of the loss's domain near given numbers, on a grid, with zero sums where the intercept is free."""
    loss, targets, weights = problem.loss, problem.targets, problem.sample_weights
    quantum = quantum_for(dual)
    point = loss.into_domain(dual, targets, weights, quantum)
    return loss.balanced(point, targets, weights, quantum) if problem.intercept else point


def _sizes(
    problem: Problem, dictionary: Dictionary, product: Floats, point: Floats, columns: NDArray[np.intp] | None
) -> Floats:
    """Sizes of D^T u, rounding included: exact for zeros and ones, else entry jc is off by up to n eps |d_j| |u_c|."""
    if dictionary.is_binary:
        return problem.penalty.sizes(product) * (1.0 + 8.0 * EPSILON)
    norms = np.sqrt(dictionary.column_norms())
    norms = norms if columns is None else norms[columns]
    off = (dictionary.shape[0] + 8) * EPSILON * np.outer(norms, np.linalg.norm(point, axis=0))
    return problem.penalty.sizes(np.abs(product) + off) * (1.0 + 8.0 * EPSILON)


def _largest_of_any_column(point: Floats) -> Floats:
    """Max over d in {0, 1}^n of |d . u|, output by output: [C]."""
    above, below = np.maximum(point, 0.0).sum(axis=0), np.maximum(-point, 0.0).sum(axis=0)
    return np.asarray(np.maximum(above, below))


def _scaled(problem: Problem, point: Floats, sizes: Floats, *, has_ridge: bool) -> tuple[float, float]:
    """The dual's value at the best factor of a point, and the factor."""
    if not has_ridge:
        largest = float(sizes.max(initial=0.0))
        factor = 1.0 if largest <= problem.strength else (1.0 - 4.0 * EPSILON) * problem.strength / largest
        return _dual_of_loss(problem, factor * point), factor

    def penalised(factor: float) -> float:
        excess = float(np.square(np.maximum(factor * sizes - problem.strength, 0.0)).sum())
        return _dual_of_loss(problem, factor * point) - (1.0 + 1e-12) * excess / (2.0 * problem.ridge)

    return max((penalised(factor), factor) for factor in FACTORS)


def _dual_of_loss(problem: Problem, point: Floats) -> float:
    """-sum_i a_i loss*(-u_i / a_i), less what rounding may have added."""
    weights = problem.sample_weights
    residuals = np.divide(point, weights, out=np.zeros_like(point), where=weights > 0.0)
    terms = weights[:, 0] * problem.loss.dual_values(residuals, problem.targets)
    size = float(np.abs(point).sum() + np.abs(terms).sum() + np.abs(point * problem.targets).sum())
    return math.fsum(terms) - 64.0 * problem.outputs * EPSILON * size
