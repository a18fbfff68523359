"""Readouts solved for the questions of a task, at many strengths, of which validation chooses one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..convex import Dictionary, SpikeFeatures, fit_path, lambda_max, merge_rows, spike_dictionary
from ..convex.fit import Solution
from ..data import Samples
from .reconstruct_config import ReadoutConfig
from .tasks import Task


@dataclass(frozen=True, kw_only=True)
class Point:
    """One strength.

    Attributes:
        strength: lambda.
        share: of the smallest lambda that makes all weights 0.
        solution: with its certificate.
        validation: share of right answers on validation data.
    """

    strength: float
    share: float
    solution: Solution
    validation: float

    @property
    def summary(self) -> dict[str, float]:
        """Plain numbers for a record."""
        certificate = self.solution.certificate
        return {
            "strength": self.strength,
            "share": self.share,
            "objective": certificate.primal,
            "relative_gap": certificate.relative_gap,
            "inputs": len(self.solution.support),
            "validation": self.validation,
        }


@dataclass(frozen=True, kw_only=True)
class Head:
    """One question: all strengths, strongest first, and the chosen one.

    Attributes:
        path: all of them.
        chosen: with most right answers on validation data; of equals, the strongest.
    """

    path: tuple[Point, ...]
    chosen: Point


def solve_heads(features: SpikeFeatures, task: Task, config: ReadoutConfig) -> list[Head]:
    """Solve a readout for every question of a task."""
    dictionary, targets = rows_of(features, task.split.train)
    judge, judged = rows_of(features, task.split.validation)
    return [
        _solved(dictionary, targets[:, place], judge, judged[:, place], classes=classes, config=config)
        for place, classes in enumerate(task.heads)
    ]


def rows_of(features: SpikeFeatures, samples: Samples) -> tuple[Dictionary, NDArray[np.int64]]:
    """The dictionary of some samples, and its targets: [rows, questions]."""
    values, labels = samples.tensors
    return spike_dictionary(features, values), in_rows(labels)


def in_rows(labels: Tensor) -> NDArray[np.int64]:
    """Targets [samples], or [samples, steps, questions] with all steps of a sample together, as [rows, questions]."""
    flat: NDArray[np.int64] = (labels[:, None] if labels.ndim == 1 else labels.flatten(0, 1)).numpy()
    return flat


def _solved(
    dictionary: Dictionary,
    targets: NDArray[np.int64],
    judge: Dictionary,
    judged: NDArray[np.int64],
    *,
    classes: int,
    config: ReadoutConfig,
) -> Head:
    merged = merge_rows(dictionary, targets)
    problem: dict[str, Any] = {"loss": "softmax", "penalty": config.penalty, "intercept": True, "classes": classes}
    problem["sample_weight"] = merged.weights
    # Where no unit ever fires it is 0, and any strength keeps all weights at 0.
    largest = lambda_max(merged.dictionary, merged.targets, **problem) or 1.0
    strengths = largest * np.geomspace(1.0, config.lowest, config.strengths)[1:]
    solutions = fit_path(
        merged.dictionary, merged.targets, **problem, strengths=strengths, tol=config.tol, max_time=config.max_time
    )
    path: list[Point] = []
    for strength, solution in solutions.items():
        scores = judge.matvec(solution.weights) + solution.intercept
        right = float((scores.argmax(1) == judged).mean())
        path.append(Point(strength=strength, share=strength / largest, solution=solution, validation=right))
    return Head(path=tuple(path), chosen=max(path, key=lambda point: (point.validation, point.share)))
