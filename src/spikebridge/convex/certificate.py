"""How far from the optimum given weights can be: a lower bound from duality that rounding cannot push above it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .columns import Dictionary
from .dictionary import as_dictionary
from .grid import quantum_for
from .losses import Floats, Loss
from .penalties import Penalty
from .problem import ClassWeight, Problem
from .subgradient import dual_candidates

Level = Literal["A", "B", "C", "D"]
EPSILON = float(np.finfo(np.float64).eps)
FACTORS = (1.0, 0.9, 0.5, 0.2, 0.05, 0.0)
"""Shares of a dual point that are tried where a ridge leaves its size free."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What is proven about weights W of a :class:`Problem`.

    primal is the objective at W;  dual <= optimum <= primal, up to ``rounding``, which gap contains.

    Attributes:
        primal: objective at W, with the intercept given, or the best one.
        dual: a proven lower bound of the optimum that the level speaks of.
        gap: primal - dual + the rounding of primal, >= 0.
        violation: the largest excess of a dual norm over lambda at W, relative to lambda; 0 at the optimum.
        level: what the optimum ranges over: "A" all weights of this dictionary; "B" all weights of a larger pool of
            columns too; "C" all networks whose last hidden units are 0 or 1, of any size; "D" as A or B, where the
            caller says that the columns are all that the network can have.
        arithmetic: "fixed-point" if all sums over samples are exact (0/1 columns, dual on a grid), else "float64
            with a rounding allowance".
        rounding: allowance for rounding inside ``gap``.
        note: what else there is to know; empty if nothing.
    """

    primal: float
    dual: float
    gap: float
    violation: float
    level: Level
    arithmetic: str
    rounding: float
    note: str = ""

    @property
    def relative_gap(self) -> float:
        """Gap / primal, primal taken as 1e-300 at least."""
        return self.gap / max(self.primal, 1e-300)


def certify(
    dictionary: Any,
    targets: NDArray[Any],
    weights: NDArray[Any],
    *,
    strength: float,
    loss: str | Loss = "logistic",
    penalty: str | Penalty = "l1",
    intercept: bool = False,
    intercept_values: NDArray[Any] | float | None = None,
    ridge: float = 0.0,
    sample_weight: NDArray[Any] | None = None,
    class_weight: ClassWeight = None,
    classes: int | None = None,
    pool: Any = None,
    level: Level | None = None,
    dual_point: NDArray[Any] | None = None,
) -> Certificate:
    """Judge weights, whoever found them, by the duality gap.

    For any u in the domain of the loss, with 1^T u = 0 if the intercept is free, and tau = min(1, lambda / max_j
    size(d_j^T u)):

        optimum >= -sum_i a_i loss*(-tau u_i / a_i) - sum_j (size_j(tau u) - lambda)_+^2 / (2 ridge)

    u are the residuals at W. They are rounded to a grid on which float64 sums are exact, and made to sum to zero
    there, so the constraints hold exactly; what is left of rounding is bounded and deducted.

    Args:
        dictionary: [samples, features]: an array or a :class:`Dictionary`.
        targets: as for :func:`fit_sparse`.
        weights: [features] or [features, outputs].
        strength: lambda.
        loss: likewise, and so on for what follows.
        penalty: likewise.
        intercept: whether the problem has a free intercept.
        intercept_values: [outputs], at which primal is taken; None takes the best.
        ridge: factor of |W|^2 / 2.
        sample_weight: [samples].
        class_weight: "balanced" or {class: weight}.
        classes: number of classes of the softmax.
        pool: more columns, for level B: they must not improve the optimum by more than the gap.
        level: None means B with a pool, else A. "C" bounds every network with 0/1 units, "D" is A or B with the
            caller's word that the columns are all there are.
        dual_point: [samples] or [samples, outputs], any numbers: a further u to try. The hinge needs one for a tight
            bound, as its residuals at the kink are not in the weights; :attr:`Solution.dual_point` has it.

    Raises:  ValueError: weights of another shape or not finite, and whatever :func:`fit_sparse` refuses.
    Source:  gap by rescaled residuals: Fercoq, Gramfort, Salmon, ICML 2015; universal bound: Ergen et al., ICLR 2023.

    >>> certificate = certify(np.eye(2), np.array([1.0, -1.0]), np.zeros(2), strength=0.25)
    >>> round(certificate.primal, 4), certificate.gap < 1e-9, certificate.level
    (0.6931, True, 'A')
    """
    problem = Problem.of(
        dictionary,
        targets,
        loss=loss,
        penalty=penalty,
        strength=strength,
        intercept=intercept,
        ridge=ridge,
        sample_weight=sample_weight,
        class_weight=class_weight,
        classes=classes,
    )
    array, values = problem.checked(weights, intercept_values)
    others = None if pool is None else as_dictionary(pool)
    return certify_problem(problem, array, values, pool=others, level=level, dual_point=dual_point)


def certify_problem(
    problem: Problem,
    weights: Floats,
    intercept: Floats | None = None,
    *,
    pool: Dictionary | None = None,
    level: Level | None = None,
    dual_point: NDArray[Any] | None = None,
) -> Certificate:
    """:func:`certify` for a :class:`Problem`; weights [P, C], intercept [C] or None for the best."""
    chosen: Level = level or ("A" if pool is None else "B")
    _require_level(problem, chosen, pool)
    bare = problem.scores(weights, np.zeros(problem.outputs))
    best = problem.best_intercept(bare, np.zeros(problem.outputs) if intercept is None else intercept)
    scores = bare + (best if intercept is None else intercept)
    candidates = dual_candidates(problem, weights, bare + best)
    if dual_point is not None:
        candidates.append(np.asarray(dual_point, dtype=np.float64).reshape(problem.targets.shape))
    bounds = [lower_bound(problem, candidate, pool=pool, universal=chosen == "C") for candidate in candidates]
    best_bound = max(bounds, key=lambda bound: bound.value)
    primal = problem.loss_value(scores) + problem.penalty_value(weights)
    rounding = _rounding_of_primal(problem, weights, scores, primal)
    return Certificate(
        primal=primal,
        dual=best_bound.value,
        gap=max(0.0, primal - best_bound.value) + rounding,
        violation=best_bound.violation,
        level=chosen,
        arithmetic="fixed-point" if best_bound.is_exact else "float64 with a rounding allowance",
        rounding=rounding,
        note="" if weights.any() else "All weights are zero.",
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
) -> Bound:
    """A lower bound of the optimum from any numbers [n, C].

    Args:
        problem: whose optimum it is.
        dual: numbers that are made feasible.
        columns: those that can be in use at the optimum, where others are proven not to be; None takes all.
        pool: more columns.
        universal: every column of zeros and ones instead.
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
    largest = float(sizes.max(initial=0.0))
    excess = max(0.0, largest / problem.strength - 1.0) if problem.strength else largest
    value, factor = _scaled(problem, point, sizes, has_ridge=problem.ridge > 0.0 and not universal)
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
    """Sizes of D^T u, rounding included: exact for zeros and ones, else an entry is off by at most n eps |d_j| |u|."""
    sizes = problem.penalty.sizes(product) * (1.0 + 8.0 * EPSILON)
    if dictionary.is_binary:
        return sizes
    norms = np.sqrt(dictionary.column_norms()) * float(np.linalg.norm(point))
    return sizes + (dictionary.shape[0] + 8) * EPSILON * (norms if columns is None else norms[columns])[:, None]


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


def _rounding_of_primal(problem: Problem, weights: Floats, scores: Floats, primal: float) -> float:
    used = np.flatnonzero(weights.any(axis=1))
    norms = np.sqrt(problem.dictionary.column_norms()[used])
    moved = float(np.abs(weights[used]).sum(axis=1) @ norms) * float(np.linalg.norm(problem.residual(scores)))
    return EPSILON * ((len(used) + 8) * moved + (len(scores) + 64) * abs(primal))


def _require_level(problem: Problem, level: str, pool: Dictionary | None) -> None:
    if level not in ("A", "B", "C", "D"):
        raise ValueError(f"certify expects level 'A', 'B', 'C' or 'D'; got {level!r}.")
    if (level == "B" and pool is None) or (level in "AC" and pool is not None):
        raise ValueError(f"certify expects a pool for level 'B', and may have one for 'D'; got level {level!r}.")
    if pool is not None and pool.shape[0] != problem.dictionary.shape[0]:
        raise ValueError(
            f"certify expects a pool over the same {problem.dictionary.shape[0]} rows; got {pool.shape[0]}."
        )
