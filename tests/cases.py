"""The tables the contract suite runs over: every exported class, and the variants worth their own row."""

from __future__ import annotations

import torch

from spikebridge import (
    IF,
    LIF,
    AdaptiveLIF,
    BitPlane,
    Direct,
    GroupNeuron,
    Latency,
    Neuron,
    Phase,
    Rectangular,
    by_subtraction,
    detached,
    never,
    to_zero,
)
from spikebridge.core import SURROGATES, Encoder
from spikebridge.core.ranges import MEASURED
from spikebridge.encoders import ENCODERS, BinaryLevel, Hybrid
from spikebridge.neurons import NEURONS

CHANNELS = 3
PER_CHANNEL = torch.tensor([0.5, 1.0, 2.0])

NEURON_VARIANTS: dict[str, Neuron] = {
    "Adaptive T=6": AdaptiveLIF(time_steps=6, leak=torch.linspace(0.1, 0.9, 6), gain=torch.linspace(1.2, 0.4, 6)),
    "Adaptive per channel": AdaptiveLIF(
        time_steps=6, channels=CHANNELS, gain=torch.linspace(0.4, 1.5, 18).reshape(6, CHANNELS), threshold=PER_CHANNEL
    ),
    "Adaptive hard reset": AdaptiveLIF(time_steps=6, reset=detached(to_zero), learn_leak=False, learn_gain=False),
    "IF hard reset": IF(reset=to_zero),
    "IF converted": IF(threshold=0.7, spike_value=0.7, rest=0.5),
    "IF per channel": IF(threshold=PER_CHANNEL, spike_value=PER_CHANNEL, rest=0.25),
    "LIF hard reset": LIF(reset=to_zero),
    "LIF decay input": LIF(decay=0.75, decay_input=True, threshold=0.4),
    "LIF learned": LIF(decay=0.9, learn_decay=True),
    "LIF per channel": LIF(decay=torch.tensor([0.1, 0.5, 0.9]), threshold=PER_CHANNEL, learn_decay=True),
    "LIF detached": LIF(reset=detached(by_subtraction), surrogate=Rectangular(width=2.0)),
    "IF that never resets": IF(threshold=PER_CHANNEL, rest=0.5, reset=never),
    "LIF that never resets": LIF(decay=0.75, decay_input=True, threshold=0.4, reset=never),
    "LIF that never resets, learned": LIF(decay=0.9, learn_decay=True, reset=never),
    "Group one member": GroupNeuron(members=1),
    "Group three members": GroupNeuron(members=3, threshold=0.6),
    "Group per channel": GroupNeuron(members=4, threshold=PER_CHANNEL),
    "Group signed": GroupNeuron(members=4, signed=True),
    "Group signed per channel": GroupNeuron(members=2, threshold=PER_CHANNEL, signed=True),
    "Group negative": GroupNeuron(members=16, negative=True),
}
NEURON_CASES: dict[str, Neuron] = {**{name: kind() for name, kind in NEURONS.items()}, **NEURON_VARIANTS}

ENCODER_VARIANTS: dict[str, Encoder] = {
    "BitPlane highest first": BitPlane(bits=6, order="msb"),
    "BitPlane tanh": BitPlane(bits=6, surrogate="tanh_sine"),
    "BitPlane straight through": BitPlane(bits=6, surrogate="straight_through"),
    "BitPlane reversed": BitPlane(bits=6, weights="reversed"),
    "BitPlane learned": BitPlane(bits=6, weights="learned"),
    "BitPlane graded": BitPlane(bits=6, graded=True, surrogate="straight_through"),
    "BitPlane graded reversed": BitPlane(bits=6, graded=True, weights="reversed", surrogate="straight_through"),
    "Latency with silence": Latency(time_steps=3, levels=4),
    "Latency from 1 to 0": Latency(thresholds=torch.tensor([1.0, 0.3, 0.0])),
    "Latency equal mass reference": Latency(thresholds="equal-mass", last_frame="reference"),
    "Latency given silent": Latency(thresholds=(0.9, 0.6, 0.2), last_frame="silent"),
    "Hybrid of binary levels": Hybrid(Direct(time_steps=1), BinaryLevel(bits=4)),
    "Hybrid of spikes": Hybrid(Latency(time_steps=4), Phase(time_steps=5)),
}
ENCODER_CASES: dict[str, Encoder] = {
    **{name: kind() for name, kind in ENCODERS.items()},
    **{f"{name} T=1": kind(time_steps=1) for name, kind in ENCODERS.items()},
    **{f"{name} T=5": kind(time_steps=5) for name, kind in ENCODERS.items()},
    **{
        f"{name} on [-2, 3]": kind(time_steps=6, value_range=(-2.0, 3.0))
        for name, kind in ENCODERS.items()
        if name != "Direct"
    },
    **{
        f"{name} of a {measured} range": kind(time_steps=6, value_range=measured)
        for name, kind in ENCODERS.items()
        for measured in MEASURED
        if name != "Direct"
    },
    **ENCODER_VARIANTS,
}

SURROGATE_CASES = {name: kind() for name, kind in SURROGATES.items()}


def currents(
    neuron: Neuron | None = None, *, time: int = 6, batch: int = 4, unit: tuple[int, ...] = (CHANNELS, 5)
) -> torch.Tensor:
    """Random signed currents that make every neuron of the table spike in some steps and not in others.

    As many steps as ``neuron`` is made for; ``time``, if it is made for any number.
    """
    fixed = None if neuron is None else neuron.time_steps
    return torch.randn(fixed or time, batch, *unit) * 0.8 + 0.3
