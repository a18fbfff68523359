"""A spiking network that exists, with leak, gain and readout of their own for every step."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from ..blocks.spiking import SpikingNetwork
from ..core.encoder import Encoder
from ..core.neuron import Neuron
from ..core.time import declare_time, require_steps
from .checks import check_network, check_steps, check_switch, encoders_of, neurons_to_adapt
from .hosts import Grain, channels_of, made_adaptive
from .places import Places, Readout, Stem
from .watching import Seen, watch


def adapt(
    model: nn.Module,
    time_steps: int,
    *,
    leak: Grain = "layer",
    gain: Grain = "layer",
    readout: Readout = "step",
    encoder: Encoder | None = None,
    stem: Stem = "own",
    batch: Tensor | None = None,
) -> nn.Module:
    """A new network whose neurons have a leak and a gain for every step, and whose answer has a scale for every step.

    Every LIF and IF becomes an :class:`AdaptiveLIF` that starts as what it was, with its threshold, reset, surrogate,
    leak (decay; 1 of an IF) and gain (1 - decay with ``decay_input``, else 1); the last lifted layer becomes a
    :class:`StepReadout` of scale 1. Until it is trained, the output is that of the given network bit for bit. With all
    three "fixed" it stays that network: the baseline that the others are compared with, in which a decay that was
    learned is fixed too. The given network is not touched and shares nothing with the new one.

    A neuron that is registered under several names, or called at several places, stays one, with one leak and gain for
    all of them. A network that this function has made may be given again, with other switches: learned values stay.

    Another ``encoder`` is another input, and so another output. A network without one comes back as a
    ``SpikingNetwork``. With a ``Hybrid`` whose step 0 alone is analog the first lifted layers become a
    :class:`HybridStem`: step 0 has layers of its own, which start with the same weights.

    Which layers are first and last is told by the names ``stem`` and ``readout`` of the network's own modules, as the
    builders give them; by the order of an ``nn.Sequential``; in a class of your own, by one forward of ``batch``. Of
    several heads, only the one that is called last gets scales: lift them as one module, or give the one that you mean
    the name ``readout``.

    Args:
        model: a network of LIF and IF: from values to values, such as a ``SpikingNetwork``, or from trains to trains.
        time_steps: T. What is learned holds for this T alone.
        leak: what is learned of it: "layer", one number per step in every neuron module; "channel", one per step and
            channel (axis 1 of a step); "fixed", nothing.
        gain: likewise.
        readout: "step", one scale per step; "class", one per step and class; "fixed", nothing.
        encoder: takes the place of the network's own, and is copied.
        stem: with a ``Hybrid`` ``encoder``, "own" or "shared" layers for step 0.
        batch: what the network takes, one sample at least. Needed for "channel", unless neurons have a decay or
            threshold per channel already. It goes through the network once, in eval mode, and leaves no trace.

    Raises:
        TypeError: no module; an encoder that is none.
        ValueError: no neuron, or neurons that no leak and gain per step make (all are named); a T that is not that of
            the encoder, or of what arrives in the network; an encoder for a network that makes its own train; a
            compiled, scripted, patched or hooked network; a first or last layer that nothing tells, that is not lifted,
            or that has a forward of its own; one number per layer where there is one per channel; an unknown switch.
    Source:  He, arXiv 2408.12407, and the code released with it.
    Deviates:  there leak and gain of every step are learned in the baseline too, and the one switch is that of the
        scale; here each has its own, and a baseline is frozen. Channels and classes are additions.

    >>> from functools import partial
    >>> from spikebridge import LIF, Direct, Hybrid
    >>> from spikebridge.models import lenet_cifar
    >>> body = lenet_cifar(activation=partial(LIF, decay_input=True, threshold=0.2))
    >>> network, images = SpikingNetwork(body, encoder=Direct(time_steps=7)), torch.rand(2, 3, 32, 32)
    >>> answers = network(images), network.eval()(images)  # first in training mode, for the norms
    >>> torch.equal(adapt(network, 7)(images), answers[1]), bool(answers[1].std(0).max() > 0)
    (True, True)
    >>> sum(parameter.numel() for parameter in adapt(network, 7, encoder=Hybrid(time_steps=7)).parameters())
    332403
    """
    check_network(model, owner="adapt")
    for name, value, known in (("leak", leak, Grain), ("gain", gain, Grain), ("readout", readout, Readout)):
        check_switch(name, value, known)
    check_switch("stem", stem, Stem)
    require_steps(time_steps, owner="adapt")
    if batch is not None and not isinstance(batch, Tensor):
        raise TypeError(f"adapt expects batch to be a tensor, as the network takes it; got {type(batch).__name__}.")
    neurons = neurons_to_adapt(model)
    replaced = _replaced_encoder(model, encoder)
    codes = [code for code in encoders_of(model) if code is not replaced]
    check_steps(model, time_steps, codes if encoder is None else [*codes, encoder])
    seen = None if batch is None else watch(model, batch)
    if seen is not None and batch is not None:
        steps = time_steps if replaced is None else replaced.time_steps  # as the network is now
        _check_seen(model, seen, steps, batch, makes_values=encoder is not None and replaced is None)
    shapes = _channels(neurons, seen, is_needed="channel" in (leak, gain))
    # What a copy holds in the place of what: deepcopy looks here before it copies.
    memo: dict[int, Any] = {}
    for neuron, name in neurons.items():
        memo[id(neuron)] = made_adaptive(
            neuron, name=name, time_steps=time_steps, leak=leak, gain=gain, channels=shapes[neuron]
        )
    places = Places(model, None if seen is None else seen.order, time_steps, memo)
    places.put_readout(readout)
    places.put_stem(stem, encoder)
    code = None if encoder is None else _settled(encoder, model)
    if replaced is not None:
        memo[id(replaced)] = code
    result = copy.deepcopy(model, memo)
    if code is not None and replaced is None:
        wrapped = SpikingNetwork(result, encoder=code)
        wrapped.training = model.training
        return wrapped
    declare_time(result.body if isinstance(result, SpikingNetwork) else result, time_steps=time_steps)
    return result


def _replaced_encoder(model: nn.Module, encoder: Encoder | None) -> Encoder | None:
    """The encoder that another one takes the place of."""
    if encoder is None:
        return None
    if not isinstance(encoder, Encoder):
        raise TypeError(f"adapt expects encoder to be one, such as Hybrid(time_steps=7); got {encoder!r}.")
    found = encoders_of(model)
    if len(found) > 1:
        names = [f"'{name}' ({type(part).__name__})" for name, part in model.named_modules() if part in found]
        raise ValueError(
            f"adapt expects at most one encoder to replace; {type(model).__name__} has {', '.join(names)}. Leave "
            f"encoder out."
        )
    return found[0] if found else None


def _check_seen(model: nn.Module, seen: Seen, time_steps: int, batch: Tensor, *, makes_values: bool) -> None:
    """Refuse a T that is not that of the trains in the network, and an encoder before a network that has its own way.

    Raises:
        ValueError: names the module.
    """
    names = {part: name for name, part in model.named_modules()}
    for part, steps in seen.steps.items():
        if steps != time_steps:
            raise ValueError(
                f"adapt was told time_steps={time_steps}, but '{names[part]}' ({type(part).__name__}) took a train of "
                f"{steps} steps when the network was given the batch. Pass the same T to both: settings per step hold "
                f"for one T."
            )
    if makes_values and seen.first is not None and seen.first[1:] == batch.shape:
        raise ValueError(
            f"adapt was given an encoder for {type(model).__name__}, which takes values and makes the train itself: "
            f"'{names[seen.order[0]]}' took a train of shape {tuple(seen.first)}, the batch at every step. Take "
            f"out what repeats the values there, so that it takes trains; or leave encoder out."
        )


def _channels(
    neurons: Mapping[Neuron[Any], str], seen: Seen | None, *, is_needed: bool
) -> dict[Neuron[Any], tuple[int, ...]]:
    """The shape of settings per channel, for every neuron; its own alone, where nothing more is needed."""
    own = {neuron: channels_of(neuron) for neuron in neurons}
    missing = [neuron for neuron in neurons if not own[neuron]] if is_needed else []
    if missing and seen is None:
        names = [f"'{neurons[neuron]}'" for neuron in missing]
        raise ValueError(
            f"adapt expects a batch for leak or gain 'channel', to see how many channels {', '.join(names[:4])}"
            f"{f' and {len(names) - 4} more' if len(names) > 4 else ''} have. Pass batch=..., which the network takes; "
            f"one sample will do."
        )
    for neuron in missing:
        units = set() if seen is None else seen.units.get(neuron, set())
        counts = {unit[0] for unit in units if unit}
        if len(counts) != 1:
            got = f"it took units of shapes {sorted(units)}" if units else "nothing arrived there"
            raise ValueError(
                f"adapt expects one number of channels at '{neurons[neuron]}', for a leak or gain of each; {got}. Pass "
                f"'layer', or give each place where it is called a neuron of its own."
            )
        own[neuron] = (counts.pop(),)
    return own


def _settled(encoder: Encoder, model: nn.Module) -> Encoder:
    """A copy on the device of the network, and in its mode."""
    stored = next(chain(model.parameters(), model.buffers()), torch.empty(0))
    return copy.deepcopy(encoder).to(stored.device).train(model.training)
