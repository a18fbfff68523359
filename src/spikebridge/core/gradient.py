"""One substitution makes every step function trainable: a hard value forward, a smooth one backward."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """The value of ``hard`` with the gradient of ``soft``.

    The bracket matters: ``soft - soft`` is an exact zero, so the forward value is ``hard`` to the last bit.

    Source:  Bengio, Leonard, Courville, arXiv 1308.3432.

    >>> x = torch.tensor([1.7], requires_grad=True)
    >>> y = straight_through(x.floor(), 3 * x)
    >>> y.backward(); y.item(), x.grad.item()
    (1.0, 3.0)
    """
    return hard.detach() + (soft - soft.detach())


def quantise(level: Tensor, *, low: Tensor | float = 0.0, high: float) -> Tensor:
    """The whole level at or below ``level``, within bounds:  clamp(floor(level), low, high).

    Bounds are whole numbers. Gradient: 1 where low <= level < high + 1, 0 outside; none to ``low``. This one line is
    the QCFS activation, a Group Neuron's count and, therefore, the reason why the two agree.

    >>> quantise(torch.tensor([-1.2, 0.0, 2.9, 9.0]), high=4).tolist()
    [0.0, 0.0, 2.0, 4.0]
    """
    whole = torch.floor(level).clamp(min=low).clamp(max=high)
    if not torch.is_grad_enabled():
        return whole
    inside = (level >= low) & (level < high + 1)
    return straight_through(whole, torch.where(inside, level, 0.0))


def level_of(threshold: Tensor, levels: int) -> Tensor:
    """The height of one of ``levels`` equal levels:  threshold / levels.

    Written as a product: compilers replace a division by a constant with a product, rounded differently, and a level
    that differs in its last bit resolves ties differently.
    """
    return threshold * (1.0 / levels)


class Surrogate(ABC):
    """The spike function:  1 where x >= 0, else 0;  backward, the derivative of a smooth stand-in.

    ``x`` is membrane - threshold, so the firing rule ``membrane >= threshold`` is fixed here, once, for every neuron:
    reaching the threshold fires. A subclass is a frozen dataclass that gives the stand-in :meth:`soft`.
    """

    @abstractmethod
    def soft(self, x: Tensor) -> Tensor:
        """The smooth stand-in whose derivative replaces that of the step."""

    def __call__(self, x: Tensor) -> Tensor:
        # Neither true of NaN, which passes through, as it does through ReLU.
        spikes = torch.where(x >= 0, 1.0, torch.where(x < 0, 0.0, x))
        return straight_through(spikes, self.soft(x)) if torch.is_grad_enabled() else spikes


@dataclass(frozen=True)
class Sigmoid(Surrogate):
    """soft(x) = 1 / (1 + exp(-slope x));  derivative at 0: slope / 4.

    Source:  Zenke and Vogels, Neural Computation 33(4), 2021, "The remarkable robustness of surrogate gradient
    learning ...", where it is one of the shapes compared.
    """

    slope: float = 4.0

    def __post_init__(self) -> None:
        _require_positive(self.slope, owner=type(self).__name__, name="slope")

    def soft(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.slope * x)


@dataclass(frozen=True)
class ATan(Surrogate):
    """soft(x) = arctan(pi slope x / 2) / pi + 1/2;  derivative at 0: slope / 2.

    Source:  Fang et al., arXiv 2007.05785 (parametric LIF).
    """

    slope: float = 2.0

    def __post_init__(self) -> None:
        _require_positive(self.slope, owner=type(self).__name__, name="slope")

    def soft(self, x: Tensor) -> Tensor:
        return torch.arctan(math.pi / 2 * self.slope * x) / math.pi + 0.5


@dataclass(frozen=True)
class Triangle(Surrogate):
    """Derivative max(0, 1 - |x| / width) / width, so soft(x) is its integral;  derivative at 0: 1 / width.

    Source:  Esser et al., arXiv 1603.08270;  Bellec et al., arXiv 1803.09574.
    Deviates:  Bellec et al. damp the derivative by 0.3; here it integrates to 1, like every other surrogate.
    """

    width: float = 1.0

    def __post_init__(self) -> None:
        _require_positive(self.width, owner=type(self).__name__, name="width")

    def soft(self, x: Tensor) -> Tensor:
        reach = (x / self.width).clamp(-1.0, 1.0)
        return 0.5 + reach - 0.5 * reach * reach.abs()


@dataclass(frozen=True)
class Rectangular(Surrogate):
    """soft(x) = clamp(x / width + 1/2, 0, 1);  derivative 1 / width for |x| <= width / 2, else 0.

    Source:  Wu et al., arXiv 1706.02609 (STBP), curve h1.
    """

    width: float = 1.0

    def __post_init__(self) -> None:
        _require_positive(self.width, owner=type(self).__name__, name="width")

    def soft(self, x: Tensor) -> Tensor:
        # Not clamp: whether its gradient includes the corners differs between PyTorch releases.
        return torch.where(x.abs() <= self.width / 2, x / self.width + 0.5, (x > 0).to(x.dtype))


def _require_positive(setting: float, *, owner: str, name: str) -> None:
    if not 0.0 < setting < math.inf:
        raise ValueError(f"{owner} expects {name} > 0 and finite; got {setting}.")
