"""What a readout pays for its weights: every weight by itself, or one row of them (a spike pattern) at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from .losses import Floats


class Penalty(ABC):
    """A norm of weights [P, C] that falls into blocks; ``sizes`` is the dual norm, block by block.

    The dual constraint is  sizes(D^T u) <= lambda  for all blocks. The norm is one of magnitudes: signs do not matter.

    Attributes:
        name: as in ``fit_sparse(penalty=...)``.
    """

    name: ClassVar[str]

    @abstractmethod
    def value(self, weights: Floats) -> float:
        """The penalty, without lambda."""

    @abstractmethod
    def prox(self, weights: Floats, step: float) -> Floats:
        """Argmin over v of |v - w|^2 / 2 + step * penalty(v)."""

    @abstractmethod
    def sizes(self, gradients: Floats) -> Floats:
        """Dual norm of every block: [P, C] -> [P, blocks of a row]."""

    @abstractmethod
    def errors(self, weights: Floats, gradients: Floats, strength: float | Floats) -> Floats:
        """Distance of -gradient from lambda * subdifferential, block by block: 0 at the optimum. As ``sizes``."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class L1(Penalty):
    """sum |w_jc|; every weight is a block.

    >>> L1().prox(np.array([[3.0, -0.5]]), 1.0).tolist()
    [[2.0, 0.0]]
    """

    name = "l1"

    def value(self, weights: Floats) -> float:
        return float(np.abs(weights).sum())

    def prox(self, weights: Floats, step: float) -> Floats:
        return weights - np.clip(weights, -step, step)

    def sizes(self, gradients: Floats) -> Floats:
        return np.abs(gradients)

    def errors(self, weights: Floats, gradients: Floats, strength: float | Floats) -> Floats:
        at_zero = np.maximum(np.abs(gradients) - strength, 0.0)
        return np.where(weights == 0.0, at_zero, np.abs(gradients + strength * np.sign(weights)))


class Group(Penalty):
    """sum_j |w_j|_2 over rows: a pattern is used by all outputs or by none.

    Source:  Yuan and Lin, JRSS B 2006.

    >>> Group().prox(np.array([[3.0, 4.0], [0.3, 0.4]]), 1.0).round(6).tolist()
    [[2.4, 3.2], [0.0, 0.0]]
    """

    name = "group"

    def value(self, weights: Floats) -> float:
        return float(self.sizes(weights).sum())

    def prox(self, weights: Floats, step: float) -> Floats:
        sizes = self.sizes(weights)
        kept = np.maximum(0.0, sizes - step)
        return weights * np.divide(kept, sizes, out=np.zeros_like(sizes), where=sizes > 0.0)

    def sizes(self, gradients: Floats) -> Floats:
        return np.asarray(np.sqrt(np.square(gradients).sum(axis=1, keepdims=True)))

    def errors(self, weights: Floats, gradients: Floats, strength: float | Floats) -> Floats:
        sizes = self.sizes(weights)
        unit = np.divide(weights, sizes, out=np.zeros_like(weights), where=sizes > 0.0)
        at_zero = np.maximum(self.sizes(gradients) - strength, 0.0)
        return np.where(sizes == 0.0, at_zero, self.sizes(gradients + strength * unit))


def find_penalty(penalty: str | Penalty) -> Penalty:
    """The penalty of a name; a penalty is returned as it is.

    Raises:  ValueError: no such penalty.
    """
    if isinstance(penalty, Penalty):
        return penalty
    known: dict[str, type[Penalty]] = {kind.name: kind for kind in (L1, Group)}
    if penalty not in known:
        raise ValueError(f"fit_sparse expects a penalty among {', '.join(known)}; got '{penalty}'.")
    return known[penalty]()
