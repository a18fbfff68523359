"""Smooth stand-ins for the binary digits of a number."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


class PlaneSurrogate(ABC):
    """What the bit of weight c = 2^k becomes backward:  the derivative of a smooth f_k(x) in place of that of

        B_k(x) = floor(x / c) mod 2.

    A bit is 0 on the first half of its period 2c and 1 on the second, so a stand-in falls and rises with
    -sin(pi x / c). A subclass is a frozen dataclass that gives :meth:`soft`, and its :meth:`derivative` in closed form
    where that is cheaper than differentiating.

    Attributes:
        is_periodic: the stand-in also falls at the ends of the range, where no bit changes (see ``BitPlane.edge``).
        has_gradient: False leaves what is before the code out of the graph.
    """

    is_periodic = True
    has_gradient = True

    @abstractmethod
    def soft(self, x: Tensor, weight: Tensor, *, bits: int) -> Tensor:
        """f_k(x) for every plane.

        Args:
            x: intensities, from 0 to 2^bits.
            weight: c of every plane, shaped to broadcast.
            bits: number of planes.

        Shapes:  x [batch, *unit], weight [plane, 1, ...] -> [plane, batch, *unit].
        """

    def derivative(self, x: Tensor, weight: Tensor, *, bits: int) -> Tensor:
        """The derivative of f_k by x, for every plane, from and to the same shapes."""

        def soft(x: Tensor) -> Tensor:
            return self.soft(x, weight, bits=bits)

        slope: Tensor = torch.func.jvp(soft, (x,), (torch.ones_like(x),))[1]
        return slope


def _angle(x: Tensor, weight: Tensor) -> Tensor:
    """The angle pi x / c, reduced to one period; a division by a power of 2 and the reduction are exact."""
    turns = x / weight
    return math.pi * (turns - (2.0 * torch.floor(turns / 2.0)).detach())


def _sigmoid_of_sine(alpha: float, x: Tensor, weight: Tensor) -> Tensor:
    """The derivative of  sigmoid(alpha sin(pi x / c))."""
    angle = _angle(x, weight)
    soft = torch.sigmoid(alpha * torch.sin(angle))
    return soft * (1.0 - soft) * torch.cos(angle) * (alpha * math.pi / weight)


@dataclass(frozen=True)
class SigSine(PlaneSurrogate):
    """f_k(x) = sigmoid(alpha sin(pi x / c));  slope at a rising edge: |alpha| pi / 4c.

    Source:  Luu et al., arXiv 2509.24411 (as the authors' code has it).
    """

    alpha: float = -10.0

    def __post_init__(self) -> None:
        if not -math.inf < self.alpha < 0:
            raise ValueError(
                f"{type(self).__name__} expects alpha < 0 and finite, since a bit is 0 where the sine is positive; "
                f"got {self.alpha}. Pass -10.0, or a larger size for a steeper stand-in."
            )

    def soft(self, x: Tensor, weight: Tensor, *, bits: int) -> Tensor:
        return torch.sigmoid(self.alpha * torch.sin(_angle(x, weight)))

    def derivative(self, x: Tensor, weight: Tensor, *, bits: int) -> Tensor:
        return _sigmoid_of_sine(self.alpha, x, weight)


@dataclass(frozen=True)
class TanhSine(SigSine):
    """f_k(x) = (1 + tanh(alpha sin(pi x / c))) / 2, which is ``SigSine(2 alpha)``.

    Source:  Luu et al., arXiv 2509.24411 (as the authors' code has it).
    """

    def soft(self, x: Tensor, weight: Tensor, *, bits: int) -> Tensor:
        return torch.sigmoid(2.0 * self.alpha * torch.sin(_angle(x, weight)))

    def derivative(self, x: Tensor, weight: Tensor, *, bits: int) -> Tensor:
        return _sigmoid_of_sine(2.0 * self.alpha, x, weight)


@dataclass(frozen=True)
class FourierSine(PlaneSurrogate):
    """f_k(x) = 1/2 - (2 / pi) sum_q sin(q pi x / c) / q  over the first odd q, the bit's own series;
    slope at a rising edge: 2 terms / c.

    Args:
        terms: how many terms (>= 1).
        constant: added to the derivative. The published code has 1/2, which the series' derivative does not.

    Source:  Luu et al., arXiv 2509.24411 (as the authors' code has it).
    """

    terms: int = 5
    constant: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.terms, int) or self.terms < 1 or not math.isfinite(self.constant):
            raise ValueError(
                f"FourierSine expects terms to be a whole number >= 1 and constant to be finite; got {self.terms} and "
                f"{self.constant}. Pass terms=5, constant=0.0."
            )

    def soft(self, x: Tensor, weight: Tensor, *, bits: int) -> Tensor:
        angle = _angle(x, weight)
        series = sum((torch.sin(q * angle) / q for q in range(1, 2 * self.terms, 2)), torch.zeros_like(angle))
        return 0.5 - (2.0 / math.pi) * series + self.constant * x

    def derivative(self, x: Tensor, weight: Tensor, *, bits: int) -> Tensor:
        # One cosine for all terms:  cos((q + 2) a) = 2 cos(2 a) cos(q a) - cos((q - 2) a), and cos(-a) = cos(a).
        before = latest = torch.cos(_angle(x, weight))
        twice = 4.0 * latest.square() - 2.0
        total = latest
        for _ in range(1, self.terms):
            before, latest = latest, twice * latest - before
            total = total + latest
        return -2.0 / weight * total + self.constant


@dataclass(frozen=True)
class StraightThrough(PlaneSurrogate):
    """f_k(x) = x / (2^bits - 1):  every bit stands for the value, so that decoding has gradient 1.

    The control for the others: it knows nothing of which bit it is.

    Source:  Bengio, Leonard, Courville, arXiv 1308.3432, applied to bits.
    """

    is_periodic = False

    def soft(self, x: Tensor, weight: Tensor, *, bits: int) -> Tensor:
        return x / (2.0**bits - 1.0) * torch.ones_like(weight)

    def derivative(self, x: Tensor, weight: Tensor, *, bits: int) -> Tensor:
        return torch.full_like(x, 1.0 / (2.0**bits - 1.0)) * torch.ones_like(weight)


@dataclass(frozen=True)
class NoGradient(PlaneSurrogate):
    """f_k(x) = 0:  nothing before the code learns from what is after it."""

    is_periodic = False
    has_gradient = False

    def soft(self, x: Tensor, weight: Tensor, *, bits: int) -> Tensor:
        return torch.zeros_like(x) * torch.zeros_like(weight)


PLANE_SURROGATES: dict[str, PlaneSurrogate] = {
    "sig_sine": SigSine(),
    "tanh_sine": TanhSine(),
    "fourier_sine": FourierSine(),
    "straight_through": StraightThrough(),
    "none": NoGradient(),
}
"""Stand-ins by the names that configs use, as they are by default."""
