"""The range of a code, from the values that it will have to carry."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from ..core.encoder import Encoder
from ..core.shapes import Value

Code: TypeAlias = Callable[..., Encoder]
"""What makes an encoder when called with ``value_range=(low, high), outside="clip"``: a class, or a partial of one."""

KEPT = 2**14
"""Most values of a layer's input that a range is fitted to."""
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
"""Shares of the range seen that are tried: clipping a few large values gives all others finer levels."""


class Seen:
    """The ends of all values that came by, and some of the values.

    Args:
        name: of the layer that receives them; errors quote it.
        each: how many to keep of every call, spread evenly.
    """

    def __init__(self, name: str, *, each: int) -> None:
        self.name, self.each = name, each
        self.low, self.high, self.parts = math.inf, -math.inf, list[Tensor]()

    def add(self, values: Value) -> None:
        """More values; NaN and the infinities are refused."""
        finite = torch.isfinite(values)
        if not bool(finite.all()):
            raise ValueError(
                f"assign expects finite activations; layer '{self.name}' receives {int((~finite).sum())} NaN or "
                f"infinite values of {values.numel()}. Look for them in the data first, then in the layers before it."
            )
        self.low, self.high = min(self.low, values.min().item()), max(self.high, values.max().item())
        flat = values.flatten().float()
        self.parts.append(flat[_places(len(flat), self.each).to(flat.device)] if len(flat) > self.each else flat)


def _places(length: int, count: int) -> Tensor:
    """Places spread evenly over a tensor, in multiples of the golden ratio: in step with no row or channel."""
    turns = torch.arange(count, dtype=torch.float64) * ((math.sqrt(5.0) - 1.0) / 2.0)
    return ((turns - turns.floor()) * length).long()


def fitted_range(code: Code, seen: Seen, *, name: str) -> tuple[float, float]:
    """The range whose decoded values have the smallest mean square error; the wider one where two are alike.

    Each end is tried at several shares of its distance from 0, so that 0 keeps its code.

    Args:
        code: what makes the encoder.
        seen: the values.
        name: of the code.
    """
    values, best, least = torch.cat(seen.parts), (0.0, 1.0), math.inf
    for share in SHARES:
        low, high = _shrunk(seen.low, seen.high, share)
        encoder = made(code, (low, high), name=name).to(values.device).eval()
        with torch.no_grad():
            error = (encoder.decode(encoder(values)) - values).double().square().mean().item()
        if error < least:
            best, least = (low, high), error
    return best


def _shrunk(low: float, high: float, share: float) -> tuple[float, float]:
    shrunk = low * share if low < 0 else low, high * share if high > 0 else high
    # A range has to have a width, and values far from 0 have no large ones to clip.
    ends = shrunk if shrunk[0] < shrunk[1] else (low, high)
    return ends if ends[0] < ends[1] else (low, low + max(1.0, abs(low)))


def made(code: Code, value_range: tuple[float, float], *, name: str) -> Encoder:
    """An encoder of a range.

    Raises:
        TypeError: something that cannot be called so, or makes no encoder.
        ValueError: an encoder of another range, or one that sends numbers and not spikes.
    """
    try:
        encoder = code(value_range=value_range, outside="clip")
    except TypeError as error:
        raise TypeError(
            f"assign expects codes that take value_range and outside, such as partial(Latency, time_steps=8); "
            f"'{name}' does not: {error}."
        ) from error
    if not isinstance(encoder, Encoder):
        raise TypeError(f"assign expects codes that make an Encoder; '{name}' made {type(encoder).__name__}.")
    if not encoder.is_binary:
        raise ValueError(
            f"assign expects codes that send spikes; '{name}' ({type(encoder).__name__}) sends numbers, which a layer "
            f'has to multiply. Leave it out: "analog" is always an option.'
        )
    if not encoder.is_linear:
        raise ValueError(
            f"assign expects codes that weights of the steps decode; '{name}' ({type(encoder).__name__}) has a rule of "
            f"its own. Use BitPlane for binary digits."
        )
    if encoder.value_range != value_range:
        raise ValueError(
            f"assign expects codes of the range that they are given; '{name}' was given {value_range} and has "
            f"{encoder.value_range}. Pass value_range on to the encoder."
        )
    return encoder
