"""Solutions along a path of strengths, strongest first, each started from the last."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .fit import Solution, lambda_max_of, solve
from .losses import Loss
from .penalties import Penalty
from .problem import ClassWeight, Problem
from .screening import strong_rule


def fit_path(
    dictionary: Any,
    targets: NDArray[Any],
    loss: str | Loss = "logistic",
    penalty: str | Penalty = "l1",
    strengths: int | Sequence[float] | NDArray[Any] = 20,
    intercept: bool = False,
    tol: float = 1e-6,
    *,
    smallest: float = 0.01,
    sample_weight: NDArray[Any] | None = None,
    class_weight: ClassWeight = None,
    ridge: float = 0.0,
    classes: int | None = None,
    max_time: float = np.inf,
) -> dict[float, Solution]:
    """Solve at many strengths, from strong to weak: {lambda: solution}, in that order.

    Each problem starts at the last solution, with the columns that the sequential strong rule keeps; what it drops is
    checked, and the certificates are as good as those of :func:`fit_sparse`.

    Args:
        dictionary: as for :func:`fit_sparse`, and so on.
        targets: likewise.
        loss: likewise.
        penalty: likewise.
        strengths: values of lambda > 0, in any order; a number n takes n from lambda_max down, geometrically.
        intercept: likewise.
        tol: likewise.
        smallest: the last of these n, as a share of lambda_max.
        sample_weight: likewise.
        class_weight: likewise.
        ridge: likewise.
        classes: likewise.
        max_time: seconds for one strength, after which the best so far is its solution, and the next starts there.

    Raises:  ValueError: no strength, one <= 0, and whatever :func:`fit_sparse` refuses.

    >>> path = fit_path(np.eye(4), np.array([1, 1, -1, -1]), strengths=[0.05, 0.2])
    >>> [(strength, len(solution.support)) for strength, solution in path.items()]
    [(0.2, 0), (0.05, 4)]
    """
    problem = Problem.of(
        dictionary,
        targets,
        loss=loss,
        penalty=penalty,
        intercept=intercept,
        ridge=ridge,
        sample_weight=sample_weight,
        class_weight=class_weight,
        classes=classes,
    )
    is_flat = np.ndim(targets) == 1 and problem.outputs == 1
    found: dict[float, Solution] = {}
    last: Solution | None = None
    previous = np.inf
    for strength in _strengths(problem, strengths, smallest):
        first = None if last is None else _survivors(problem, last, previous, strength)
        last = solve(
            problem.with_strength(strength), tol=tol, warm_start=last, max_time=max_time, is_flat=is_flat, first=first
        )
        found[strength] = last
        previous = strength
    return found


def _survivors(problem: Problem, last: Solution, previous: float, strength: float) -> NDArray[np.intp]:
    sizes = problem.penalty.sizes(problem.dictionary.rmatvec(last.dual_point)).max(axis=1)
    return strong_rule(sizes, previous, strength)


def _strengths(problem: Problem, strengths: int | Sequence[float] | NDArray[Any], smallest: float) -> list[float]:
    if np.isscalar(strengths) and not isinstance(strengths, Integral):
        raise TypeError(f"fit_path expects strengths to be how many, or a list of them; got {strengths!r}.")
    if isinstance(strengths, (int, Integral)):
        if strengths < 1 or not 0.0 < smallest <= 1.0:
            raise ValueError(
                f"fit_path expects at least one strength and 0 < smallest <= 1; got {strengths} and {smallest}."
            )
        # Where no column says anything it is 0, and any strength keeps all weights at 0.
        largest = lambda_max_of(problem) or 1.0
        return [float(value) for value in largest * np.geomspace(1.0, smallest, int(strengths))]
    given = sorted({float(value) for value in strengths}, reverse=True)
    if not given or not 0.0 < given[-1] or not given[0] < np.inf:
        raise ValueError(f"fit_path expects strengths > 0; got {list(strengths)}.")
    return given
