"""An encoder turns values into a train; its weights per step turn the train back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from .shapes import SpikeTrain, Value, at_least_float32
from .time import require_steps


class Encoder(nn.Module, ABC):
    """A code: spikes for a value, one weight per step to decode them, and the error that this costs.

    decode(train) = low + (high - low) * sum_t w_t s_t,   and   |decode(encode(x)) - x| <= value_error
    for every x in ``value_range`` (in expectation, for a stochastic code).

    A subclass writes ``emit`` and ``step_weights`` for values in [0, 1], and ``unit_error``; checking, scaling and
    decoding are derived here.

    Args:
        time_steps: T, number of steps (>= 1).
        value_range: (low, high) of the values, mapped to [0, 1]; None leaves finite values as they are.

    Attributes:
        is_binary: every entry of the train is 0 or 1, so the layer that receives it accumulates and never multiplies.
        is_stochastic: two calls may emit different trains.

    Shapes:  values [batch, *unit] -> train [time, batch, *unit].
    Raises:
        TypeError: values are not floating point.
        ValueError: values that are NaN, infinite or outside ``value_range``.
    """

    is_binary: ClassVar[bool] = True
    is_stochastic: ClassVar[bool] = False

    def __init__(self, *, time_steps: int, value_range: tuple[float, float] | None = (0.0, 1.0)) -> None:
        super().__init__()
        require_steps(time_steps, owner=type(self).__name__)
        if value_range is None and self.is_binary:
            raise ValueError(f"{type(self).__name__} expects value_range = (low, high), finite; got None.")
        if value_range is not None and not -math.inf < value_range[0] < value_range[1] < math.inf:
            raise ValueError(
                f"{type(self).__name__} expects value_range = (low, high), finite and low < high; got {value_range}."
            )
        self.time_steps, self.value_range = time_steps, value_range

    @abstractmethod
    def emit(self, values: Value) -> SpikeTrain:
        """The train for values that are already checked and mapped to [0, 1]."""

    @property
    @abstractmethod
    def step_weights(self) -> Tensor:
        """w_t for values in [0, 1], shape [time]."""

    @property
    def unit_error(self) -> float:
        """The worst |decoded - value| on [0, 1], rounding of the arithmetic aside."""
        return 0.0

    @property
    def value_error(self) -> float:
        """The worst |decode(encode(x)) - x| over the value range, in the values' own units."""
        return self.unit_error * self._span[1]

    def encode(self, values: Value) -> SpikeTrain:
        """Check ``values``, map them to [0, 1] and emit their train."""
        name = type(self).__name__
        if not isinstance(values, Tensor):
            raise TypeError(f"{name} expects a tensor; got {type(values).__name__}. Convert with torch.as_tensor.")
        if not values.is_floating_point():
            raise TypeError(f"{name} expects floating-point values; got {values.dtype}. For bytes: values / 255.")
        low, high = self.value_range or (-float("inf"), float("inf"))
        if torch.compiler.is_compiling():
            values = _checked(values, name, low, high)
        else:
            check_values(values, name, low, high)
        values = values.to(at_least_float32(values.dtype))
        if self.value_range is not None:
            low, span = self._span
            # A product, because compilers round a division by a constant differently.
            values = (values - low) * (1.0 / span)
            # The values were in range, but the product may round to a little over 1.
            values = values - (values - 1.0).clamp(min=0.0).detach()
        return self.emit(values)

    def decode(self, train: SpikeTrain) -> Value:
        """The value a train stands for; any train of T steps will do, spikes or logits.

        Shapes:  train [time, batch, *unit] -> values [batch, *unit].
        """
        if train.ndim < 1 or train.shape[0] != self.time_steps:
            raise ValueError(
                f"{type(self).__name__}.decode expects a train [time={self.time_steps}, batch, *unit]; got shape "
                f"{tuple(train.shape)}. Decode with the encoder that emitted it."
            )
        train = train.to(at_least_float32(train.dtype))
        low, span = self._span
        weighted: Tensor = torch.tensordot(self.step_weights.to(train), train, dims=1)
        return low + span * weighted

    def extra_repr(self) -> str:
        return f"time_steps={self.time_steps}, value_range={self.value_range}"

    def forward(self, values: Value) -> SpikeTrain:
        """Encode, so that an encoder can stand first in an ``nn.Sequential``."""
        return self.encode(values)

    @property
    def _span(self) -> tuple[float, float]:
        low, high = self.value_range or (0.0, 1.0)
        return low, high - low


def check_values(values: Value, owner: str, low: float, high: float) -> None:
    """Refuse values a code cannot carry.

    Raises:
        ValueError: no value at all, NaN or infinite values, or values outside [low, high].
    """
    if values.ndim < 1 or values.numel() == 0:
        raise ValueError(
            f"{owner} expects values [batch, *unit] of at least one axis, not empty; got shape {tuple(values.shape)}."
        )
    finite = torch.isfinite(values)
    if not bool(finite.all()):
        raise ValueError(
            f"{owner} expects finite values; got {int((~finite).sum())} NaN or infinite of {values.numel()}. "
            f"Find where they arise: torch.isfinite(values).all(dim=0)."
        )
    lowest, highest = values.min(), values.max()
    # Compared as tensors, so that a bound such as -0.43 is rounded as the values are.
    if bool(lowest < low) or bool(highest > high):
        wrong = f"minimum {lowest.item():.4g}" if bool(lowest < low) else f"maximum {highest.item():.4g}"
        wide = (_outward(lowest.item(), math.floor), _outward(highest.item(), math.ceil))
        raise ValueError(
            f"{owner} expects values in [{low:g}, {high:g}]; got {wrong}. Normalise the input or pass "
            f"value_range=({min(wide[0], low):g}, {max(wide[1], high):g})."
        )


def _outward(value: float, rounding: Callable[[float], int]) -> float:
    """A bound of four digits that ``value`` does not exceed, so that the advice holds when it is followed."""
    if value == 0.0:
        return value
    scale = 10.0 ** (3 - math.floor(math.log10(abs(value))))
    return rounding(value * scale) / scale


@torch.library.custom_op("spikebridge::checked", mutates_args=())
def _checked(values: Tensor, owner: str, low: float, high: float) -> Tensor:
    """The same check inside a compiled graph: opaque to the compiler, so it runs, and can quote the numbers."""
    check_values(values, owner, low, high)
    return values.clone()


@_checked.register_fake
def _(values: Tensor, owner: str, low: float, high: float) -> Tensor:
    return torch.empty_like(values)


_checked.register_autograd(lambda _, gradient: (gradient, None, None, None))
