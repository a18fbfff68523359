"""Settings that do not fit one another or the data are refused in one message that says what to do."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from spikebridge.methods.code_config import CodeConfig
from spikebridge.methods.config import DataConfig, ModelConfig, ObjectiveConfig, TrainConfig
from spikebridge.methods.hybrid_config import HybridConfig
from spikebridge.methods.neuron_config import NeuronConfig

from .spiking_models import ON, OWN, built, spiking

BAD: dict[str, tuple[Callable[[], object], str]] = {
    "adaptive ANN": (lambda: ModelConfig(adaptive=ON), "model.adaptive is for a spiking network, whose model.activa"),
    "code of an ANN": (
        lambda: ModelConfig(activation="ReLU", code=CodeConfig(last_frame="silent")),
        "model.code is for a spiking network, whose model.activation is a neuron; this one is an ANN of ReLU. Leave",
    ),
    "norm of hybrid blocks": (lambda: ModelConfig(name="has_resnet", norm="reference"), "this one is hybrid blocks."),
    "digits of another code": (
        lambda: HybridConfig(code="Latency", surrogate="sig_sine"),
        "model.hybrid.surrogate: of BitPlane; model.hybrid.code is Latency, which has no such setting. Leave it out",
    ),
    "hybrid of one step": (lambda: spiking(time_steps=1), "expects model.time_steps >= 2; got 1. Take Direct for one"),
    "own stem without hybrid": (
        lambda: spiking(encoder="Direct", adaptive=OWN),
        "model.adaptive.stem 'own' is for a code whose first step is unlike the others, Hybrid; got model.encoder Di",
    ),
    "two kinds of learned decays": (
        lambda: spiking(neuron=NeuronConfig(learn_decay=True), adaptive=ON),
        "model.neuron.learn_decay learns one decay for all steps, and model.adaptive one for each or none; got both.",
    ),
    "a frame of another code": (
        lambda: spiking(code=CodeConfig(last_frame="strict")),
        "model.code.last_frame is of Latency; got model.encoder Hybrid. Leave it out, or take --model.encoder Latency.",
    ),
    "counts of a code": (lambda: spiking(code=CodeConfig(counts="kept")), "model.code.counts is of Recorded; got"),
    "thresholds of digits": (
        lambda: spiking(code=CodeConfig(rest="BinaryLevel", thresholds="uniform")),
        "model.code.thresholds is of Latency; got model.code.rest BinaryLevel.",
    ),
    "unknown rest": (lambda: CodeConfig(rest="Latncy"), "model.code.rest expects a name it knows; got 'Latncy'. Did"),
    "no largest": (lambda: CodeConfig(largest=0.0), "model.code.largest expects a number > 0; got 0.0."),
    "decay of an IF": (
        lambda: spiking(activation="IF", neuron=NeuronConfig(decay=0.3)),
        "model.neuron.decay is of LIF; got model.activation IF. Leave it out, or take one of these.",
    ),
    "reset of a group": (
        lambda: spiking(activation="GroupNeuron", neuron=NeuronConfig(detach_reset=True)),
        "model.neuron.detach_reset is of AdaptiveLIF, IF, LIF; got model.activation GroupNeuron.",
    ),
    "threshold": (lambda: NeuronConfig(threshold=-1.0), "model.neuron.threshold expects a number > 0; got -1.0."),
    "surrogate": (lambda: NeuronConfig(surrogate="Atan"), "model.neuron.surrogate expects a name it knows; got 'Atan'"),
    "heads of a lenet": (
        lambda: spiking(heads=2),
        "model.heads is of spikformer; got model.name lenet_cifar. Leave it out, or take spikformer.",
    ),
    "block of a cnn": (lambda: ModelConfig(block="ms"), "model.block is of spiking_resnet; got model.name cnn."),
    "no head": (lambda: ModelConfig(name="spikformer", heads=0), "model.heads expects a number >= 1; got 0."),
    "a group neuron": (
        lambda: built(spiking(activation="GroupNeuron", adaptive=ON)),
        "'body.activation1' (GroupNeuron)",
    ),
    "images as recordings": (
        lambda: built(spiking(encoder="Recorded")),
        "model.encoder Recorded expects recordings [time, channels, height, width]; the data has samples of shape [1,",
    ),
    "recordings as images": (
        lambda: built(spiking(), (4, 2, 8, 8)),
        "model.name 'lenet_cifar' expects images; the data has recordings [time, channels, height, width] of shape [4",
    ),
    "another number of frames": (
        lambda: built(spiking(encoder="Recorded"), (5, 2, 8, 8)),
        "model.time_steps expects the frames of a recording, 5; got 4. Pass --model.time_steps 5, or load",
    ),
    "no square": (lambda: built(spiking(), (1, 8, 9)), "expects square images [channels, height, width]; the data"),
    "two numbers of frames": (
        lambda: TrainConfig(name="x", data=DataConfig(time_steps=5), model=spiking(encoder="Recorded")),
        "data.time_steps and model.time_steps are one T for recordings; got 5 and 4. Leave data.time_steps out:",
    ),
    "frames of images": (
        lambda: TrainConfig(name="x", data=DataConfig(time_steps=5), model=spiking()),
        "data.time_steps is of recordings, which model.encoder Recorded takes; got 5 and model.encoder Hybrid.",
    ),
    "mirrored recordings": (
        lambda: TrainConfig(name="x", data=DataConfig(erase=0.1), model=spiking(encoder="Recorded")),
        "data.augment, data.policy and data.erase change images; got model.encoder Recorded, whose values are recor",
    ),
    "an end without mixup": (
        lambda: ObjectiveConfig(mixup_until=3),
        "objective.mixup_until says when mixup ends; got 3 and objective.mixup 0, which mixes nothing.",
    ),
    "mixup of no epoch": (lambda: ObjectiveConfig(mixup=1.0, mixup_until=0), "mixup_until expects a number >= 1"),
    "magnitude": (lambda: DataConfig(magnitude=31), "data.magnitude expects a number in [0, 30]; got 31."),
    "operations": (lambda: DataConfig(operations=0), "data.operations expects a number >= 1; got 0."),
    "no training sample": (lambda: DataConfig(train=0), "data.train expects a number >= 1; got 0."),
    "erase": (lambda: DataConfig(erase=1.5), "data.erase expects a number in [0, 1]; got 1.5."),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_refused_in_one_message(case: str) -> None:
    make, message = BAD[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
