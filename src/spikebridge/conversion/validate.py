"""What convert demands of a network, and the proof that the trace is the network."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ..core.neuron import Neuron
from .batches import calibration_batches, device_of
from .errors import ConversionError
from .observe import Observer, agree, check_batch_axis


def check_model(model: nn.Module, *, owner: str) -> None:
    """Refuse what cannot be converted whatever the data.

    Raises:
        TypeError: not a module.
        ConversionError: compiled, scripted, in training mode, narrower than float32, without weights yet, or spiking
            already.
    """
    if not isinstance(model, nn.Module):
        got = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        raise TypeError(
            f"{owner} expects an nn.Module; got {got}. A function becomes one as the forward of a class; of a class, "
            f"pass an instance."
        )
    _check_kind(model)
    _check_mode(model, owner)
    _check_weights(model)


def _check_kind(model: nn.Module) -> None:
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


def _check_mode(model: nn.Module, owner: str) -> None:
    modes = [f"'{name}'" for name, module in model.named_modules() if module.training and _depends_on_mode(module)]
    if model.training or modes:
        listed = ", ".join(modes[:5] + ["..."][: len(modes) > 5]) or "the network"
        raise ConversionError(
            f"{owner} expects a network in eval mode; in training mode: {listed}. Call model.eval(): BatchNorm and "
            f"dropout would act as in training."
        )


def _check_weights(model: nn.Module) -> None:
    lazy = [
        f"'{name}'"
        for name, m in model.named_modules()
        if any(map(is_lazy, chain(m.parameters(recurse=False), m.buffers(recurse=False))))
    ]
    if lazy:
        raise ConversionError(
            f"The network has layers whose weights are not made yet: {', '.join(lazy)}. Run it on a batch first."
        )
    narrow = {str(p.dtype) for p in model.parameters() if p.dtype in (torch.bfloat16, torch.float16)}
    if narrow:
        raise ConversionError(
            f"convert expects float32 or float64 weights; got {', '.join(sorted(narrow))}. Convert model.float() and "
            f"run the result under torch.autocast: neurons keep their state in float32."
        )


def _depends_on_mode(module: nn.Module) -> bool:
    """Whether a module's forward looks at its mode."""
    code = getattr(inspect.unwrap(type(module).forward), "__code__", None)
    return isinstance(module, nn.modules.batchnorm._NormBase) or "training" in getattr(code, "co_names", ())


def _is_neuron(module: nn.Module) -> bool:
    return isinstance(module, Neuron)


def copied(model: nn.Module) -> nn.Module:
    """A copy of the network, to be worked on.

    Raises:
        ConversionError: it cannot be copied.
    """
    try:
        return copy.deepcopy(model)
    except Exception as error:  # whatever its attributes may raise
        computed = _computed_tensors(model)
        advice = (
            f"PyTorch cannot copy {', '.join(computed)} with the gradient: detach; for weight_norm and spectral_norm "
            f"use those of torch.nn.utils.parametrizations."
            if computed
            else "Keep locks, files, streams and the like out of the module."
        )
        raise ConversionError(
            f"{type(model).__name__} cannot be copied, and only a copy is ever converted: {error}. {advice}"
        ) from error


def _computed_tensors(model: nn.Module) -> list[str]:
    """The attributes that are results of a computation with gradients."""
    return [
        f"'{path}.{name}'" if path else f"'{name}'"
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, Tensor) and not value.is_leaf
    ]


def in_full_precision(model: nn.Module) -> AbstractContextManager[object]:
    """Autocast turned off where the network is: thresholds must not be chosen by numbers that were rounded."""
    device = device_of(model)
    kind = "cpu" if device is None else device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def observe_all(observer: Observer, model: nn.Module, batches: Tensor | Iterable[Any], *, hold: bool) -> list[Tensor]:
    """Show all calibration data to the observer; on the first batch, prove that the trace may stand for the network.

    Returns:
        The batches, if they are to be held; otherwise the first alone.
    """
    held: list[Tensor] = []
    for index, values in enumerate(calibration_batches(batches, model)):
        if index == 0:
            expected = _run_network(model, values)
            _check_trace(observer.observe(values.clone()), expected, model)
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


def _check_trace(output: Tensor, expected: Tensor, model: nn.Module) -> None:
    if isinstance(expected, Tensor) and agree(output, expected):
        return
    kind = type(model).__name__
    hooked = [f"'{n or kind}'" for n, m in model.named_modules() if m._forward_hooks or m._forward_pre_hooks]
    hooks = f" Hooks of an activation, or of the whole, are not converted; there are some on {', '.join(hooked)}."
    raise ConversionError(
        f"The trace of {kind} does not compute what the network does: its forward depends on something tracing "
        f"cannot see (an in-place change of a shared tensor, a flag, a Python value, chance). Rewrite such code "
        f"without side effects.{hooks if hooked else ''}"
    )
