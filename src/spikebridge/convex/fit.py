"""Fit a sparse readout over a dictionary, with a proof of how good it is."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from .bounds import EPSILON
from .certificate import Certificate, certify_problem
from .losses import Floats, Loss
from .margins import Hinge
from .penalties import Penalty
from .problem import ClassWeight, Problem
from .solvers import find_solver
from .solvers.smoothing import through_smooth_losses

SAFETY = 0.98
"""Share of the tolerance asked of a solver: the rest is for the rounding that a certificate adds."""

HINGE_WIDTH = 1e-3
"""Rounding of the kink at which the hinge's residuals at zero weights are taken."""


@dataclass(frozen=True, kw_only=True)
class Solution:
    """What :func:`fit_sparse` found.

    Attributes:
        weights: [features], or [features, outputs] for the softmax and for targets [samples, outputs].
        intercept: a number, or [outputs]; 0 where it is not free.
        certificate: of these weights, at level A.
        dual_point: [samples, outputs], from which the certificate's bound follows; :func:`certify` takes it.
        rounds: how often the solver looked at all columns.
        is_converged: whether the relative gap asked for was reached.
    """

    weights: Floats
    intercept: Any
    certificate: Certificate
    dual_point: Floats
    rounds: int
    is_converged: bool

    @property
    def objective(self) -> float:
        """Mean loss + lambda * penalty + ridge / 2 * |W|^2."""
        return self.certificate.primal

    @property
    def support(self) -> NDArray[np.intp]:
        """The features in use."""
        return np.flatnonzero(self.weights.any(axis=tuple(range(1, self.weights.ndim))))


WarmStart = Solution | tuple[Any, Any] | NDArray[Any] | None


