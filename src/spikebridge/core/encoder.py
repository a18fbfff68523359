"""An encoder turns values into a train; its weights per step turn the train back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from .gradient import straight_through
from .ranges import Bounds, Measured, MeasuredRange, ValueRange, checked_range
from .shapes import SpikeTrain, Value, at_least_float32
from .time import require_steps


class Encoder(nn.Module, ABC):
    """A code: spikes for a value, one weight per step to decode them, and the error that this costs.

    decode(train) = low + (high - low) * sum_t w_t s_t,   and   |decode(encode(x)) - x| <= value_error
    for every x in ``value_range`` (in expectation, for a stochastic code).

    A subclass writes ``emit`` and ``step_weights`` for values in [0, 1], and ``unit_error``; checking, scaling and
    decoding are derived here. All of it runs in float32 or wider, inside autocast as well.

    Args:
        time_steps: T, number of steps (>= 1).
        value_range: (low, high) of the values, mapped to [0, 1]; or where it is measured: "running", "sample",
            "channel", "batch" or "reference", or a :class:`MeasuredRange` with settings of its own. None, of an analog
            code, leaves finite values as they are.
        outside: what becomes of values outside a given range: "error", or "clip" to its ends, without a gradient.

    Attributes:
        is_binary: every entry of the train is 0 or 1, so the layer that receives it accumulates and never multiplies.
        is_stochastic: two calls may emit different trains.
        is_linear: the law above decodes it; where not, :meth:`weigh` says what does.

    Shapes:  values [batch, *unit] -> train [time, batch, *unit].
    Raises:
        TypeError: values are not floating point.
        ValueError: values that are NaN or infinite; values outside a given ``value_range``, unless they are clipped.
    """

    is_binary: bool = True
    is_stochastic: ClassVar[bool] = False
    is_linear: bool = True
    value_range: tuple[float, float] | Measured | None

    def __init__(
        self,
        *,
        time_steps: int,
        value_range: ValueRange | None = (0.0, 1.0),
        outside: Literal["error", "clip"] = "error",
    ) -> None:
        super().__init__()
        name = type(self).__name__
        require_steps(time_steps, owner=name)
        if outside not in ("error", "clip"):
            raise ValueError(f"{name} expects outside to be 'error' or 'clip'; got {outside!r}.")
        self.measured: MeasuredRange | None = None
        if value_range is not None or self.is_binary:
            bounds = checked_range(value_range, owner=name)  # type: ignore[arg-type]
            self.measured = bounds if isinstance(bounds, MeasuredRange) else None
            self.value_range = bounds.of if isinstance(bounds, MeasuredRange) else bounds
        else:
            self.value_range = None
        self.time_steps, self.outside = time_steps, outside

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
        """The worst |decode(encode(x)) - x|, in the values' own units, or in spans of a measured range."""
        low, high = self._given
        return self.unit_error * (high - low)

    def encode(self, values: Value) -> SpikeTrain:
        """Check ``values``, map them to [0, 1] and emit their train."""
        name = type(self).__name__
        if not isinstance(values, Tensor):
            raise TypeError(f"{name} expects a tensor; got {type(values).__name__}. Convert with torch.as_tensor.")
        if not values.is_floating_point():
            raise TypeError(f"{name} expects floating-point values; got {values.dtype}. For bytes: values / 255.")
        values = self._checked(values)
        with torch.autocast(values.device.type, enabled=False):
            wide = widened(values)
            return self.emit(wide if self.value_range is None else self._to_unit(wide))

    def decode(self, train: SpikeTrain, *, bounds: Bounds | None = None) -> Value:
        """The value a train stands for; any train of T steps will do, spikes or logits.

        Args:
            train: as long as the code.
            bounds: where the values lie; None is the range that was given or is kept, and [0, 1] where it is measured
                on the values themselves. For those, ``bounds_of(values)`` says it.

        Shapes:  train [time, batch, *unit] -> values [batch, *unit].
        """
        if train.ndim < 1 or train.shape[0] != self.time_steps:
            raise ValueError(
                f"{type(self).__name__}.decode expects a train [time={self.time_steps}, batch, *unit]; got shape "
                f"{tuple(train.shape)}. Decode with the encoder that emitted it."
            )
        wide = at_least_float32(train.dtype)
        bounds = self.kept_bounds(wide) if bounds is None else bounds
        with torch.autocast(train.device.type, enabled=False):
            return bounds.low + bounds.span * self.weigh(train.to(wide))

    def kept_bounds(self, dtype: torch.dtype) -> Bounds:
        """The range that was given or is kept from training; [0, 1] where it is measured on the values themselves."""
        is_kept = self.measured is not None and self.measured.of == "running"
        return self.measured.kept(dtype) if self.measured and is_kept else Bounds(*self._given)

    def weigh(self, train: SpikeTrain) -> Value:
        """The sum of w_t s_t over time, in the train's own dtype; :meth:`decode` widens it first."""
        weighed: Tensor = torch.tensordot(self.step_weights.to(train), train, dims=1)
        return weighed

    def bounds_of(self, values: Value) -> Bounds:
        """The range these values are mapped from; nothing is learned from them."""
        if self.measured is None:
            return Bounds(*self._given)
        return self.measured.look(widened(values))

    def extra_repr(self) -> str:
        return f"time_steps={self.time_steps}, value_range={self.value_range}"

    def forward(self, values: Value) -> SpikeTrain:
        """Encode, so that an encoder can stand first in an ``nn.Sequential``."""
        return self.encode(values)

    @property
    def _given(self) -> tuple[float, float]:
        return self.value_range if isinstance(self.value_range, tuple) else (0.0, 1.0)

    def _checked(self, values: Value) -> Value:
        name, low, high = type(self).__name__, -math.inf, math.inf
        if isinstance(self.value_range, tuple) and self.outside == "error":
            low, high = self.value_range
        if torch.compiler.is_compiling():
            checked: Value = _checked(values, name, low, high)
            return checked
        check_values(values, name, low, high)
        return values

    def _to_unit(self, values: Value) -> Value:
        bounds = Bounds(*self._given) if self.measured is None else self.measured(values)
        # A product, because compilers round a division by a constant differently. It may round to a little over 1, or
        # leave the upper end a little under.
        unit = (values - bounds.low) * (1.0 / bounds.span)
        mapped = torch.where(values >= bounds.high, 1.0, unit.clamp(0.0, 1.0))
        if self.outside == "clip" or self.value_range == "running":
            unit = torch.where((values >= bounds.low) & (values <= bounds.high), unit, unit.detach())
        return straight_through(mapped, unit)


