"""The shapes every part of the library speaks of, and the one broadcasting rule beyond PyTorch's.

Time comes first, always. A value has no time axis; a train is a value at every step.

    Value       [batch, *unit]          what an artificial network computes with
    Current     [batch, *unit]          what a neuron receives in one step
    Spikes      [batch, *unit]          what a neuron emits in one step
    SpikeTrain  [time, batch, *unit]    all steps of a simulation (also used for trains of currents)
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor

Value: TypeAlias = Tensor
Current: TypeAlias = Tensor
Spikes: TypeAlias = Tensor
SpikeTrain: TypeAlias = Tensor


class ChannelsError(ValueError):
    """A setting per channel beside a step of other channels; the neuron adds its name."""


def along_channels(setting: Tensor, like: Tensor) -> Tensor:
    """Shape a neuron's setting so that it broadcasts over one step ``[batch, channel, *rest]``.

    A scalar holds for the whole layer, a vector ``[channel]`` for axis 1 of the step, and anything of
    higher rank must already have the rank of a unit (``[1, C]`` for tokens ``[batch, N, C]``).

    Raises:
        ValueError: the setting has another number of channels than the step, or another rank than a unit.

    >>> along_channels(torch.ones(3), torch.zeros(8, 3, 5, 5)).shape
    torch.Size([3, 1, 1])
    """
    if setting.ndim == 0:
        return setting
    if setting.ndim == 1 and like.ndim >= 2 and setting.shape[0] in (1, like.shape[1]):
        return setting.reshape(-1, *[1] * (like.ndim - 2))
    sizes = zip(setting.shape, like.shape[1:], strict=False)
    if setting.ndim == like.ndim - 1 and setting.ndim >= 2 and all(size in (1, unit) for size, unit in sizes):
        return setting
    raise ChannelsError(
        f"A per-channel setting of shape {tuple(setting.shape)} does not fit a step of shape {tuple(like.shape)} "
        f"[batch, channel, *rest]. Pass a float, one number per channel, or a tensor of the rank of one unit."
    )


def at_least_float32(dtype: torch.dtype) -> torch.dtype:
    """The dtype of a neuron's state: ``dtype``, but never narrower than float32.

    Below float32 a membrane loses the small part of a sum and counts stop being integers at 256 (bfloat16),
    so state stays wide even where autocast has made the currents narrow.

    >>> at_least_float32(torch.bfloat16), at_least_float32(torch.float64)
    (torch.float32, torch.float64)
    """
    return torch.promote_types(dtype, torch.float32)
