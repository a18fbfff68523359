"""How spikes and padding pass through one call of an operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from .marks import ANALOG, Call, Mark
from .steps import steps_after

Passed = list[Tensor] | None
"""The companions of the tensors that a call returns, or None where it does not pass them on."""

_REARRANGE = frozenset(
    "view _unsafe_view _reshape_alias expand permute transpose t squeeze unsqueeze select slice split unsafe_split "
    "split_with_sizes unsafe_split_with_sizes unbind diagonal unfold cat stack flip roll repeat index index_select "
    "gather take masked_select tril triu".split()
)
_COPY = ("alias", "detach", "clone", "lift_fresh")
_RESAMPLE = frozenset(
    "upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d "
    "_upsample_nearest_exact3d reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d "
    "replication_pad3d pixel_shuffle pixel_unshuffle channel_shuffle im2col constant_pad_nd".split()
)
"""Calls that copy entries to other places of the same sample."""

_MAXIMA = {
    "max_pool2d_with_indices": 2,
    "max_pool3d_with_indices": 3,
    "adaptive_max_pool2d": 2,
    "adaptive_max_pool3d": 3,
}
_BATCH_NORMS = ("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm", "_native_batch_norm_legit_no_training")
_MADE = frozenset(
    "zeros ones full new_zeros new_ones new_full zeros_like ones_like full_like arange eye linspace "
    "scalar_tensor".split()
)
"""Calls that make a constant, whatever they are given."""


def follow(call: Call, result: Any) -> list[tuple[Tensor, Mark]]:
    """The marks of the tensors that a call returned."""
    returned = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
    marks = list(call.marks.values())
    if call.name in _MADE:
        return [(tensor, Mark(is_constant=True, stored=tensor.numel())) for tensor in returned]
    if marks and all(mark.is_constant for mark in marks):
        stored = sum(mark.stored for mark in marks)
        return [(tensor, Mark(is_constant=True, stored=min(tensor.numel(), stored))) for tensor in returned]
    if all(mark.is_plain for mark in marks) and call.name != "constant_pad_nd":
        # A single number counts as a constant unless it is marked.
        return [(tensor, ANALOG) for tensor in returned if tensor.ndim == 0 or call.is_in_place]
    spikes, present = _spikes(call, result), _present(call, result)
    clock, steps = steps_after(call, returned, is_rearranged=call.name in _REARRANGE)
    marked = []
    for index, tensor in enumerate(returned):
        mark = Mark(spikes=_entry(spikes, index, tensor), present=_entry(present, index, tensor))
        known = _entry(steps, index, tensor)
        marked.append((tensor, mark if known is None else replace(mark, steps=known, clock=clock)))
    return marked


def _entry(companions: list[Any] | None, index: int, tensor: Tensor) -> Tensor | None:
    companion = companions[index] if companions is not None and index < len(companions) else None
    return companion if isinstance(companion, Tensor) and companion.shape == tensor.shape else None


def _spikes(call: Call, result: Any) -> Passed:
    if not any(mark.spikes is not None for mark in call.marks.values()):
        return None
    if call.name in _REARRANGE or (call.name in _RESAMPLE and not call.argument("value", 0)):
        return call.on(lambda tensor: _spikes_or_none_sent(call.mark(tensor), tensor))
    if call.name in _MAXIMA:
        # The spikes of the entry that was the largest.
        rank, spikes = _MAXIMA[call.name], call.mark(call.args[0]).spikes
        assert spikes is not None
        places = result[1].flatten(-rank)
        return [spikes.flatten(-rank).gather(-1, places).view_as(result[1])]
    rule = _RULES.get(call.name)
    return None if rule is None else rule(call)


def _spikes_or_none_sent(mark: Mark, tensor: Tensor) -> Tensor | None:
    """The spikes of a tensor; a constant of zeros, such as a frame of padding, sends none."""
    is_silent = mark.is_constant and not bool(tensor.any())
    return torch.zeros_like(tensor, dtype=torch.float32) if is_silent else mark.spikes


def _scale(call: Call) -> Passed:
    """Times a constant, which folds into the next layer's weights; spikes times spikes are those that coincide."""
    first, second = (call.mark(other).spikes if isinstance(other, Tensor) else None for other in call.args[:2])
    if first is not None and second is not None:
        return [first * second] if call.name == "mul" else None
    spikes, other = (first, call.args[1]) if first is not None else (second, call.args[0])
    if spikes is None or (call.name == "div" and (first is None or call.kwargs.get("rounding_mode"))):
        return None
    if isinstance(other, Tensor):
        is_per_channel = sum(size > 1 for size in other.shape) <= 1
        return [spikes + torch.zeros_like(other)] if call.mark(other).is_constant and is_per_channel else None
    return [spikes]