class _Widened(torch.autograd.Function):
    """To float32; the gradient saturates on its way back to a dtype that cannot hold it."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.narrow = values.dtype
        return values.to(dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        most = torch.finfo(ctx.narrow).max
        return gradients[0].clamp(-most, most).to(ctx.narrow), None


def widened(values: Value) -> Value:
    """``values`` in float32 at least, with a gradient that stays finite in theirs."""
    wide = at_least_float32(values.dtype)
    if wide == values.dtype:
        return values
    result: Tensor = _Widened.apply(values, wide)
    return result


def check_values(values: Value, owner: str, low: float, high: float) -> None:
    """Refuse values a code cannot carry.

    Raises:
        ValueError: no value at all, NaN or infinite values, or values outside [low, high].
    """
    if values.ndim < 1 or values.numel() == 0:
        raise ValueError(
            f"{owner} expects values [batch, *unit] of at least one axis, not empty; got shape {tuple(values.shape)}."
        )
    lowest, highest = torch.aminmax(values)
    # Compared as tensors, so that a bound such as -0.43 is rounded as the values are; and all at once, because a device
    # waits for every question. NaN compares false.
    if bool((lowest >= low) & (highest <= high) & torch.isfinite(lowest) & torch.isfinite(highest)):
        return
    finite = torch.isfinite(values)
    if not bool(finite.all()):
        raise ValueError(
            f"{owner} expects finite values; got {int((~finite).sum())} NaN or infinite of {values.numel()}. "
            f"Find where they arise: torch.isfinite(values).all(dim=0)."
        )
    wrong = f"minimum {lowest.item():.4g}" if bool(lowest < low) else f"maximum {highest.item():.4g}"
    wide = (_outward(lowest.item(), math.floor), _outward(highest.item(), math.ceil))
    is_shifted = low == 0.0 and bool(lowest < low)
    advice = "It looks normalised: pass the un-normalised image" if is_shifted else "Normalise the input"
    raise ValueError(
        f"{owner} expects values in [{low:g}, {high:g}]; got {wrong}. {advice} or pass "
        f"value_range=({min(wide[0], low):g}, {max(wide[1], high):g}), or outside='clip'."
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
