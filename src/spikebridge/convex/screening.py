"""Which columns cannot be in use at the optimum: proven by a gap, or guessed along a path."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .bounds import EPSILON, Bound
from .losses import Floats
from .problem import Problem


def centred_norms(problem: Problem) -> Floats:
    """|d_j|, or |d_j - mean| where a free intercept makes all dual points sum to zero: [P]."""
    squares = problem.dictionary.column_norms()
    if problem.intercept:
        squares = squares - np.square(problem.dictionary.column_sums()) / problem.dictionary.shape[0]
    return np.asarray(np.sqrt(np.maximum(squares, 0.0) + 1e-12 * problem.dictionary.column_norms()))


def may_be_used(problem: Problem, bound: Bound, gap: float, norms: Floats) -> NDArray[np.bool_]:
    """Gap-safe sphere: False only for columns whose weights are zero at every optimum.

    The dual optimum lies within r, :func:`sphere_radius`, of the point, so  size(d_j^T u) + r |d_j| < lambda  proves
    w_j = 0.

    Args:
        problem: if its loss is not smooth (hinge), nothing is proven.
        bound: with correlations of the columns asked about.
        gap: objective of any weights less the bound.
        norms: of these columns, as :func:`centred_norms` gives them.

    Source:  Ndiaye, Fercoq, Gramfort, Salmon, JMLR 2017.
    """
    radius = sphere_radius(problem, gap)
    if not np.isfinite(radius):
        return np.ones(len(norms), dtype=np.bool_)
    sizes = bound.factor * problem.penalty.sizes(bound.correlations).max(axis=1)
    slack = 1.0 + (problem.dictionary.shape[0] + 8) * EPSILON
    return np.asarray((sizes + radius * norms) * slack >= problem.strength)


def sphere_radius(problem: Problem, gap: float) -> float:
    """How far the dual optimum can be from a point with a gap:  r = sqrt(2 gap L max_i a_i), L the loss's smoothness.

    The dual is 1 / (L max_i a_i)-strongly concave. Infinite for a loss that is not smooth.
    """
    smoothness = getattr(problem.loss, "smoothness", np.inf)
    return float(np.sqrt(2.0 * (max(gap, 0.0) + EPSILON) * smoothness * problem.sample_weights.max()))


def strong_rule(sizes: Floats, previous: float, strength: float) -> NDArray[np.intp]:
    """Columns that the sequential strong rule keeps when lambda falls from previous to strength: a good first guess.

    Keeps  size(d_j^T u) >= 2 lambda - lambda_previous,  u the dual point at the previous lambda.

    Source:  Tibshirani et al., JRSS B 2012. It can be wrong, so the optimality of what it drops is checked.

    >>> strong_rule(np.array([0.5, 0.9]), previous=1.0, strength=0.9).tolist()
    [1]
    """
    return np.flatnonzero(sizes >= 2.0 * strength - previous)
