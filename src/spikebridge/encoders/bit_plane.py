"""The value as binary digits, one plane per step, with a gradient for every plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..core.encoder import Encoder
from ..core.gradient import substitute
from ..core.planes import PLANE_SURROGATES, FourierSine, PlaneSurrogate, SigSine, TanhSine
from ..core.ranges import ValueRange
from ..core.shapes import SpikeTrain, Value

MOST_BITS = 8


class BitPlane(Encoder):
    """Bit plane k of a value is a spike worth 2^k:  all digits of an intensity in ``bits`` steps.

    Forward, for a value r in [0, 1] (mapped there from ``value_range``) and n = bits:

        x = (2^n - 1) r,   q = round or floor of x,   B_k = floor(q / 2^k) mod 2,   w_k = 2^k / (2^n - 1).

    Backward, plane k has the derivative s_k f_k'(x + phase) of its stand-in (see :class:`PlaneSurrogate`), where
    s_k is ``rescale``; when rounding, half a level is added, so that the stand-in changes where the bit does.

    Args:
        bits: n, number of planes and of steps (1 to 8); None is ``time_steps``, or 8.
        time_steps: the same number by the name it has in every code.
        order: "lsb" sends the lowest plane first, "msb" the highest. Decoding follows. Lowest first, the membrane of a
            ``LIF(decay=0.5, decay_input=True)`` that does not spike is x / 2^n after the last step.
        surrogate: "sig_sine", "tanh_sine", "fourier_sine", "straight_through", "none", or a stand-in with settings
            of its own, such as ``spikebridge.core.planes.SigSine(alpha=-4.0)``.
        rescale: s_k: "none" is 1; "paper" is k / 2^(n-1-k), which cancels the growth of variance towards low planes
            and gives nothing to the lowest, so nothing at all to a single bit; "flat" is 2^k / (2^n - 1), which makes
            stand-ins of all planes equally steep; or one number per plane, lowest first.
        edge: "mask" has no gradient around the ends of the range, where periodic stand-ins fall although no bit
            changes; "wrap" leaves them. Over x from 0 to 2^n, sum_k 2^k f_k' averages 0 with "wrap" and, for a steep
            stand-in, 1 - 2^-n with "mask".
        phase: shift of the stand-in against the bits, in levels. With "floor" a whole level lies on an edge of plane 0,
            and 0.5 takes it off; with "round" it lies between two edges already.
        rounding: "round" to the nearest level, or "floor", under which a value that stands for a level may be sent as
            the one below, by a rounding error of float32.
        weights: w_k: "value" as above; "reversed", 2^(n-1-k) / (2^n - 1), decodes the bits in the wrong order, as
            the published code does; "learned" starts as "value" and is trained.
        graded: the lowest plane is x mod 2 and not a bit, as in the published code; nothing is rounded.
        value_range: (low, high) mapped to [0, 1], or how it is measured (see :class:`MeasuredRange`).
        outside: "error" or "clip", for values outside a given range.

    Shapes:  values [batch, *unit], of any rank -> train [time, batch, *unit], binary unless ``graded``.
    Raises:
        TypeError: bits that are not a whole number; values that are not floating point.
        ValueError: settings outside what is named here; values that are NaN, infinite or out of range.
    Source:  Luu, Luu, Pham, Truong, arXiv 2509.24411.
    Deviates:  the published code reads the range off each batch, leaves the lowest plane graded, wraps at the edges,
        adds 1/2 to the Fourier derivative, rescales for 8 planes and for images only, and decodes in reversed order.
        ``reference_parity`` gives all of that, for any rank.

    >>> BitPlane(bits=3).encode(torch.tensor([5 / 7])).flatten().tolist()
    [1.0, 0.0, 1.0]
    """

    plane_weights: nn.Parameter | None

    def __init__(
        self,
        *,
        bits: int | None = None,
        time_steps: int | None = None,
        order: Literal["lsb", "msb"] = "lsb",
        surrogate: str | PlaneSurrogate = "straight_through",
        rescale: Literal["none", "paper", "flat"] | Sequence[float] = "none",
        edge: Literal["mask", "wrap"] = "mask",
        phase: float = 0.0,
        rounding: Literal["round", "floor"] = "round",
        weights: Literal["value", "reversed", "learned"] = "value",
        graded: bool = False,
        value_range: ValueRange = (0.0, 1.0),
        outside: Literal["error", "clip"] = "error",
    ) -> None:
        planes = _planes(bits, time_steps)
        super().__init__(time_steps=planes, value_range=value_range, outside=outside)
        _require_one_of("order", order, ("lsb", "msb"))
        _require_one_of("edge", edge, ("mask", "wrap"))
        _require_one_of("rounding", rounding, ("round", "floor"))
        _require_one_of("weights", weights, ("value", "reversed", "learned"))
        if not -(2**planes) < phase < 2**planes:
            raise ValueError(f"BitPlane expects phase in levels, such as 0.0 or 0.5; got {phase}.")
        self.order, self.edge, self.phase, self.rounding, self.weights = order, edge, phase, rounding, weights
        self.surrogate = _surrogate(surrogate)
        self.is_binary = not graded
        scales = _scales(rescale, planes)
        self.rescale = rescale if isinstance(rescale, str) else scales
        digits = range(planes) if order == "lsb" else range(planes - 1, -1, -1)
        # Plain numbers: buffers that no state dict has would be lost where a network is made on the meta device.
        self.powers = tuple(2.0**digit for digit in digits)
        self.scales = tuple(scales[digit] for digit in digits)
        self.plane_weights = nn.Parameter(torch.tensor(self.powers)) if weights == "learned" else None

    @property
    def bits(self) -> int:
        """n, the number of planes."""
        return self.time_steps

    @property
    def levels(self) -> int:
        """2^n - 1, the highest intensity."""
        return int(2**self.time_steps) - 1

    def emit(self, values: Value) -> SpikeTrain:
        intensity = values * self.levels
        if not self.surrogate.has_gradient:
            return self._planes(intensity).detach()
        return substitute(intensity, self._planes, self._slopes)

    @property
    def step_weights(self) -> Tensor:
        return self._weights() / self.levels

    def weigh(self, train: SpikeTrain) -> Value:
        # Whole numbers are summed, and the sum divided, so that all 256 bytes come back exact.
        level: Tensor = torch.tensordot(self._weights(train.device).to(train), train, dims=1)
        return level / self.levels

    @property
    def unit_error(self) -> float:
        level = torch.arange(self.levels + 1, dtype=torch.float64)
        each, weights = level.new_tensor(self.powers), self.step_weights.detach().cpu().double()
        decoded = torch.remainder(torch.floor(level[:, None] / each), 2.0) @ weights
        # Every value that is sent as this level: from reach[0] below it to reach[1] above.
        reach = (0.5, 0.5) if self.rounding == "round" and self.is_binary else (0.0, 1.0)
        lowest = (level - reach[0]).clamp(min=0.0) / self.levels
        highest = (level + reach[1]).clamp(max=self.levels) / self.levels
        # If graded, the fraction of a level is sent too, at the weight of the lowest plane.
        rise = 0.0 if self.is_binary else weights[each == 1.0] * (level < self.levels)
        return float(torch.maximum((decoded - lowest).abs(), (decoded + rise - highest).abs()).max())

    def extra_repr(self) -> str:
        names = ("bits", "order", "surrogate", "rescale", "edge", "phase", "rounding", "weights", "value_range")
        settings = ", ".join(f"{name}={getattr(self, name)}" for name in names)
        return settings if self.is_binary else f"{settings}, graded=True"

    def _planes(self, intensity: Tensor) -> Tensor:
        each = self._weights_of(intensity)
        level = torch.floor(intensity + 0.5) if self.rounding == "round" else torch.floor(intensity)
        planes = torch.floor((level if self.is_binary else intensity).clamp(0.0, self.levels) / each)
        planes = torch.remainder(planes, 2.0)
        return planes if self.is_binary else torch.where(each == 1.0, torch.remainder(intensity, 2.0), planes)

    def _slopes(self, intensity: Tensor) -> Tensor:
        """What stands for the derivative of every plane: [plane, batch, *unit]."""
        each = self._weights_of(intensity)
        is_rounded = self.rounding == "round" and self.is_binary
        at = intensity + (self.phase + (0.5 if is_rounded else 0.0))
        slopes = self.surrogate.derivative(at, each, bits=self.bits)
        if self.edge == "mask" and self.surrogate.is_periodic:
            nearest = torch.floor(at / each + 0.5)
            inside = (nearest > 0) & (nearest < 2.0**self.bits / each)
            slopes = torch.where(inside, slopes, 0.0)
        return slopes * intensity.new_tensor(self.scales).reshape(each.shape)

    def _weights_of(self, intensity: Tensor) -> Tensor:
        """2^k of every plane, in the order of the code: [plane, 1, ...]."""
        return intensity.new_tensor(self.powers).reshape(-1, *[1] * intensity.ndim)

    def _weights(self, device: torch.device | None = None) -> Tensor:
        """What decoding weighs every plane with, before it divides by the levels."""
        if self.plane_weights is not None:
            return self.plane_weights
        return torch.tensor(self.powers if self.weights == "value" else self.powers[::-1], device=device)


def reference_parity(*, surrogate: str = "fourier_sine") -> dict[str, Any]:
    """Settings under which ``BitPlane`` behaves as the published code of arXiv 2509.24411 does.

    Each is a deviation of that code from the text or from what a bit-plane code is:

    - ``value_range="reference"``: the smallest and largest of the whole batch, in eval mode too; none of it where all
      of the batch lies in [0, 1]; a constant elsewhere is sent as ones;
    - ``graded=True``: the lowest plane is x mod 2, a real number;
    - ``edge="wrap"``: stand-ins fall at both ends of the range, where no bit changes;
    - ``rescale="paper"``: k / 2^(n-1-k), in the form of the code; the text was read to have a product;
    - ``weights="reversed"``: sent lowest plane first and decoded as if highest first;
    - ``FourierSine(constant=0.5)``: 1/2 is left in the derivative of the series.

    Not reproduced: for values that are not images the published code mixes the gradients of planes.

    To change one of them: ``BitPlane(**reference_parity() | {"value_range": "running"})``.

    >>> BitPlane(**reference_parity(surrogate="sig_sine")).weights
    'reversed'
    """
    published: dict[str, PlaneSurrogate] = {
        "sig_sine": SigSine(),
        "tanh_sine": TanhSine(),
        "fourier_sine": FourierSine(constant=0.5),
    }
    _require_one_of("surrogate", surrogate, tuple(published))
    return {
        "bits": 8,
        "order": "lsb",
        "surrogate": published[surrogate],
        "rescale": "paper",
        "edge": "wrap",
        "rounding": "floor",
        "weights": "reversed",
        "graded": True,
        "value_range": "reference",
    }


def _planes(bits: int | None, time_steps: int | None) -> int:
    if bits is not None and time_steps is not None and bits != time_steps:
        raise ValueError(
            f"BitPlane has one step per plane; got bits = {bits} and time_steps = {time_steps}. Pass one of them."
        )
    if bits is None:
        bits = MOST_BITS if time_steps is None else time_steps
        if not isinstance(bits, int) or isinstance(bits, bool) or bits < 1:
            return bits  # refused with the other codes' words
    if not isinstance(bits, int) or isinstance(bits, bool):
        raise TypeError(f"BitPlane expects bits to be an int from 1 to {MOST_BITS}; got {bits!r}.")
    if not 1 <= bits <= MOST_BITS:
        raise ValueError(
            f"BitPlane expects bits from 1 to {MOST_BITS}; got {bits}. Pass bits={MOST_BITS}; for more digits there is "
            f"Phase, with a step for each."
        )
    return bits


def _require_one_of(name: str, setting: object, known: Sequence[str]) -> None:
    if setting not in known:
        raise ValueError(f"BitPlane expects {name} to be one of {', '.join(known)}; got {setting!r}.")


def _surrogate(surrogate: str | PlaneSurrogate) -> PlaneSurrogate:
    if isinstance(surrogate, PlaneSurrogate):
        return surrogate
    _require_one_of("surrogate", surrogate, tuple(PLANE_SURROGATES))
    return PLANE_SURROGATES[surrogate]


def _scales(rescale: str | Sequence[float], planes: int) -> tuple[float, ...]:
    """s_k, lowest plane first."""
    if isinstance(rescale, str):
        _require_one_of("rescale", rescale, ("none", "paper", "flat"))
        named = {"none": lambda k: 1.0, "paper": lambda k: k / 2.0 ** (planes - 1 - k)}
        scale = named.get(rescale, lambda k: 2.0**k / (2.0**planes - 1.0))
        return tuple(map(scale, range(planes)))
    try:
        scales = torch.as_tensor(rescale, dtype=torch.float32, device="cpu").detach()
    except (TypeError, ValueError, RuntimeError):  # neither numbers nor a tensor of them
        scales = torch.tensor(torch.nan)
    if scales.shape != (planes,) or not bool(torch.isfinite(scales).all()):
        raise ValueError(
            f"BitPlane expects rescale to be 'none', 'paper', 'flat', or one finite number per plane, {planes} of "
            f"them, lowest first; got {rescale!r}."
        )
    return tuple(scales.tolist())