def fit_sparse(
    dictionary: Any,
    targets: NDArray[Any],
    loss: str | Loss = "logistic",
    penalty: str | Penalty = "l1",
    strength: float = 0.01,
    intercept: bool = False,
    tol: float = 1e-6,
    *,
    sample_weight: NDArray[Any] | None = None,
    class_weight: ClassWeight = None,
    ridge: float = 0.0,
    classes: int | None = None,
    solver: str = "auto",
    warm_start: WarmStart = None,
    max_time: float = np.inf,
) -> Solution:
    """Train a readout of given features to the optimum.

        minimise over W, b   sum_i a_i loss((D W)_i + b, y_i) + lambda * penalty(W) + ridge / 2 * |W|^2

    a_i are sample times class weights, divided by their sum: without any, the first term is the mean loss. It ends
    when the relative gap of the certificate, (primal - dual) / primal, is at most tol. If lambda is at least
    :func:`lambda_max`, zero weights are optimal and are returned.

    Args:
        dictionary: D, [samples, features]: an array, a scipy sparse matrix or a :class:`Dictionary`.
        targets: [samples]: -1 and 1 for "logistic" and the hinges, 0, 1, ... for "softmax", real for "squared", which
            also takes [samples, outputs].
        loss: "logistic", "softmax", "squared" (no half), "hinge", "squared-hinge", "smoothed-hinge", or a loss.
        penalty: "l1" for single weights, "group" for rows (a feature is used by all outputs or none), or a penalty.
        strength: lambda >= 0; 0 needs a ridge.
        intercept: whether b is free; it is not penalised.
        tol: relative gap.
        sample_weight: [samples], >= 0.
        class_weight: "balanced" or {class: weight}.
        ridge: of the elastic net; makes the optimum unique.
        classes: number of classes of the softmax; None takes the largest target + 1.
        solver: "working-set", which "auto" is; "fista", for rows on many processes (:class:`ShardedDictionary`); or
            "fista-fixed-point", for zeros and ones, which gives the same bits on any number of processes.
        warm_start: an earlier solution, (weights, intercept), or weights.
        max_time: seconds after which the best so far is returned.

    Raises:  ValueError: shapes that do not match, targets outside the classes, strength < 0, a dictionary without
        rows or columns, numbers that are not finite. TypeError: a loss or penalty that the solver cannot handle.
    Warns:  ConvergenceWarning, scikit-learn's: the relative gap is above tol.
    Source:  the problem is that of arXiv 2605.08022; solvers and certificate as cited there.

    >>> features = np.array([[1, 0, 1], [1, 1, 0], [0, 1, 1], [0, 0, 1]])
    >>> solution = fit_sparse(features, np.array([1, 1, -1, -1]), strength=0.05)
    >>> solution.support.tolist(), solution.certificate.relative_gap <= 1e-6
    ([0, 2], True)
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
    is_flat = np.ndim(targets) == 1 and problem.outputs == 1
    return solve(problem, tol=tol, solver=solver, warm_start=warm_start, max_time=max_time, is_flat=is_flat)


def solve(
    problem: Problem,
    *,
    tol: float = 1e-6,
    solver: str = "auto",
    warm_start: WarmStart = None,
    max_time: float = np.inf,
    is_flat: bool = False,
    first: NDArray[np.intp] | None = None,
) -> Solution:
    """:func:`fit_sparse` for a :class:`Problem`.

    Args:
        problem: what to solve.
        tol: relative gap.
        solver: by name.
        warm_start: where to start.
        max_time: seconds.
        is_flat: give weights as [P] and the intercept as a number.
        first: columns to start with, for the solver "working-set".
    """
    if not 0.0 < tol < np.inf:
        raise ValueError(f"fit_sparse expects tol > 0, a relative gap; got {tol}.")
    if problem.strength == 0.0 and problem.ridge == 0.0:
        raise ValueError("fit_sparse expects strength > 0 or ridge > 0; got 0 and 0, whose optimum has no certificate.")
    weights, start = _start(problem, warm_start)
    run = find_solver(solver, problem.loss, problem.penalty, outputs=problem.outputs)
    if first is not None:
        run = partial(run, first=first)
    if isinstance(problem.loss, Hinge):
        run = partial(through_smooth_losses, run)
    found = run(problem, weights, start, tol=SAFETY * tol, max_time=max_time)
    certificate = certify_problem(problem, found.weights, found.intercept, dual_point=found.dual_point)
    is_converged = certificate.relative_gap <= tol or certificate.gap <= _unseen(problem)
    if not is_converged:
        _warn(certificate, tol)
    return Solution(
        weights=found.weights[:, 0] if is_flat else found.weights,
        intercept=float(found.intercept[0]) if is_flat else found.intercept,
        certificate=certificate,
        dual_point=found.dual_point,
        rounds=found.rounds,
        is_converged=is_converged,
    )


def _unseen(problem: Problem) -> float:
    """A gap that rounding of the scores alone makes, squared: all there is where the fit is perfect."""
    return 64.0 * EPSILON**2 * problem.loss_value(np.zeros_like(problem.targets))


def _warn(certificate: Certificate, tol: float) -> None:
    warnings.warn(
        f"fit_sparse stopped at a relative gap of {certificate.relative_gap:.1e}, above tol={tol:g}; the solution is "
        f"at most that far from the optimum. Give it more max_time if that has ended it, ask for a larger tol, or make "
        f"the problem easier: a larger strength, a ridge, or columns of like size; solver='fista' may get further.",
        ConvergenceWarning,
        stacklevel=4,
    )


def lambda_max(
    dictionary: Any,
    targets: NDArray[Any],
    loss: str | Loss = "logistic",
    penalty: str | Penalty = "l1",
    intercept: bool = False,
    *,
    sample_weight: NDArray[Any] | None = None,
    class_weight: ClassWeight = None,
    classes: int | None = None,
) -> float:
    """The smallest lambda at which all weights are zero: the largest size of D^T u at the best intercept.

    Arguments as for :func:`fit_sparse`. For the hinge, whose u at a kink is not unique, it is an upper bound: equal
    samples get equal u.

    >>> lambda_max(np.eye(2), np.array([1, -1]))
    0.25
    """
    problem = Problem.of(
        dictionary,
        targets,
        loss=loss,
        penalty=penalty,
        intercept=intercept,
        sample_weight=sample_weight,
        class_weight=class_weight,
        classes=classes,
    )
    return lambda_max_of(problem)


def lambda_max_of(problem: Problem) -> float:
    """:func:`lambda_max` for a :class:`Problem`."""
    if isinstance(problem.loss, Hinge):
        problem = replace(problem, loss=problem.loss.smoothed(HINGE_WIDTH))
    scores = np.zeros_like(problem.targets)
    scores = scores + problem.best_intercept(scores, np.zeros(problem.outputs))
    return float(problem.penalty.sizes(problem.dictionary.rmatvec(problem.residual(scores))).max())


def _start(problem: Problem, warm_start: WarmStart) -> tuple[Floats, Floats]:
    given: Any = warm_start
    intercept: Any = None
    if isinstance(warm_start, Solution):
        given, intercept = warm_start.weights, warm_start.intercept
    elif isinstance(warm_start, tuple):
        given, intercept = warm_start
    if given is None:
        return np.zeros((problem.dictionary.shape[1], problem.outputs)), np.zeros(problem.outputs)
    weights, values = problem.checked(given, intercept)
    start = np.zeros(problem.outputs) if values is None else values
    return (weights, start) if _is_better_than_nothing(problem, weights, start) else (np.zeros_like(weights), start)


def _is_better_than_nothing(problem: Problem, weights: Floats, intercept: Floats) -> bool:
    """Whether a start is below zero weights; solvers are fast from there, and need not be from further up."""
    nothing = np.zeros_like(problem.targets)
    at_zero = problem.loss_value(nothing + problem.best_intercept(nothing, np.zeros(problem.outputs)))
    bare = problem.scores(weights, np.zeros(problem.outputs))
    here = problem.loss_value(bare + problem.best_intercept(bare, intercept)) + problem.penalty_value(weights)
    return here <= at_zero
