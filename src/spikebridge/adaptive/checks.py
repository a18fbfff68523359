"""What cannot be made adaptive, said before anything is built."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

import torch
from torch import nn

from ..blocks.fold import StepAffine
from ..blocks.step_readout import FoldedReadout
from ..core.encoder import Encoder
from ..core.neuron import Neuron
from ..core.per_step import PerStep
from ..core.stock import has_hooks
from ..core.time import TimeAxis
from .hosts import reason_against


def check_network(model: nn.Module, *, owner: str) -> None:
    """Refuse what cannot be copied with other modules in it.

    Raises:
        TypeError: no module.
        ValueError: compiled, scripted, with a forward that was put into an object, with hooks on what takes trains, or
            with a computed tensor as an attribute, which cannot be copied.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"{owner} expects an nn.Module; got {type(model).__name__}.")
    parts = dict(model.named_modules())
    compiled = [name for name, part in parts.items() if hasattr(part, "_orig_mod")]
    if compiled:
        what = f"'{compiled[0]}' in the network" if compiled[0] else "The network"
        raise ValueError(f"{what} is compiled; {owner} takes the original (._orig_mod). Compile the result.")
    if any(isinstance(part, torch.jit.ScriptModule) for part in parts.values()):
        raise ValueError(f"The network is scripted; {owner} takes the module it was scripted from.")
    patched = [
        _shown(n, p) for n, p in parts.items() if "forward" in vars(p) and not isinstance(p, torch.fx.GraphModule)
    ]
    if patched:
        raise ValueError(
            f"The forward of {', '.join(patched)} was put into the object, where a copy would still call the "
            f"original's. Define it in the class."
        )
    hooked = [_shown(name, part) for name, part in parts.items() if isinstance(part, TimeAxis) and has_hooks(part)]
    if hooked:
        raise ValueError(
            f"There are hooks on {', '.join(hooked)}, which {owner} would lose with what it replaces. Remove them, and "
            f"register them on the result."
        )

    held = [
        f"{_shown(name, part)} holds {attribute}"
        for name, part in parts.items()
        for attribute, value in vars(part).items()
        if isinstance(value, torch.Tensor) and not value.is_leaf
    ]
    if held:
        raise ValueError(
            f"{held[0]}, a tensor computed with gradients, of which there can be no copy. Keep it detached "
            f"(.detach()); in place of torch.nn.utils.weight_norm take torch.nn.utils.parametrizations.weight_norm."
        )


def check_switch(name: str, value: str, known: Any) -> None:
    """Refuse a setting that is none of a Literal's."""
    if value not in get_args(known):
        raise ValueError(f"adapt expects {name} to be one of {', '.join(map(repr, get_args(known)))}; got {value!r}.")


def neurons_to_adapt(model: nn.Module) -> dict[Neuron[Any], str]:
    """Every neuron and the first of its names.

    Raises:
        ValueError: none, some that are no LIF, or a network that was folded.
    """
    neurons = {part: name for name, part in model.named_modules() if isinstance(part, Neuron)}
    if not neurons:
        raise ValueError(
            f"adapt expects a spiking network; {type(model).__name__} has no neuron. Build it with one, such as "
            f"activation=LIF, or convert it first."
        )
    refused = [f"'{name}' ({type(n).__name__}) {why}" for n, name in neurons.items() if (why := reason_against(n))]
    if refused:
        raise ValueError(
            f"adapt cannot make {len(refused)} of {len(neurons)} neurons of {type(model).__name__} adaptive: "
            f"{'; '.join(refused)}. Build the network with LIF, or with IF of spike_value=1 and rest=0."
        )
    folded = [
        _shown(name, part) for name, part in model.named_modules() if isinstance(part, StepAffine | FoldedReadout)
    ]
    if folded:
        raise ValueError(f"adapt expects a network to train; {folded[0]} was folded. Adapt the one it was folded from.")
    return neurons


def check_steps(model: nn.Module, time_steps: int, encoders: Iterable[Encoder]) -> None:
    """Refuse a T that is not that of the encoders, of modules with settings per step, or of the model's own dial.

    Raises:
        ValueError: lists them.
    """
    found = [
        f"{type(code).__name__} has time_steps={code.time_steps}" for code in encoders if code.time_steps != time_steps
    ]
    for name, part in model.named_modules():
        if isinstance(part, PerStep) and part.time_steps != time_steps:
            found.append(f"{_shown(name, part)} was built for {part.time_steps}")
    dial = getattr(model, "time_steps", None)
    if not found and isinstance(dial, int) and dial != time_steps and not isinstance(model, Neuron):
        found.append(f"{type(model).__name__} runs {dial}")
    if found:
        raise ValueError(
            f"adapt was told time_steps={time_steps}, but {'; '.join(found)}. Pass the same T to both: settings per "
            f"step hold for one T."
        )


def encoders_of(model: nn.Module) -> list[Encoder]:
    """The encoders of a network, but for those within another encoder."""
    codes = [part for part in model.modules() if isinstance(part, Encoder)]
    inner = {part for code in codes for part in code.modules() if part is not code}
    return [code for code in codes if code not in inner]


def _shown(name: str, part: nn.Module) -> str:
    return f"'{name}' ({type(part).__name__})" if name else type(part).__name__
