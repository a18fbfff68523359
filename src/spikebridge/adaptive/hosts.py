"""A neuron that exists as one with a leak and a gain for every step, which computes the same."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from ..core.neuron import Neuron
from ..core.shapes import at_least_float32
from ..core.stock import own_method
from ..neurons import IF, LIF, AdaptiveLIF

Grain = Literal["fixed", "layer", "channel"]

_KINDS: tuple[type[Neuron[Any]], ...] = (LIF, IF, AdaptiveLIF)


def reason_against(neuron: Neuron[Any]) -> str | None:
    """Why no leak and gain per step make this neuron; None where some do."""
    kind = next((each for each in _KINDS if isinstance(neuron, each)), None)
    if kind is None:
        return "no LIF, IF or AdaptiveLIF"
    if (changed := own_method(neuron)) is not None:
        return f"has a {changed} of its own, which is not that of {kind.__name__}"
    if is_parametrized(neuron):
        return "has settings that are computed from others, which would be lost"
    if isinstance(neuron.threshold, nn.Parameter):
        return "has a threshold that is learned, where AdaptiveLIF has a fixed one"
    if isinstance(neuron, IF) and neuron.rest:
        return f"starts at rest = {neuron.rest:g}, where AdaptiveLIF starts at 0"
    if isinstance(neuron, IF) and bool((neuron.spike_value != 1).any()):
        return "has a spike_value other than 1, which AdaptiveLIF sends"
    return None


def leak_and_gain(neuron: Neuron[Any]) -> tuple[Tensor, Tensor] | None:
    """The factors of the membrane and of the current: [time, *channels] of an AdaptiveLIF, [*channels] of others.

    None for neurons of another kind.
    """
    if isinstance(neuron, AdaptiveLIF):
        return neuron.leak.detach(), neuron.gain.detach()
    if isinstance(neuron, LIF):
        leak = neuron.decay.detach()
        return leak, 1.0 - leak if neuron.decay_input else leak.new_ones(())
    if isinstance(neuron, IF):
        return neuron.threshold.new_ones(()), neuron.threshold.new_ones(())
    return None


def channels_of(neuron: Neuron[Any]) -> tuple[int, ...]:
    """The shape of the settings that a neuron has one per channel; () where it has none."""
    settings = leak_and_gain(neuron)
    assert settings is not None
    skipped = 1 if isinstance(neuron, AdaptiveLIF) else 0
    shapes = [setting.shape[skipped:] for setting in settings] + [torch.as_tensor(neuron.threshold).shape]
    return next((tuple(shape) for shape in shapes if shape.numel() > 1), ())


def made_adaptive(
    neuron: Neuron[Any], *, name: str, time_steps: int, leak: Grain, gain: Grain, channels: tuple[int, ...]
) -> AdaptiveLIF:
    """An AdaptiveLIF that computes what ``neuron`` does.

    Args:
        neuron: one that :func:`reason_against` has nothing against.
        name: errors quote it.
        time_steps: T.
        leak: what is learned of it; "fixed" keeps it as it is.
        gain: likewise.
        channels: the shape of settings per channel; those of the neuron itself, if it has any.

    Raises:
        ValueError: one number per layer asked for where the neuron has one per channel.
    """
    assert isinstance(neuron, LIF | IF | AdaptiveLIF)
    settings = leak_and_gain(neuron)
    assert settings is not None
    whole = [_per_step(setting, neuron, time_steps) for setting in settings]
    for what, grain, setting in zip(("leak", "gain"), (leak, gain), whole, strict=True):
        if grain == "layer" and not _is_one(setting):
            raise ValueError(
                f"adapt was asked for one {what} per step in '{name}', whose {type(neuron).__name__} has one per "
                f"channel. Pass {what}='channel', or {what}='fixed' to keep them as they are."
            )
    if "channel" not in (leak, gain) and all(map(_is_one, whole)):
        channels = ()
    made = AdaptiveLIF(
        time_steps=time_steps,
        channels=channels or None,
        learn_leak=leak != "fixed",
        learn_gain=gain != "fixed",
        leak=_spread(whole[0], channels),
        gain=_spread(whole[1], channels),
        threshold=neuron.threshold,
        reset=neuron.reset,
        surrogate=neuron.surrogate,
    )
    for what, grain, setting in zip(("leak", "gain"), (leak, gain), whole, strict=True):
        if channels and grain != "channel" and _is_one(setting):
            _narrow(made, what)
    made.training = neuron.training
    return made


def _per_step(setting: Tensor, neuron: Neuron[Any], time_steps: int) -> Tensor:
    wide = setting.to(at_least_float32(setting.dtype))
    return wide if isinstance(neuron, AdaptiveLIF) else wide.expand(time_steps, *wide.shape)


def _is_one(setting: Tensor) -> bool:
    """Whether [time, *channels] has one number per step."""
    return bool((setting.flatten(1) == setting.flatten(1)[:, :1]).all()) if setting.ndim > 1 else True


def _spread(setting: Tensor, channels: tuple[int, ...]) -> Tensor:
    if not channels:
        return setting.flatten(1)[:, 0] if setting.ndim > 1 else setting
    between = len(channels) + 1 - setting.ndim
    return setting.reshape(len(setting), *[1] * between, *setting.shape[1:]).expand(len(setting), *channels)


def _narrow(neuron: AdaptiveLIF, what: str) -> None:
    """One number per step where the other setting has one per step and channel."""
    held: Tensor = getattr(neuron, what)
    one = held.detach().flatten(1)[:, 0].clone()
    setattr(neuron, what, nn.Parameter(one) if isinstance(held, nn.Parameter) else one)
