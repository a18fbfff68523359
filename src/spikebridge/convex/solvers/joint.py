"""Newton's step in all outputs together, by conjugate gradients, on weights that stay away from zero."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..losses import Floats, Joint
from .block import Block

MOST_PRODUCTS = 40
ACCURACY = 0.05
"""Relative residual at which conjugate gradients stop: Newton's method needs no more to gain a digit a step."""

SMALLEST_STEP = 1e-6

Operator = Callable[[Floats], Floats]


def conjugate_gradients(product: Operator, right: Floats, precondition: Operator) -> Floats:
    """Solve H d = r, to a relative residual, for arrays of any shape.

    Source:  Hestenes and Stiefel, 1952, with a preconditioner.
    """
    found, residual = np.zeros_like(right), right.copy()
    direction = precondition(residual)
    size = start = float((residual * direction).sum())
    for _ in range(MOST_PRODUCTS):
        if size <= ACCURACY**2 * start or size <= 0.0:
            break
        image = product(direction)
        bend = float((direction * image).sum())
        if bend <= 0.0:
            break
        found += size / bend * direction
        residual -= size / bend * image
        preconditioned = precondition(residual)
        size, before = float((residual * preconditioned).sum()), size
        direction = preconditioned + size / before * direction
    return found


def curvature_product(block: Block, rows: NDArray[np.intp]) -> Operator:
    """Second derivative of loss and ridge at the present scores, times a direction in some rows: [k, C] -> [k, C].

    In the block's own precision: conjugate gradients stop long before float32 is felt.
    """
    problem, scores = block.problem, block.scores.copy()
    columns, loss = block.matrix[:, rows], problem.loss
    assert isinstance(loss, Joint)

    def product(direction: Floats) -> Floats:
        change = np.asarray(columns @ direction.astype(columns.dtype), dtype=np.float64)
        moved = problem.sample_weights * loss.curved(scores, problem.targets, change)
        return np.asarray(columns.T @ moved.astype(columns.dtype) + block.ridges[rows, None] * direction)

    return product


def descend(block: Block, direction: Floats, rows: NDArray[np.intp], stop: Callable[[Floats, Floats], Floats]) -> float:
    """Halve the step until the objective falls; ``stop(old, new)`` sets to zero what crossed it. The step, or 0."""
    problem = block.problem
    old = block.values[rows]
    before = problem.loss_value(block.scores) + block.penalty_of(block.values)
    step = 1.0
    while step > SMALLEST_STEP:
        values = block.values.copy()
        values[rows] = stop(old, old + step * direction)
        scores = block.scores + block.product(values[rows] - old, rows)
        if problem.loss_value(scores) + block.penalty_of(values) < before:
            block.values[...], block.scores[...] = values, scores
            return step
        step *= 0.5
    return 0.0
