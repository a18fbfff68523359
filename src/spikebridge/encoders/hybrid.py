"""Two codes one after the other: by default one analog frame, then spikes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..core.encoder import Encoder
from ..core.ranges import Bounds, ValueRange
from ..core.shapes import SpikeTrain, Value
from ..core.time import require_steps
from .direct import Direct
from .latency import Latency
from .thresholds import IntervalCode


class Hybrid(IntervalCode):
    """One code after the other on one time axis:  [first(x), rest(x)].

    By default s_0 = x, analog, and s_t = 1 at t >= 1 when x first reaches 1 - t / T: what spikes alone lose by
    rounding is in the first frame. ``HybridStem`` gives that frame a layer of its own.

    It is decoded by the part that loses less, the first if both lose as much; the steps of the other weigh 0. By
    default w = (1, 0, ...), exact. Weights that read out one step only are no readout for a network's output: decode
    that with ``RateDecoder()`` or a mean.

    Args:
        first: the code of the first steps; None is ``Direct(time_steps=1)``.
        rest: the code of the others; None is ``Latency`` of the steps that are left, with silence as one more level.
        time_steps: T, of both; None is what the parts have, or 4. At T = 1 there is no rest.
        value_range: (low, high) mapped to [0, 1], for both parts, the analog one too; or how it is measured.
        outside: "error" or "clip", for values outside a given range.

    Attributes:
        is_spiking: for every step, whether it sends spikes; the layer that receives the other steps multiplies.
        is_linear: whether weights of the steps decode it, as they do for all codes but ``BinaryLevel``.

    Shapes:  values [batch, *unit] -> train [time, batch, *unit], binary if both parts are.
    Raises:
        TypeError: a part that is no encoder.
        ValueError: parts whose steps are not ``time_steps``; a part with a range of its own; values that are NaN,
            infinite or outside ``value_range``.
    Source:  He, arXiv 2408.12407, "mix time" code, as the published code has it.

    >>> Hybrid(time_steps=4).encode(torch.tensor([0.3])).flatten().tolist() == [torch.tensor(0.3).item(), 0, 0, 1]
    True
    >>> equal_mass = Latency(time_steps=3, levels=4, thresholds="equal-mass")
    >>> Hybrid(Direct(time_steps=1), equal_mass).is_spiking
    (False, True, True, True)
    """

    def __init__(
        self,
        first: Encoder | None = None,
        rest: Encoder | None = None,
        *,
        time_steps: int | None = None,
        value_range: ValueRange = (0.0, 1.0),
        outside: Literal["error", "clip"] = "error",
    ) -> None:
        first = Direct(time_steps=1) if first is None else first
        for name, part in (("first", first), ("rest", rest)):
            _check_part(name, part)
        rest = _rest(first, time_steps) if rest is None else rest
        steps = first.time_steps + (0 if rest is None else rest.time_steps)
        if time_steps not in (None, steps):
            raise ValueError(
                f"Hybrid has the steps of both parts, {first.time_steps} + {steps - first.time_steps}; got time_steps "
                f"= {time_steps}. Leave time_steps out, or pass a rest of {_left(first, time_steps)} steps."
            )
        super().__init__(time_steps=steps, value_range=value_range, outside=outside)
        self.first, self.rest = first, rest
        self.is_spiking: tuple[bool, ...] = sum((_is_spiking(part) for part in self._parts), ())
        self.is_binary = all(self.is_spiking)
        self.is_linear = self._decoding.is_linear
        if any(part.is_stochastic for part in self._parts):
            self.is_stochastic = True  # type: ignore[misc]  # known of a class everywhere else

    def emit(self, values: Value) -> SpikeTrain:
        return torch.cat([part.emit(values) for part in self._parts])

    @property
    def step_weights(self) -> Tensor:
        parts = [
            part.step_weights if part is self._decoding else torch.zeros_like(part.step_weights) for part in self._parts
        ]
        return torch.cat(parts)

    def weigh(self, train: SpikeTrain) -> Value:
        return self._decoding.weigh(self._frames(train)[self._parts.index(self._decoding)])

    @property
    def unit_error(self) -> float:
        return self._decoding.unit_error

    def unit_interval(self, train: SpikeTrain) -> Bounds:
        """What both parts agree on; an analog frame leaves a single value. For spikes alone: ``rest.interval``."""
        found = [_interval(part, frames) for part, frames in zip(self._parts, self._frames(train), strict=True)]
        lows, highs = zip(*found, strict=True)
        return Bounds(torch.stack(lows).amax(0), torch.stack(highs).amin(0))

    @property
    def _parts(self) -> list[Encoder]:
        return [self.first] if self.rest is None else [self.first, self.rest]

    @property
    def _decoding(self) -> Encoder:
        return min(self._parts, key=lambda part: (part.is_stochastic, part.unit_error))

    def _frames(self, train: SpikeTrain) -> tuple[Tensor, ...]:
        return torch.split(train, [part.time_steps for part in self._parts])


def _check_part(name: str, part: object) -> None:
    if part is None:
        return
    if not isinstance(part, Encoder):
        raise TypeError(f"Hybrid expects {name} to be an encoder, such as Latency(time_steps=3); got {part!r}.")
    if part.value_range not in (None, (0.0, 1.0)):
        raise ValueError(
            f"Hybrid maps the values for both parts; {name} ({type(part).__name__}) has a value_range of its own, "
            f"{part.value_range}. Pass value_range to Hybrid in its place."
        )


def _left(first: Encoder, time_steps: int | None) -> int:
    return (4 if time_steps is None else time_steps) - first.time_steps


def _rest(first: Encoder, time_steps: int | None) -> Encoder | None:
    """The default rest for the steps that the first part leaves."""
    require_steps(4 if time_steps is None else time_steps, owner="Hybrid")
    left = _left(first, time_steps)
    if left < 0:
        raise ValueError(
            f"Hybrid has T = {left + first.time_steps} steps, of which first takes {first.time_steps}. Pass more "
            f"time_steps, or a rest."
        )
    return Latency(time_steps=left, levels=left + 1) if left else None


def _is_spiking(part: Encoder) -> tuple[bool, ...]:
    return part.is_spiking if isinstance(part, Hybrid) else (part.is_binary,) * part.time_steps


def _interval(part: Encoder, frames: SpikeTrain) -> tuple[Tensor, Tensor]:
    if isinstance(part, IntervalCode):
        low, high = part.unit_interval(frames)
        return torch.as_tensor(low), torch.as_tensor(high)
    decoded = part.weigh(frames)
    if part.is_stochastic:
        return torch.zeros_like(decoded), torch.ones_like(decoded)
    error = part.unit_error + (part.time_steps - 1) * torch.finfo(frames.dtype).eps
    return decoded - error, decoded + error
