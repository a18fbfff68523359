"""Small convex problems of every kind, for tests of losses, certificates and solvers."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

MARGINS = ("logistic", "hinge", "squared-hinge", "smoothed-hinge")
LOSSES = (*MARGINS, "softmax", "squared")
SMOOTH = tuple(loss for loss in LOSSES if loss != "hinge")
PENALTIES = ("l1", "group")


def features(rows: int = 70, columns: int = 25, *, density: float = 0.4, seed: int = 0) -> NDArray[np.float64]:
    """Zeros and ones; 70 is no multiple of 64."""
    return (np.random.default_rng(seed).random((rows, columns)) < density).astype(np.float64)


def targets(loss: str, rows: int = 70, *, outputs: int = 3, seed: int = 1) -> NDArray[Any]:
    """Targets that a loss takes: all classes are there, and more than one output where it has them."""
    random = np.random.default_rng(seed)
    if loss in MARGINS:
        return np.where(np.arange(rows) % 3 == 0, 1, -1)
    if loss == "softmax":
        return np.arange(rows) % outputs
    return random.normal(size=(rows, outputs))


def cases() -> list[dict[str, Any]]:
    """Every loss, penalty, free intercept or not, and sample weights or not, as arguments of ``fit_sparse``."""
    weights = np.random.default_rng(2).uniform(0.0, 2.0, 70)
    weights[:3] = 0.0
    return [
        {"loss": loss, "penalty": penalty, "intercept": intercept, "sample_weight": weights if weighted else None}
        for loss, penalty, intercept, weighted in product(LOSSES, PENALTIES, (False, True), (False, True))
    ]


def name(case: dict[str, Any]) -> str:
    """For test ids."""
    parts = [case["loss"], case["penalty"], "intercept" if case["intercept"] else ""]
    return "-".join(part for part in (*parts, "" if case["sample_weight"] is None else "weights") if part)
