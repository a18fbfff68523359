"""How far from the optimum given weights can be: a lower bound from duality that rounding cannot push above it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .bounds import EPSILON, judged, require_no_overflow
from .columns import Dictionary
from .dictionary import as_dictionary
from .losses import Floats, Loss
from .penalties import Penalty
from .problem import ClassWeight, Problem

Level = Literal["A", "B", "C", "D"]


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
        level: None means B with a pool, else A. "C" bounds every network with 0/1 units, as the columns are;
            "D" is A or B with the caller's word that the columns are all there are.
        dual_point: [samples] or [samples, outputs], any numbers: a further u to try. The hinge needs one for a tight
            bound, as its residuals at the kink are not in the weights; :attr:`Solution.dual_point` has it.

    Raises:  ValueError: weights of another shape, not finite or with an objective that is not, and whatever
        :func:`fit_sparse` refuses. ArithmeticError: a bound above the objective, as a wrong loss of one's own gives.
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
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused
        scores, best_bound = judged(
            problem, weights, intercept, pool=pool, universal=chosen == "C", dual_point=dual_point
        )
        primal = problem.loss_value(scores) + problem.penalty_value(weights)
    require_no_overflow(np.array(primal), weights)
    rounding = _rounding_of_primal(problem, weights, scores, primal)
    _require_order(primal, best_bound.value, rounding)
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


def _rounding_of_primal(problem: Problem, weights: Floats, scores: Floats, primal: float) -> float:
    used = np.flatnonzero(weights.any(axis=1))
    norms = np.sqrt(problem.dictionary.column_norms()[used])
    residual = problem.residual(scores)
    moved = float(np.abs(weights[used]).sum(axis=1) @ norms) * float(np.linalg.norm(residual))
    shifted = float(np.abs(scores * residual).sum())
    return EPSILON * ((len(used) + 8) * moved + 2.0 * shifted + (len(scores) + 64) * abs(primal))


def _require_order(primal: float, dual: float, rounding: float) -> None:
    """A bound above the objective means that some loss, penalty or dictionary is not what it says it is."""
    if dual - primal > rounding:
        raise ArithmeticError(
            f"certify expects a lower bound below the objective; got {dual!r} above {primal!r}, by more than the "
            f"rounding of {rounding:.1g}. A loss whose dual_values or into_domain are wrong, or a dictionary whose "
            f"products are, does that; if both are the library's own, please report it."
        )


def _require_level(problem: Problem, level: str, pool: Dictionary | None) -> None:
    if level not in ("A", "B", "C", "D"):
        raise ValueError(f"certify expects level 'A', 'B', 'C' or 'D'; got {level!r}.")
    if (level == "B" and pool is None) or (level in "AC" and pool is not None):
        raise ValueError(f"certify expects a pool for level 'B', and may have one for 'D'; got level {level!r}.")
    if level == "C" and not problem.dictionary.is_binary:
        raise ValueError(
            "certify expects columns of zeros and ones for level 'C', which bounds networks whose last units are 0 or "
            "1; got other numbers. Take level 'A'."
        )
    if pool is not None and pool.shape[0] != problem.dictionary.shape[0]:
        raise ValueError(
            f"certify expects a pool over the same {problem.dictionary.shape[0]} rows; got {pool.shape[0]}."
        )
