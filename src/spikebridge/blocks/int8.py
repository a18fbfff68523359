"""Layers that multiply whole numbers of spikes with weights of eight bits, and add them up exactly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core.shapes import Value, along_channels, at_least_float32

LARGEST_WEIGHT = 127
LARGEST_COUNT = 128
"""Processors without dot products of bytes add two products in 16 bits, which saturate: 2 * 128 * 127 does not."""

LARGEST_SUM = 2**31 - 1


class Int8Layer(nn.Module, ABC):
    """A layer whose input is a whole number k of levels u, as integer arithmetic computes it.

        y_o = scale_o * sum over i of w_oi k_i + bias_o,   w_oi = round(u_i W_oi / scale_o),
        scale_o = max over i of |u_i W_oi| / 127

    The sum is exact: k and w are whole. What differs from the layer it is made of is that its weights are rounded, each
    by at most scale / 2. Where PyTorch has no kernel for it (another device, another dtype, an older processor) the
    same whole numbers are multiplied as floats, which is exact up to 2^24. For inference: there is no gradient.

    Args:
        layer: with the weights, which are copied.
        level: u: one for all inputs, or one for each input channel; for a linear layer each input feature.
        lowest: the least k, 0 or below; k - lowest is at most 128.

    Shapes:  those of the layer; values are multiples of the level.
    Raises:
        ValueError: a level of another shape; weights that are not finite; so many inputs that a sum
            could pass 2^31.
        RuntimeError: values that need a gradient; training mode.

    Attributes:
        takes_rows: levels belong to axis 1 of a step, so that a linear layer may take rows only.
    """

    weight: Tensor
    scale: Tensor
    level: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Linear | nn.Conv2d, *, level: Tensor, lowest: int = 0) -> None:
        super().__init__()
        weight = layer.weight.detach().double() * self.by_input(level.double())
        rows = weight.flatten(1)
        if rows.shape[1] * LARGEST_COUNT * LARGEST_WEIGHT > LARGEST_SUM:
            raise ValueError(f"{type(self).__name__} adds up in 32 bits; got {rows.shape[1]} inputs to a sum.")
        largest = rows.abs().amax(1)
        if not bool(torch.isfinite(largest).all()):
            raise ValueError(f"{type(self).__name__} expects finite weights; got NaN or an infinite one.")
        scale = torch.where(largest > 0, largest, 1.0) / LARGEST_WEIGHT
        whole = torch.round(weight / scale.reshape(-1, *[1] * (weight.ndim - 1)))
        self.lowest, self.takes_rows = lowest, False
        self.register_buffer("weight", whole.to(torch.int8))
        self.register_buffer("scale", scale.float())
        self.register_buffer("level", level.detach().clone())
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().clone())
        self._zero_points = torch.zeros(len(scale), dtype=torch.int64)
        self._packed: Tensor | None = None

    @abstractmethod
    def by_input(self, level: Tensor) -> Tensor:
        """The level of the input that each weight multiplies, to broadcast over the weights."""

    @abstractmethod
    def dense(self, counts: Tensor, weight: Tensor) -> Tensor:
        """The sums as floats, without scale and bias."""

    @abstractmethod
    def pack(self) -> Tensor:
        """The weights as the kernel wants them."""

    @abstractmethod
    def kernel(self, counts: Tensor, packed: Tensor) -> Tensor:
        """The layer of unsigned counts, with scale and bias."""

    def forward(self, values: Value) -> Value:
        if values.requires_grad and torch.is_grad_enabled():
            raise RuntimeError(
                f"{type(self).__name__} is for inference, and counts have no gradient; got values that need one. Call "
                f"the network under torch.no_grad(), or train the one it was made of."
            )
        if self.training:
            raise RuntimeError(f"{type(self).__name__} is for inference; got a network in training mode. Call .eval().")
        if self.takes_rows and values.ndim != 2:
            raise ValueError(
                f"{type(self).__name__} has a level for each entry of axis 1, and expects rows [batch, features]; got "
                f"shape {tuple(values.shape)}. Convert with granularity='layer'."
            )
        is_single = values.dtype == self.scale.dtype == torch.float32
        if self._packed is None or values.device.type != "cpu" or not is_single or values.numel() == 0:
            return self._as_floats(values)
        counts = torch.round(values * self._per_level(values))
        found = self.kernel((counts - self.lowest).to(torch.uint8), self._packed)
        # A byte cannot be NaN: a sample that had one gets it back, as it does from every other layer.
        lost = 0.0 * counts.sum(tuple(range(1, counts.ndim)))  # in the order of memory, which flattening is not
        return found + lost.reshape(-1, *[1] * (found.ndim - 1))

    def _as_floats(self, values: Value) -> Value:
        """The same whole numbers, multiplied as floats."""
        wide = at_least_float32(values.dtype)
        with torch.autocast(values.device.type, enabled=False):
            values = values.to(wide)
            sums = self.dense(torch.round(values * self._per_level(values)), self.weight.to(wide))
            found = sums * self._along_outputs(self.scale.to(wide))
            return found if self.bias is None else found + self._along_outputs(self.bias.to(wide))

    def ready(self) -> Int8Layer:
        """Choose the way to compute, anew after the weights have changed; return the layer."""
        self._packed = self.pack() if self.weight.device.type == "cpu" and has_int8_kernels() else None
        return self

    def _per_level(self, values: Tensor) -> Tensor:
        return 1.0 / self.level.to(values.dtype)

    def _along_outputs(self, setting: Tensor) -> Tensor:
        return setting

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self.ready()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_packed": None}  # it has no storage to copy or to save

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.ready()


class Int8Linear(Int8Layer):
    """:class:`Int8Layer` of an ``nn.Linear``: [..., inputs] -> [..., outputs].

    >>> layer = nn.Linear(3, 2)
    >>> small = Int8Linear(layer, level=torch.tensor(0.25)).ready().eval()
    >>> counts = torch.tensor([[0.0, 4.0, 1.0]])
    >>> torch.allclose(small(0.25 * counts), layer(0.25 * counts), atol=0.01)
    True
    """

    def __init__(self, layer: nn.Linear, *, level: Tensor, lowest: int = 0) -> None:
        _check_levels(level, layer.in_features, owner=type(self).__name__)
        super().__init__(layer, level=level, lowest=lowest)

    def by_input(self, level: Tensor) -> Tensor:
        return level

    def dense(self, counts: Tensor, weight: Tensor) -> Tensor:
        return F.linear(counts, weight)

    def pack(self) -> Tensor:
        return cast(Tensor, torch.ops.onednn.qlinear_prepack(self.weight, None))

    def kernel(self, counts: Tensor, packed: Tensor) -> Tensor:
        return cast(Tensor, _int8_linear(counts, packed, self.scale, self._zero_points, self.bias, -self.lowest))


class Int8Conv2d(Int8Layer):
    """:class:`Int8Layer` of an ``nn.Conv2d`` that pads with zeros: [batch, channel, height, width]."""

    def __init__(self, layer: nn.Conv2d, *, level: Tensor, lowest: int = 0) -> None:
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            raise ValueError(
                f"Int8Conv2d expects a convolution padded with zeros by numbers; got padding={layer.padding!r}, "
                f"padding_mode={layer.padding_mode!r}."
            )
        _check_levels(level, layer.in_channels, owner=type(self).__name__)
        self.groups, self.out_channels = layer.groups, layer.out_channels
        super().__init__(layer, level=level, lowest=lowest)
        self.stride, self.padding, self.dilation = list(layer.stride), list(layer.padding), list(layer.dilation)

    def by_input(self, level: Tensor) -> Tensor:
        if level.ndim == 0:
            return level
        by_group = level.reshape(self.groups, -1)
        return by_group.repeat_interleave(self.out_channels // self.groups, 0)[..., None, None]

    def dense(self, counts: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(counts, weight, None, self.stride, self.padding, self.dilation, self.groups)

    def pack(self) -> Tensor:
        packed: Tensor = torch.ops.onednn.qconv_prepack(
            *(self.weight, self.scale, 1.0, -self.lowest),
            *(self.stride, self.padding, self.dilation, self.groups, None),
        )
        return packed

    def kernel(self, counts: Tensor, packed: Tensor) -> Tensor:
        found: Tensor = torch.ops.onednn.qconv2d_pointwise(
            *(counts, 1.0, -self.lowest, packed, self.scale, self._zero_points, self.bias),
            *(self.stride, self.padding, self.dilation, self.groups),
            *(1.0, 0, torch.float32, "none", [], ""),
        )
        # It comes with its channels last; who asks for a view of channels first gets one, at the price of a copy.
        return found.contiguous() if counts.is_contiguous() else found

    def _per_level(self, values: Tensor) -> Tensor:
        return along_channels(super()._per_level(values), values)

    def _along_outputs(self, setting: Tensor) -> Tensor:
        return setting[:, None, None]


def _check_levels(level: Tensor, inputs: int, *, owner: str) -> None:
    if level.ndim and level.shape != (inputs,):
        raise ValueError(
            f"{owner} expects one level, or one for each of {inputs} input channels; got {tuple(level.shape)}."
        )


@torch.library.custom_op("spikebridge::int8_linear", mutates_args=())
def _int8_linear(
    counts: Tensor, packed: Tensor, scale: Tensor, zero_points: Tensor, bias: Tensor | None, zero: int
) -> Tensor:
    """The kernel as an operator of our own, which compilers leave alone: theirs takes packed weights as constants."""
    found: Tensor = torch.ops.onednn.qlinear_pointwise(
        counts, 1.0, zero, packed, scale, zero_points, bias, 1.0, 0, torch.float32, "none", [], ""
    )
    return found


@_int8_linear.register_fake
def _(counts: Tensor, packed: Tensor, scale: Tensor, zero_points: Tensor, bias: Tensor | None, zero: int) -> Tensor:
    return counts.new_empty((*counts.shape[:-1], len(scale)), dtype=torch.float32)


@cache
def has_int8_kernels() -> bool:
    """Whether this PyTorch multiplies bytes on this processor, and rightly so: found out by trying."""
    made: Any = nn.utils.skip_init
    conv = _with_known_weights(made(nn.Conv2d, 2, 3, 3, padding=1, dtype=torch.float32))
    small = Int8Conv2d(conv, level=torch.tensor(0.5), lowest=-1).eval()
    linear = _with_known_weights(made(nn.Linear, 4, 2, dtype=torch.float32))
    pairs = Int8Linear(linear, level=torch.tensor(1.0)).eval()
    counts = torch.arange(64, dtype=torch.float32).reshape(1, 2, 4, 8) % 4 - 1
    most = torch.full((1, 4), float(LARGEST_COUNT), dtype=torch.float32)
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        try:
            fast = small.kernel((counts + 1).to(torch.uint8), small.pack())
            equal = torch.allclose(pairs.kernel(most.to(torch.uint8), pairs.pack()), pairs(most), rtol=1e-5)
            return equal and torch.allclose(fast, small(0.5 * counts), rtol=1e-5, atol=1e-6)
        except (RuntimeError, AttributeError, NotImplementedError):
            return False


def _with_known_weights(layer: Any) -> Any:
    """Drawn by nobody: asking must not move the random numbers of whoever asks."""
    for parameter in layer.parameters():
        parameter.data = torch.linspace(-1, 1, parameter.numel(), dtype=torch.float32).reshape(parameter.shape)
    return layer
