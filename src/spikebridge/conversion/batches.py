"""What convert demands of its calibration data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from .errors import ConversionError


def calibration_batches(batches: Tensor | Iterable[Any], model: nn.Module) -> Iterator[Tensor]:
    """The input tensors of ``batches``, each checked against the model.

    Raises:
        TypeError: a batch that is neither a tensor nor a tuple or list that starts with one.
        ConversionError: no batch at all, an empty one, one of another shape or dtype than the first, another device
            than the model's, NaN or infinite values.
    """
    device, first = device_of(model), None
    for index, batch in enumerate(_each(batches)):
        values = batch[0] if isinstance(batch, tuple | list) and batch else batch
        if not isinstance(values, Tensor):
            kind = type(batch).__name__ + (f" that starts with {type(values).__name__}" if values is not batch else "")
            raise TypeError(
                f"convert expects batches of tensors, or of (tensor, ...); batch {index} is {kind}. Take what the "
                f"network takes out of it: (batch['x'] for batch in loader), or torch.as_tensor(array)."
            )
        first = values if first is None else first
        _check_batch(values, device, index)
        _check_like_first(values, first, index)
        yield values
    if first is None:
        raise ConversionError("convert got no calibration batch: batches is empty. Pass at least one batch of inputs.")


def _each(batches: Any) -> Iterator[Any]:
    try:
        return iter([batches] if isinstance(batches, Tensor) else batches)
    except TypeError as error:
        raise TypeError(
            f"convert expects batches to be a tensor, or an iterable of tensors or of (tensor, ...), such as a "
            f"DataLoader; got {type(batches).__name__}."
        ) from error


def _check_batch(values: Tensor, device: torch.device | None, index: int) -> None:
    if values.ndim < 2 or values.shape[0] == 0:
        raise ConversionError(
            f"Calibration batch {index} has shape {tuple(values.shape)}; expected [batch, *unit] with batch >= 1. "
            f"For a single sample: values[None]; for one batch with labels: [(images, labels)]; for a Dataset: a "
            f"DataLoader of it."
        )
    if device is not None and values.device != device:
        raise ConversionError(
            f"Calibration batch {index} is on {values.device}, the model on {device}. "
            f"Move one of them: model.to('{values.device}') or batch.to('{device}')."
        )
    if values.layout != torch.strided:
        raise ConversionError(f"Calibration batch {index} is stored as {values.layout}; pass batch.to_dense().")
    if not bool(torch.isfinite(values).all()):
        raise ConversionError(
            f"Calibration batch {index} holds NaN or infinite values. Clean the data; torch.isfinite finds them."
        )


def _check_like_first(values: Tensor, first: Tensor, index: int) -> None:
    if values.shape[1:] != first.shape[1:] or values.dtype != first.dtype:
        raise ConversionError(
            f"Calibration batch {index} has samples of shape {tuple(values.shape[1:])} and {values.dtype}; batch 0 had "
            f"{tuple(first.shape[1:])} and {first.dtype}. Crop, pad or cast them to one; for one batch with labels "
            f"pass [(images, labels)]."
        )


def device_of(model: nn.Module) -> torch.device | None:
    """Where a network is; None if it has no tensors."""
    return next((tensor.device for tensor in chain(model.parameters(), model.buffers())), None)
