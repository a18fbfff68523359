"""What convert demands of a network and of its calibration data, and the proof that the trace is the network."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from ..core.neuron import Neuron
from .errors import ConversionError
from .observe import Observer, agree, check_batch_axis


def check_model(model: nn.Module) -> None:
    """Refuse what cannot be converted whatever the data.

    Raises:
        TypeError: not a module.
        ConversionError: compiled, scripted, in training mode, narrower than float32, or spiking already.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"convert expects an nn.Module; got {type(model).__name__}.")
    if hasattr(model, "_orig_mod"):
        raise ConversionError("The network is compiled; convert the original (model._orig_mod), compile the result.")
    if isinstance(model, torch.jit.ScriptModule):
        raise ConversionError("The network is scripted; convert the module it was scripted from.")
    patched = [f"'{name or type(model).__name__}'" for name, m in model.named_modules() if "forward" in vars(m)]
    if patched:
        raise ConversionError(
            f"The forward of {', '.join(patched)} was put into the object, where a copy would still call the "
            f"original's. Define it in the class."
        )
    spiking = [f"'{name}' ({type(module).__name__})" for name, module in model.named_modules() if _is_neuron(module)]
    if spiking:
        raise ConversionError(f"The network has spiking neurons already: {', '.join(spiking)}. Convert an ANN.")
    modes = [f"'{name}'" for name, module in model.named_modules() if module.training and _depends_on_mode(module)]
    if model.training or modes:
        listed = ", ".join(modes[:5] + ["..."][: len(modes) > 5]) or "the network"
        raise ConversionError(
            f"convert expects a network in eval mode; in training mode: {listed}. Call model.eval(): BatchNorm and "
            f"dropout would act as in training."
        )
    narrow = {str(p.dtype) for p in model.parameters() if p.dtype in (torch.bfloat16, torch.float16)}
    if narrow:
        raise ConversionError(
            f"convert expects float32 or float64 weights; got {', '.join(sorted(narrow))}. Convert model.float() and "
            f"run the result under torch.autocast: neurons keep their state in float32."
        )


def _depends_on_mode(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._NormBase | nn.modules.dropout._DropoutNd)


def _is_neuron(module: nn.Module) -> bool:
    return isinstance(module, Neuron)


def observe_all(observer: Observer, model: nn.Module, batches: Tensor | Iterable[Any], *, hold: bool) -> list[Tensor]:
    """Show all calibration data to the observer; on the first batch, prove that the trace may stand for the network.

    Returns:
        The batches, if they are to be held; otherwise the first alone.
    """
    held: list[Tensor] = []
    for index, values in enumerate(_calibration_batches(batches, model)):
        if index == 0:
            expected = _run_network(model, values)
            _check_trace(observer.observe(values.clone()), expected, type(model).__name__)
            check_batch_axis(observer, values)
        elif hold and not observer.watched:
            observer.widen(values)  # calibration runs it
        else:
            observer.observe(values.clone())
        if hold or index == 0:
            held.append(values.clone())
    return held


def _run_network(model: nn.Module, values: Tensor) -> Tensor:
    """The network's own output, from a copy and a copy: a forward may change its module or its input."""
    try:
        output: Tensor = copy.deepcopy(model)(values.clone())
    except Exception as error:
        raise ConversionError(
            f"{type(model).__name__} cannot run calibration batch 0, of shape {tuple(values.shape)} and "
            f"{values.dtype}: {error}. Pass batches the network accepts."
        ) from error
    return output


def _check_trace(output: Tensor, expected: Tensor, name: str) -> None:
    if isinstance(expected, Tensor) and agree(output, expected):
        return
    raise ConversionError(
        f"The trace of {name} does not compute what the network does: its forward depends on something tracing "
        f"cannot see (an in-place change of a shared tensor, a flag, a Python value). Rewrite such code without side "
        f"effects."
    )


def _calibration_batches(batches: Tensor | Iterable[Any], model: nn.Module) -> Iterator[Tensor]:
    """The input tensors of ``batches``, each checked against the model.

    Raises:
        TypeError: a batch that is neither a tensor nor a tuple or list that starts with one.
        ConversionError: no batch at all, an empty one, another device than the model's, NaN or infinite values.
    """
    device = next((tensor.device for tensor in chain(model.parameters(), model.buffers())), None)
    count = 0
    for batch in [batches] if isinstance(batches, Tensor) else batches:
        values = batch[0] if isinstance(batch, tuple | list) and batch else batch
        if not isinstance(values, Tensor):
            raise TypeError(
                f"convert expects batches of tensors, or of (tensor, ...); batch {count} is {type(batch).__name__}."
            )
        _check_batch(values, device, count)
        count += 1
        yield values
    if count == 0:
        raise ConversionError("convert got no calibration batch: batches is empty. Pass at least one batch of inputs.")


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
    if not bool(torch.isfinite(values).all()):
        raise ConversionError(
            f"Calibration batch {index} holds NaN or infinite values. Clean the data; torch.isfinite finds them."
        )
