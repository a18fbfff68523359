"""What polishing found: the best head at every strength of the penalty, beside the old one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from .certificate import Certificate

Weights = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PolishedHead:
    """One strength of the penalty: the best head there, beside the old one; the old one where none lower was found.

    Attributes:
        strength: lambda.
        weights: [inputs, classes] of the new head.
        intercept: [classes]; zeros for a head without bias.
        certificate: of the new head.
        old_objective: mean loss + lambda * penalty of the old head.
        accuracy: of the new head on validation data; of one that was put into the network, as that answers.
        log_loss: likewise, in nats.
    """

    strength: float
    weights: Weights
    intercept: Weights
    certificate: Certificate
    old_objective: float
    accuracy: float
    log_loss: float

    @property
    def objective(self) -> float:
        """Mean loss + lambda * penalty of the new head, on training data."""
        return self.certificate.primal

    @property
    def old_excess(self) -> float:
        """What the old head is proven to lie above the best one, at least; 0 where it is the one that stays."""
        return self.old_objective - self.objective

    @property
    def rank(self) -> tuple[float, int, float]:
        """Which of several is taken, the least first."""
        return -self.accuracy, len(self.kept), self.log_loss

    @property
    def kept(self) -> NDArray[np.intp]:
        """The inputs that are read: rows of weights that are not all zero."""
        return np.flatnonzero(np.any(self.weights != 0.0, axis=1))


@dataclass(frozen=True, kw_only=True)
class Polished:
    """What :func:`polish` found; printing it gives the whole path.

    Attributes:
        model: the network with the chosen head, or a copy of the given one.
        chosen: the head in it; None if the old one stayed.
        path: all heads, strongest penalty first.
        head: the layer's name.
        inputs: how many it had.
        old_accuracy: of the old head on validation data.
        old_log_loss: likewise.
        smaller: the layer that lost the units that nobody reads; None where the head alone reads fewer.
        reason: why this head.
    """

    model: nn.Module
    chosen: PolishedHead | None
    path: tuple[PolishedHead, ...]
    head: str
    inputs: int
    old_accuracy: float
    old_log_loss: float
    smaller: str | None
    reason: str

    @property
    def replaced(self) -> bool:
        """Whether the network has a new head."""
        return self.chosen is not None

    @property
    def certificate(self) -> Certificate | None:
        """Of the new head."""
        return None if self.chosen is None else self.chosen.certificate

    def __str__(self) -> str:
        rows = [("", "strength", "objective", "gap", "old head", "inputs", "accuracy", "log-loss")]
        rows += [
            (
                "->" if point is self.chosen else "",
                f"{point.strength:.3g}",
                f"{point.objective:.6g}",
                f"{point.certificate.relative_gap:.1e}",
                f"+{point.old_excess:.3g}",
                f"{len(point.kept)}",
                f"{100 * point.accuracy:.2f} %",
                f"{point.log_loss:.4f}",
            )
            for point in self.path
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        old = f"old head '{self.head}': {self.inputs} inputs, {100 * self.old_accuracy:.2f} %, {self.old_log_loss:.4f}"
        return "\n".join([*lines, old, self.reason])
