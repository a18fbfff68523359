"""One substitution makes every step function trainable: a hard value forward, a smooth one backward."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

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


def substitute(x: Tensor, value: Callable[[Tensor], Tensor], derivative: Callable[[Tensor], Tensor]) -> Tensor:
    """value(x) forward; backward, derivative(x) in the place of its derivative.

    What :func:`straight_through` does for a stand-in whose derivative is known, at less cost: the stand-in itself is
    never computed, and x is all that is kept for the backward pass. Where value(x) has more leading axes than x, the
    gradient is summed over them. Differentiates forward, backward, twice, and under ``torch.func``.

    >>> x = torch.tensor([1.7], requires_grad=True)
    >>> y = substitute(x, torch.floor, lambda x: 3 * torch.ones_like(x))
    >>> y.backward(); y.item(), x.grad.item()
    (1.0, 3.0)
    """
    if not torch.is_grad_enabled():
        return value(x)
    function = _Substitution if torch.compiler.is_compiling() else _ForwardModeSubstitution
    found: Tensor = function.apply(x, value, derivative)
    return found


class _Substitution(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, value: Callable[[Tensor], Tensor], derivative: Callable[[Tensor], Tensor]) -> Tensor:
        return value(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, _, ctx.derivative = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return (grads[0] * ctx.derivative(x)).sum_to_size(x.shape), None, None


class _ForwardModeSubstitution(_Substitution):
    """Compilers do not take a function that has a forward mode, so it is apart."""

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:
        (x,) = ctx.saved_tensors
        moved: Tensor = tangent * ctx.derivative(x)
        return moved


def quantise(level: Tensor, *, low: Tensor | float = 0.0, high: float) -> Tensor:
    """The whole level at or below ``level``, within bounds:  clamp(floor(level), low, high).

    Bounds are whole numbers. Gradient: 1 where low <= level < high + 1, 0 outside; none to ``low``. This one line is
    the QCFS activation, a Group Neuron's count and, therefore, the reason why the two agree.

    >>> quantise(torch.tensor([-1.2, 0.0, 2.9, 9.0]), high=4).tolist()
    [0.0, 0.0, 2.0, 4.0]
    """
    return substitute(
        level,
        lambda level: torch.floor(level).clamp(min=low).clamp(max=high),
        lambda level: ((level >= low) & (level < high + 1)).to(level.dtype),
    )


def level_of(threshold: Tensor, levels: int) -> Tensor:
    """The height of one of ``levels`` equal levels:  threshold / levels.

    Written as a product: compilers replace a division by a constant with a product, rounded differently, and a level
    that differs in its last bit resolves ties differently.
    """
    return threshold * (1.0 / levels)


class Surrogate(ABC):
    """The spike function:  1 where x >= 0, else 0;  backward, the derivative of a smooth stand-in.

    ``x`` is membrane - threshold, so the firing rule ``membrane >= threshold`` is fixed here, once, for every neuron:
    reaching the threshold fires (:class:`Strict` is the exception). A subclass is a frozen dataclass that gives the
    stand-in :meth:`soft`, and its :meth:`derivative` in closed form where that is cheaper than differentiating.
    """

    @abstractmethod
    def soft(self, x: Tensor) -> Tensor:
        """The smooth stand-in whose derivative replaces that of the step."""

    def derivative(self, x: Tensor) -> Tensor:
        """That of :meth:`soft`, entry by entry."""
        slope: Tensor = torch.func.grad(lambda x: self.soft(x).sum())(x)
        return slope

    def __call__(self, x: Tensor) -> Tensor:
        return substitute(x, _step, self.derivative)


def _step(x: Tensor) -> Tensor:
    # NaN is not above 0 and is kept by the clamp: it passes through, as it does through ReLU.
    return torch.where(x >= 0, 1.0, x.clamp(min=0.0, max=0.0))


def _step_above(x: Tensor) -> Tensor:
    return torch.where(x > 0, 1.0, x.clamp(min=0.0, max=0.0))


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

    def derivative(self, x: Tensor) -> Tensor:
        soft = self.soft(x)
        return self.slope * soft * (1.0 - soft)


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

    def derivative(self, x: Tensor) -> Tensor:
        return (self.slope / 2) / (1.0 + (math.pi / 2 * self.slope * x).square())


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

    def derivative(self, x: Tensor) -> Tensor:
        return (1.0 - x.abs() / self.width).clamp(min=0.0) / self.width


@dataclass(frozen=True)
class Rectangular(Surrogate):
    """soft(x) = clamp(x / width + 1/2, 0, 1);  derivative 1 / width for |x| <= width / 2, else 0.

    Source:  Wu et al., arXiv 1706.02609 (STBP), curve h1.
    """

    width: float = 1.0

    def __post_init__(self) -> None:
        _require_positive(self.width, owner=type(self).__name__, name="width")

    def soft(self, x: Tensor) -> Tensor:
        return (x / self.width + 0.5).clamp(0.0, 1.0)

    def derivative(self, x: Tensor) -> Tensor:
        return (x.abs() <= self.width / 2).to(x.dtype) / self.width


@dataclass(frozen=True)
class Strict(Surrogate):
    """Another surrogate that fires above the threshold only:  1 where x > 0, else 0;  backward, that surrogate's.

    For networks from code that compares so, as snnTorch and Norse do. It differs from the others at ties only: where a
    membrane is at the threshold to the last bit.

    Source:  the firing rule of the code released with He, arXiv 2408.12407.

    >>> Strict()(torch.tensor([-1.0, 0.0, 1e-30])).tolist(), Sigmoid()(torch.tensor([0.0])).tolist()
    ([0.0, 0.0, 1.0], [1.0])
    """

    surrogate: Surrogate = field(default_factory=Sigmoid)

    def __post_init__(self) -> None:
        if not isinstance(self.surrogate, Surrogate):
            raise TypeError(f"Strict expects a surrogate, such as Strict(ATan()); got {self.surrogate!r}.")

    def soft(self, x: Tensor) -> Tensor:
        return self.surrogate.soft(x)

    def derivative(self, x: Tensor) -> Tensor:
        return self.surrogate.derivative(x)

    def __call__(self, x: Tensor) -> Tensor:
        return substitute(x, _step_above, self.derivative)


def _require_positive(setting: float, *, owner: str, name: str) -> None:
    if not 0.0 < setting < math.inf:
        raise ValueError(f"{owner} expects {name} > 0 and finite; got {setting}.")