def _both(call: Call) -> Passed:
    """A sum or difference of two trains hands on the spikes of both."""
    first, second = (call.mark(other).spikes if isinstance(other, Tensor) else None for other in call.args[:2])
    if first is not None and not isinstance(call.args[1], Tensor) and call.args[1] == 0:
        return [first]  # how Python's sum begins
    return None if first is None or second is None else [first.abs() + second.abs()]


def _unchanged(call: Call) -> Passed:
    spikes = call.mark(call.args[0]).spikes
    return None if spikes is None else [spikes]


def _cast(call: Call) -> Passed:
    dtype = call.kwargs.get("dtype")
    return None if dtype is not None and not dtype.is_floating_point else _unchanged(call)


def _copied(call: Call) -> Passed:
    spikes = call.mark(call.args[1]).spikes
    return None if spikes is None else [spikes.expand(call.args[0].shape)]


def _normalised(call: Call) -> Passed:
    return None if call.argument("training", False) else _unchanged(call)


def _added_up(call: Call) -> Passed:
    spikes = call.mark(call.args[0]).spikes
    if spikes is None:
        return None
    axes = call.argument("dim") or tuple(range(spikes.ndim))
    return [spikes.abs().sum(axes, keepdim=bool(call.argument("keepdim", False)))]


def _windows(call: Call) -> Passed:
    """The spikes in each window of an average pool."""
    spikes = call.mark(call.args[0]).spikes
    if spikes is None:
        return None
    names = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
    settings = [call.argument(name) for name in names]
    return [call.function(spikes.abs(), *settings, divisor_override=1)]


def _adaptive_windows(call: Call) -> Passed:
    """The spikes in each window of an adaptive average pool, whose windows may differ in size."""
    spikes, bins = call.mark(call.args[0]).spikes, call.argument("output_size")
    if spikes is None:
        return None
    spikes = spikes.abs()
    for axis, count in enumerate(bins, start=spikes.ndim - len(bins)):
        size = spikes.shape[axis]
        bounds = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
        spikes = torch.stack([spikes.narrow(axis, low, high - low).sum(axis) for low, high in bounds], dim=axis)
    return [spikes]


_RULES: dict[str, Callable[[Call], Passed]] = {
    "mul": _scale,
    "div": _scale,
    "add": _both,
    "sub": _both,
    "neg": _unchanged,
    "_to_copy": _cast,
    "copy": _copied,
    "mean": _added_up,
    "sum": _added_up,
    "avg_pool2d": _windows,
    "avg_pool3d": _windows,
    "_adaptive_avg_pool2d": _adaptive_windows,
    "_adaptive_avg_pool3d": _adaptive_windows,
    **dict.fromkeys(_BATCH_NORMS, _normalised),
    **dict.fromkeys(_COPY, _unchanged),
}


def _present(call: Call, result: Any) -> Passed:
    """Where padding has put zeros, as long as they stay zeros."""
    pads = call.name == "constant_pad_nd" and not call.argument("value", 0)
    if not pads and all(mark.present is None for mark in call.marks.values()):
        return None
    if pads or call.name in _REARRANGE or call.name in _RESAMPLE:
        return call.on(lambda tensor: _present_or_ones(call.mark(tensor), tensor))
    keeps = call.name in ("neg", "_to_copy", *_COPY) or (
        call.name in ("mul", "div") and not isinstance(call.args[1], Tensor)
    )
    mark = call.mark(call.args[0])
    return [mark.present] if keeps and mark.present is not None else None


def _present_or_ones(mark: Mark, tensor: Tensor) -> Tensor:
    return mark.present if mark.present is not None else torch.ones((), device=tensor.device).expand(tensor.shape)
