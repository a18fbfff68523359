"""Which axis of a tensor in the network is its channels."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from .nodes import called

_SECOND = (
    nn.modules.conv._ConvNd,
    nn.modules.batchnorm._BatchNorm,
    nn.GroupNorm,
    nn.modules.instancenorm._InstanceNorm,
)
_LAST = (nn.Linear, nn.LayerNorm, nn.MultiheadAttention)
_SECOND_FUNCTIONS = (
    F.conv1d,
    F.conv2d,
    F.conv3d,
    F.conv_transpose1d,
    F.conv_transpose2d,
    F.conv_transpose3d,
    F.batch_norm,
)
_LAST_FUNCTIONS = (F.linear, F.layer_norm, torch.matmul)
_MOVES = ("permute", "transpose", "swapaxes", "movedim", "flatten", "view", "reshape", "unflatten")
"""Operations after which nobody can tell by name where the channels went."""


def channel_axis(node: fx.Node, owner: nn.Module, value: Tensor) -> int | None:
    """The axis of ``value`` that holds channels, by the nearest layer with weights before it; None if none can tell.

    Convolutions and batch norms have channels second, linear layers and layer norms last. In a tensor of two axes both
    are the same.
    """
    if value.ndim < 2:
        return None
    if value.ndim == 2:
        return 1
    ancestor: fx.Node | None = node
    while ancestor is not None:
        target = called(ancestor, owner) if ancestor.op.startswith("call") else None
        if isinstance(target, _SECOND) or target in _SECOND_FUNCTIONS:
            return 1
        if isinstance(target, _LAST) or target in _LAST_FUNCTIONS:
            return value.ndim - 1
        if getattr(target, "__name__", target) in _MOVES or isinstance(target, nn.Flatten | nn.Unflatten):
            return None
        ancestor = next(iter(ancestor.all_input_nodes), None)
    return 1


def by_channel(values: Tensor, axis: int | None) -> Tensor:
    """Values with channels first: [channels, count]; one row where there are none to tell apart."""
    return values.reshape(1, -1) if axis is None else values.movedim(axis, 0).flatten(1)


def as_setting(numbers: Tensor, axis: int | None, rank: int) -> Tensor:
    """One number per channel in the form a neuron's setting has: [channels], or of the rank of a unit."""
    if axis is None:
        return numbers.reshape(())
    return numbers if axis == 1 else numbers.reshape(*[1] * (axis - 1), -1, *[1] * (rank - axis - 1))
