"""Losses of a linear readout: what each has (a gradient, a curvature, a dual) is what a solver may ask for.

Everything is per sample and unweighted; the problem multiplies by the samples' weights, which sum to one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .grid import Floats as Floats
from .intercept import by_bisection, by_newton


@runtime_checkable
class Smooth(Protocol):
    """A loss with a Lipschitz gradient and a curvature, possibly generalised."""

    smoothness: float

    def curvature(self, scores: Floats, targets: Floats) -> Floats:
        """Diagonal of the second derivative: [n, C] -> [n, C], >= 0."""
        ...

    def curvature_above(self, scores: Floats, targets: Floats) -> Floats:
        """Curvatures of parabolas in one score each that touch the loss there and lie above it everywhere."""
        ...


@runtime_checkable
class Joint(Protocol):
    """A smooth loss of several outputs, whose second derivative couples them: what groups and intercepts take."""

    def curved(self, scores: Floats, targets: Floats, directions: Floats) -> Floats:
        """Second derivative times a direction, sample by sample: [n, C] -> [n, C]."""
        ...

    def bound_curvature(self, scores: Floats, targets: Floats) -> Floats:
        """A diagonal, [n, C], that stands above the second derivative nearly everywhere: steps are checked."""
        ...


class Loss(ABC):
    """A convex loss of scores z, and its conjugate.

    ``residual`` is -d loss / d z (any subgradient), and lies in the domain of r -> -loss*(-r), which is star-shaped at
    0: residuals times a factor in [0, 1] stay in it.

    Attributes:
        name: as in ``fit_sparse(loss=...)``.
        is_classification: targets are classes, so class weights make sense.
        has_minimum_without: whether a free intercept keeps a minimum where a class has no sample.
        least_caution: share of ``curvature_above`` that a Hessian needs to be invertible where the loss is straight.

    Shapes:  scores [n, C], targets [n, C] as :meth:`encode` gives them, values [n].
    """

    name: ClassVar[str]
    is_classification: ClassVar[bool] = True
    has_minimum_without: ClassVar[bool] = True
    least_caution: ClassVar[float] = 0.0

    @abstractmethod
    def encode(self, targets: NDArray[Any], classes: int | None) -> Floats:
        """Targets as [n, C], checked."""

    @abstractmethod
    def values(self, scores: Floats, targets: Floats) -> Floats:
        """The loss of every sample."""

    @abstractmethod
    def residual(self, scores: Floats, targets: Floats) -> Floats:
        """-d loss / d z: [n, C]."""

    @abstractmethod
    def dual_values(self, residuals: Floats, targets: Floats) -> Floats:
        """-loss*(-r) of every sample; -inf outside the domain."""

    @abstractmethod
    def into_domain(self, dual: Floats, targets: Floats, weights: Floats, quantum: float) -> Floats:
        """Weighted residuals that lie in the domain, near given ones: multiples of quantum, cut towards 0."""

    @abstractmethod
    def balanced(self, dual: Floats, targets: Floats, weights: Floats, quantum: float) -> Floats:
        """As ``into_domain``, from there, with columns that sum to exactly 0: what a free intercept asks for."""

    def best_intercept(self, scores: Floats, targets: Floats, weights: Floats, start: Floats) -> Floats:
        """Argmin over b of sum_i a_i loss(z_i + b, y_i), to rounding:  weights [n, 1], start [C] -> [C].

        Raises:  TypeError: several outputs of a loss that is not :class:`Joint`.
        """
        if scores.shape[1] == 1:
            return by_bisection(self, scores, targets, weights, start)
        if isinstance(self, Joint):
            return by_newton(self, scores, targets, weights, start)
        raise TypeError(
            f"A free intercept of several outputs needs a Joint loss; {type(self).__name__} lacks `curved` or "
            f"`bound_curvature`. Add them, or set intercept=False."
        )

    def labels(self, targets: Floats) -> NDArray[np.intp]:
        """The class of every sample, 0, 1, ..., from encoded targets."""
        raise TypeError(f"The {self.name} loss has no classes.")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def find_loss(loss: str | Loss) -> Loss:
    """The loss of a name; a loss is returned as it is.

    Raises:  ValueError: no such loss.
    """
    from .margins import Hinge, Logistic, SmoothedHinge, SquaredHinge
    from .softmax import Softmax
    from .squared import Squared

    if isinstance(loss, Loss):
        return loss
    known: dict[str, type[Loss]] = {
        kind.name: kind for kind in (Logistic, Softmax, Squared, Hinge, SquaredHinge, SmoothedHinge)
    }
    if loss not in known:
        raise ValueError(f"fit_sparse expects a loss among {', '.join(known)}; got '{loss}'.")
    return known[loss]()


def finite_targets(targets: NDArray[Any], *, loss: str) -> NDArray[Any]:
    """Targets as an array of finite numbers, [n] or [n, C].

    Raises:  ValueError: none, another number of axes, NaN or infinity. TypeError: no numbers.
    """
    array = np.asarray(targets)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"The {loss} loss expects targets that are numbers; got {array.dtype}.")
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(f"The {loss} loss expects targets [samples]; got shape {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"The {loss} loss expects finite targets; got NaN or infinity.")
    return array
