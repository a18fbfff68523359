"""From settings to networks: what they name is what is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikebridge import (
    IF,
    LIF,
    QCFS,
    AdaptiveLIF,
    BinaryLevel,
    Direct,
    Hybrid,
    HybridStem,
    Latency,
    SpikingNetwork,
    Strict,
    by_subtraction,
    detached,
    never,
    to_zero,
)
from spikebridge.blocks import StepNorm, StepReadout
from spikebridge.blocks.step_norm import Mode
from spikebridge.core import Encoder, Neuron, OverTime
from spikebridge.encoders import Recorded
from spikebridge.methods.adaptive_config import AdaptiveConfig
from spikebridge.methods.build import build_learner, code_of, split_for
from spikebridge.methods.code_config import CodeConfig
from spikebridge.methods.config import DataConfig, ModelConfig, ObjectiveConfig, TrainConfig
from spikebridge.methods.neuron_config import NeuronConfig
from spikebridge.methods.settings import as_plain, read_config, write_config
from spikebridge.methods.step_norms import with_step_norms
from spikebridge.models import cnn, lenet, lenet_cifar, resnet
from spikebridge.models.published import ms_neuron, sew_neuron, spikformer_neuron
from spikebridge.training import CropFlip, CrossEntropy, Mixup
from spikebridge.training.policies import EachImage

from .spiking_models import ON, OWN, built, spiking

QCFS_8 = partial(QCFS, levels=8)

OLD: dict[str, tuple[ModelConfig, tuple[int, ...], Callable[[], nn.Module]]] = {
    "nothing set": (ModelConfig(), (1, 8, 8), lambda: cnn(activation=QCFS_8)),
    "resnet": (
        ModelConfig(name="resnet", depth=20),
        (3, 32, 32),
        lambda: resnet(depth=20, in_channels=3, activation=QCFS_8),
    ),
    "lenet of ReLU": (
        ModelConfig(name="lenet", activation="ReLU"),
        (1, 28, 28),
        lambda: lenet(in_channels=1, image_size=28, activation=nn.ReLU),
    ),
    "a spiking one": (
        ModelConfig(activation="LIF", time_steps=3),
        (1, 8, 8),
        lambda: SpikingNetwork(cnn(activation=LIF), encoder=Direct(time_steps=3)),
    ),
    "another code": (
        ModelConfig(name="lenet_cifar", activation="LIF", encoder="Hybrid"),
        (3, 8, 8),
        lambda: SpikingNetwork(lenet_cifar(classes=10, image_size=8, activation=LIF), encoder=Hybrid(time_steps=4)),
    ),
}


@pytest.mark.parametrize("case", OLD)
def test_what_nobody_sets_is_the_builders_own(case: str) -> None:
    config, unit, build = OLD[case]
    torch.manual_seed(5)
    expected, found = build(), built(config, unit)
    assert str(found) == str(expected)
    own, theirs = found.state_dict(), expected.state_dict()
    assert list(own) == list(theirs)
    assert all(torch.equal(value, theirs[name]) for name, value in own.items())


def test_what_nobody_sets_is_learned_as_ever() -> None:
    config = TrainConfig(name="x")
    learner = build_learner(config, built(config.model), classes=10, compiled=False)
    assert (learner.augment, learner.mix, learner.objective) == (None, None, CrossEntropy())
    config = replace(config, data=DataConfig(augment="crop-flip"), objective=ObjectiveConfig(mixup=0.3))
    learner = build_learner(config, built(config.model), classes=10, compiled=False)
    assert learner.augment.changes == (CropFlip(padding=4),)  # type: ignore[union-attr]
    assert learner.mix == Mixup(alpha=0.3, classes=10)


def test_changes_of_images_come_in_the_order_of_the_settings() -> None:
    data = DataConfig(augment="crop-flip", padding=0, policy="rand-augment", operations=3, magnitude=7, erase=0.25)
    config = TrainConfig(name="x", data=data, objective=ObjectiveConfig(mixup=1.0, mixup_until=2))
    learner = build_learner(config, built(config.model), classes=10, compiled=False)
    shift, policy, erase = learner.augment.changes  # type: ignore[union-attr]
    assert shift == CropFlip(padding=0)
    assert isinstance(policy, EachImage)
    assert (policy.transform.num_ops, policy.transform.magnitude) == (3, 7)  # type: ignore[attr-defined]
    assert erase.transform.p == 0.25
    assert (learner.mix.epochs, learner.mix.now()) == (2, 0)  # type: ignore[union-attr]


PUBLISHED: dict[str, tuple[str, NeuronConfig, Callable[[], Neuron]]] = {
    "sew": ("IF", NeuronConfig(reset="zero", detach_reset=True, surrogate="ATan"), sew_neuron),
    "ms": (
        "LIF",
        NeuronConfig(decay=0.25, threshold=0.5, reset="zero", detach_reset=True, surrogate="Rectangular"),
        ms_neuron,
    ),
    "spikformer": ("LIF", NeuronConfig(decay_input=True, reset="zero", detach_reset=True), spikformer_neuron),
    "detached alone": ("LIF", NeuronConfig(detach_reset=True), lambda: LIF(reset=detached(by_subtraction))),
    "none": ("LIF", NeuronConfig(reset="never", surrogate="Strict"), lambda: LIF(reset=never, surrogate=Strict())),
    "hard alone": ("IF", NeuronConfig(reset="zero"), lambda: IF(reset=to_zero)),
    "learned": ("LIF", NeuronConfig(learn_decay=True), lambda: LIF(learn_decay=True)),
}


@pytest.mark.parametrize("case", PUBLISHED)
def test_published_neurons_can_be_spelled(case: str) -> None:
    activation, neuron, published = PUBLISHED[case]
    network = built(ModelConfig(name="cnn", activation=activation, neuron=neuron))
    ours = next(module for module in network.modules() if isinstance(module, Neuron))
    ours.time_steps = None
    found = []
    for each in (ours, published()):
        torch.manual_seed(1)
        currents = torch.randn(6, 3, 4, requires_grad=True)
        train = each(currents)
        (train * torch.randn(6, 3, 4)).sum().backward()
        found.append((train, currents.grad))
    assert found[0][0].sum() > 0
    for mine, theirs in zip(*found, strict=True):
        assert torch.equal(mine, theirs)


CODES: dict[str, tuple[ModelConfig, Encoder]] = {
    "latency": (
        spiking(encoder="Latency", code=CodeConfig(thresholds="equal-mass", last_frame="silent")),
        Latency(time_steps=4, thresholds="equal-mass", last_frame="silent"),
    ),
    "given": (
        spiking(encoder="Latency", time_steps=2, code=CodeConfig(thresholds=(0.7, 0.2))),
        Latency(thresholds=(0.7, 0.2)),
    ),
    "hybrid": (spiking(), Hybrid(time_steps=4)),
    "hybrid, said": (spiking(code=CodeConfig(thresholds="uniform")), Hybrid(time_steps=4)),
    "hybrid, equal mass": (
        spiking(code=CodeConfig(thresholds="equal-mass")),
        Hybrid(rest=Latency(time_steps=3, levels=4, thresholds="equal-mass")),
    ),
    "hybrid, given": (
        spiking(code=CodeConfig(thresholds=(0.9, 0.4, 0.1))),
        Hybrid(rest=Latency(thresholds=(0.9, 0.4, 0.1))),
    ),
    "hybrid of digits": (spiking(code=CodeConfig(rest="BinaryLevel")), Hybrid(rest=BinaryLevel(bits=3))),
    "digits": (spiking(encoder="BinaryLevel"), BinaryLevel(bits=4)),
}


@pytest.mark.parametrize("case", CODES)
def test_codes_are_those_named(case: str) -> None:
    config, expected = CODES[case]
    found, values = code_of(config), torch.linspace(0, 1, 101)
    assert type(found) is type(expected)
    assert torch.equal(found(values), expected(values))


SWITCHES = {
    "leak": (AdaptiveConfig(leak="layer"), {"leak": (4,)}),
    "gain by channel": (AdaptiveConfig(gain="channel"), {"gain": (4, None)}),
    "readout": (AdaptiveConfig(readout="step"), {"scale": (4,)}),
    "readout by class": (AdaptiveConfig(readout="class"), {"scale": (4, 10)}),
    "all": (ON, {"leak": (4,), "gain": (4,), "scale": (4,)}),
}


@pytest.mark.parametrize("case", SWITCHES)
def test_each_switch_learns_its_own_and_changes_nothing_yet(case: str) -> None:
    adaptive, expected = SWITCHES[case]
    frozen, found, values = built(spiking()).eval(), built(spiking(adaptive=adaptive)).eval(), torch.rand(3, 1, 8, 8)
    assert torch.equal(found(values), frozen(values))
    before = {name for name, _ in frozen.named_parameters()}
    learned = {
        name: parameter
        for name, parameter in found.named_parameters()
        if name.rpartition(".")[2] in ("leak", "gain", "scale")
    }
    assert {name.rpartition(".")[2] for name in learned} == set(expected)
    assert len({name for name, _ in found.named_parameters()} - set(learned)) == len(before)
    for name, parameter in learned.items():
        shape = expected[name.rpartition(".")[2]]
        assert len(parameter.shape) == len(shape)
        assert all(
            size in (wanted, None) or wanted is None for size, wanted in zip(parameter.shape, shape, strict=True)
        )


def test_an_own_stem_starts_with_the_same_weights() -> None:
    (shared, own), values = (built(spiking(adaptive=each)).eval() for each in (ON, OWN)), torch.rand(3, 1, 8, 8)
    assert torch.equal(shared(values), own(values))
    assert [isinstance(network.body.stem, HybridStem) for network in (shared, own)] == [False, True]


def test_frozen_neurons_of_an_own_stem_learn_nothing_for_steps() -> None:
    network = built(spiking(adaptive=AdaptiveConfig(stem="own")))
    assert isinstance(network.body.stem, HybridStem)
    names = [name.rpartition(".")[2] for name, _ in network.named_parameters()]
    assert not {"leak", "gain", "scale"} & set(names)


@pytest.mark.parametrize("adaptive", [AdaptiveConfig(), ON, OWN], ids=["frozen", "on", "own stem"])
@pytest.mark.parametrize("mode", [mode for mode in get_args(Mode) if mode != "joint"])
def test_norms_of_steps_take_the_places_of_the_others(mode: Any, adaptive: AdaptiveConfig) -> None:
    joint, found = (built(spiking(adaptive=adaptive, norm=norm)) for norm in ("joint", mode))
    norms = [module for module in found.modules() if isinstance(module, StepNorm)]
    left = [module for module in found.modules() if isinstance(module, _BatchNorm)]
    assert (len(norms), len(left)) == ((3, 2) if adaptive.stem == "own" else (4, 0))
    assert {(norm.mode, norm.time_steps) for norm in norms} == {(mode, 4)}
    values = torch.rand(6, 1, 8, 8)
    assert torch.equal(found.eval()(values), joint.eval()(values))  # before any batch was seen
    # In training each step has statistics of its own, or what it may learn is not learned yet.
    is_changed = not torch.equal(found.train()(values), joint.train()(values))
    assert is_changed == (mode in ("per-step", "reference"))
    learned = {name.rpartition(".")[2] for name, _ in found.named_parameters()} - {
        name.rpartition(".")[2] for name, _ in joint.named_parameters()
    }
    has_scales = adaptive.readout != "fixed"
    expected = {"step-scale": {"scale"}, "step-affine": {"scale", "shift"}}.get(mode, set())
    assert learned == expected - ({"scale"} if has_scales else set())
    assert norms[-1].label  # it was told its name, so that an error can say it


def test_scale_and_shift_of_a_norm_are_kept() -> None:
    norm = nn.BatchNorm2d(3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    network = nn.Sequential(OverTime(nn.Conv2d(1, 3, 3), norm))
    before = {id(parameter) for parameter in network.parameters()}
    changed = with_step_norms(network, time_steps=2, mode="per-step")
    assert {id(parameter) for parameter in changed.parameters()} == before


def test_a_norm_within_lifted_layers_is_refused() -> None:
    network = nn.Sequential(nn.Sequential(OverTime(nn.BatchNorm1d(3), nn.Linear(3, 2))))
    with pytest.raises(ValueError, match=r"expects a BatchNorm to be the last .* '0\.0' has more behind it"):
        with_step_norms(network, time_steps=2, mode="per-step")
    with pytest.raises(ValueError, match="expects a network with BatchNorm; got one without"):
        with_step_norms(nn.Sequential(OverTime(nn.Linear(3, 2))), time_steps=2, mode="reference")


def test_recordings_are_taken_as_they_are() -> None:
    config = spiking(encoder="Recorded", time_steps=6, code=CodeConfig(counts="clipped", largest=2.0), adaptive=ON)
    network = built(config, (6, 2, 10, 10))
    assert isinstance(network.encoder, Recorded)
    assert (network.encoder.counts, network.encoder.largest) == ("clipped", 2.0)
    assert network.train_out(torch.ones(3, 6, 2, 10, 10)).shape == (6, 3, 10)
    assert sum(isinstance(module, AdaptiveLIF) for module in network.modules()) == 4
    assert isinstance(network.body.readout, StepReadout) or isinstance(network.body.readout[-1], StepReadout)


def test_all_settings_come_back_from_a_file(tmp_path: Path) -> None:
    model = spiking(
        name="spiking_resnet",
        stages=(1, 2),
        stem_width=8,
        zero_init=True,
        block="ms",
        neuron=NeuronConfig(decay=0.25, surrogate="ATan"),
        code=CodeConfig(thresholds=(0.7, 0.5, 0.1)),
        adaptive=AdaptiveConfig(leak="channel", stem="own"),
        norm="per-step",
    )
    data = DataConfig(policy="auto-augment", erase=0.5)
    config = TrainConfig(name="x", model=model, data=data, objective=ObjectiveConfig(mixup=0.5, mixup_until=3))
    write_config(config, tmp_path / "config.yaml")
    assert read_config(tmp_path / "config.yaml") == config
    assert as_plain(config)["model"]["adaptive"]["leak"] == "channel"


def test_a_run_may_take_fewer_samples_and_is_tested_on_all() -> None:
    whole = split_for(TrainConfig(name="x"))
    few = split_for(TrainConfig(name="x", data=DataConfig(train=50, validation=20)))
    assert [len(part) for part in few] == [50, 20, len(whole.test)]
    assert set(few.train.rows.tolist()) < set(whole.train.rows.tolist())
    assert set(few.validation.rows.tolist()) < set(whole.validation.rows.tolist())
