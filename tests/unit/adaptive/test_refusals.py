"""What cannot be made adaptive: said before anything is built, with the names of the layers."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikebridge import (
    IF,
    LIF,
    AdaptiveLIF,
    Direct,
    EachStep,
    GroupNeuron,
    Hybrid,
    HybridBlock,
    HybridStem,
    Latency,
    OverTime,
    RateDecoder,
    SpikingNetwork,
    StepNorm,
    StepReadout,
    convert,
)
from spikebridge.adaptive import adapt, fold_adaptive, step_profile
from spikebridge.models import lenet_cifar

from .networks import STEPS, Own, images, own, spiking


def body(*neurons: nn.Module) -> nn.Sequential:
    layers = [layer for neuron in neurons for layer in (OverTime(nn.Linear(3, 3)), neuron)]
    return nn.Sequential(*layers, OverTime(nn.Linear(3, 2)))


class OwnStep(LIF):
    def step(self, current: Tensor, state: Any) -> Any:
        return super().step(current.clamp(min=0), state)


class OwnDecay(LIF):
    @property
    def decay(self) -> Tensor:
        return self.fixed_decay**2


def own_forward() -> nn.Sequential:
    network = body(LIF())
    network[0].forward = lambda train: train
    return network


class LearnedThreshold(LIF):
    def __init__(self) -> None:
        super().__init__()
        del self.threshold
        self.threshold = nn.Parameter(torch.tensor(0.5))


class Tied(nn.Module):
    """Its first layers are its last."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.neuron = OverTime(nn.Linear(3, 3)), LIF()

    def forward(self, train: Tensor) -> Tensor:
        return self.layers(self.neuron(self.layers(train)))


class Doubled(OverTime):
    def forward(self, train: Tensor) -> Tensor:
        return 2 * super().forward(train)


class OwnReadout(StepReadout):
    def forward(self, train: Tensor) -> Tensor:
        return 2 * super().forward(train)


def hooked(index: int) -> nn.Sequential:
    network = body(LIF())
    network[index].register_forward_hook(lambda module, args, train: 0 * train)
    return network


TRAIN = torch.rand(STEPS, 2, 3)
MODELS: dict[str, tuple[Any, str]] = {
    "no module": (lambda: torch.relu, "adapt expects an nn.Module; got builtin_function_or_method"),
    "an ANN": (lambda: lenet_cifar(), "adapt expects a spiking network; Sequential has no neuron. Build it with one,"),
    "compiled": (lambda: torch.compile(body(LIF())), "The network is compiled; adapt takes the original (._orig_mod)."),
    "compiled in part": (
        lambda: nn.Sequential(torch.compile(body(LIF()), backend="eager"), OverTime(nn.ReLU())),
        "'0' in the network is compiled",
    ),
    "scripted": (lambda: nn.Sequential(torch.jit.trace(nn.ReLU(), TRAIN), LIF()), "The network is scripted; adapt"),
    "patched": (own_forward, "The forward of '0' (OverTime) was put into the object"),
    "hooks of a neuron": (
        lambda: hooked(1),
        "There are hooks on '1' (LIF), which adapt would lose with what it replaces.",
    ),
    "hooks of a readout": (lambda: hooked(2), "There are hooks on '2' (OverTime), which adapt would lose"),
    "a readout of its own": (
        lambda: nn.Sequential(*body(LIF())[:2], Doubled(nn.Linear(3, 2))),
        "adapt builds the layers in '2' anew; its class Doubled has a forward of its own, which would be lost. Put "
        "what it adds in a module beside plain layers, or pass readout='fixed'.",
    ),
    "a scaled readout of its own": (
        lambda: nn.Sequential(*body(LIF())[:2], OwnReadout(nn.Linear(3, 2), time_steps=STEPS)),
        "its class OwnReadout has a forward of its own, which would be lost.",
    ),
    "a learned threshold": (
        lambda: body(LearnedThreshold()),
        "'1' (LearnedThreshold) has a threshold that is learned, where AdaptiveLIF has a fixed one",
    ),
    "other neurons": (
        lambda: body(GroupNeuron(), LIF(), IF(rest=0.5), IF(spike_value=0.7), OwnStep(), OwnDecay()),
        "adapt cannot make 5 of 6 neurons of Sequential adaptive: '1' (GroupNeuron) no LIF, IF or AdaptiveLIF; "
        "'5' (IF) starts at rest = 0.5, where AdaptiveLIF starts at 0; '7' (IF) has a spike_value other than 1, which "
        "AdaptiveLIF sends; '9' (OwnStep) has a step of its own, which is not that of LIF; '11' (OwnDecay) has a decay "
        "of its own",
    ),
    "another T of neurons and norms": (
        lambda: nn.Sequential(StepNorm(3, time_steps=6), *body(AdaptiveLIF(time_steps=5))),
        "adapt was told time_steps=4, but '0' (StepNorm) was built for 6; '2' (AdaptiveLIF) was built for 5.",
    ),
    "another T of the code": (
        lambda: SpikingNetwork(body(LIF()), encoder=Latency(time_steps=5)),
        "adapt was told time_steps=4, but Latency has time_steps=5. Pass the same T to both",
    ),
    "another T as the dial": (
        lambda: (
            convert(
                nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2)).eval(),
                torch.rand(8, 3),
                neuron=lambda site: LIF(threshold=site.threshold),
                time_steps=2,
            ).model
        ),
        "adapt was told time_steps=4, but ConvertedNetwork runs 2",
    ),
    "folded": (
        lambda: fold_adaptive(adapt(spiking("lenet_cifar"), STEPS)).model,
        "adapt expects a network to train; 'body.stem.1' (StepAffine) was folded",
    ),
    "a readout that is not lifted": (
        lambda: nn.Sequential(OverTime(nn.Linear(3, 3)), LIF(), nn.Sequential(RateDecoder(), nn.Linear(3, 2))),
        "adapt expects the last layers of Sequential to be lifted with OverTime; the last to take trains is '1' (LIF). "
        "Lift them, OverTime(nn.Linear(...)), and name them 'readout', or pass a batch to watch, or pass "
        "readout='fixed'.",
    ),
    "a readout step by step": (
        lambda: nn.Sequential(OverTime(nn.Linear(3, 3)), LIF(), EachStep(nn.Linear(3, 2))),
        "the last to take trains is '2' (EachStep). Lift them, OverTime(nn.Linear(...))",
    ),
    "ends that nothing tells": (
        lambda: Own(),
        "the last layers of Own to be lifted with OverTime; nothing tells which",
    ),
    "a decay for every channel": (
        lambda: body(LIF(decay=torch.rand(3))),
        "adapt was asked for one leak per step in '1', whose LIF has one per channel. Pass leak='channel', or",
    ),
}


@pytest.mark.parametrize("case", MODELS)
def test_networks_that_cannot_be_are_refused(case: str) -> None:
    make, message = MODELS[case]
    with pytest.raises(TypeError if case == "no module" else ValueError, match=re.escape(message)):
        adapt(make(), STEPS)


SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "leak": ({"leak": "none"}, "adapt expects leak to be one of 'fixed', 'layer', 'channel'; got 'none'."),
    "gain": ({"gain": True}, "adapt expects gain to be one of 'fixed', 'layer', 'channel'; got True."),
    "readout": ({"readout": "layer"}, "adapt expects readout to be one of 'fixed', 'step', 'class'; got 'layer'."),
    "stem": ({"stem": "both"}, "adapt expects stem to be one of 'own', 'shared'; got 'both'."),
    "the T of a new code": (
        {"encoder": Hybrid(time_steps=6)},
        "adapt was told time_steps=4, but Hybrid has time_steps=6.",
    ),
    "channels unseen": (
        {"gain": "channel"},
        "adapt expects a batch for leak or gain 'channel', to see how many channels 'body.activation1', "
        "'body.activation2', 'body.activation3', 'body.activation4' have. Pass batch=..., which the network takes",
    ),
    "numbers at later steps": (
        {"encoder": Hybrid(Direct(time_steps=2), Latency(time_steps=2))},
        "this Hybrid sends numbers at other steps as well, is_spiking = (False, False, True, True). Pass Hybrid(Direct",
    ),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_that_cannot_be_are_refused(case: str) -> None:
    settings, message = SETTINGS[case]
    network = spiking("lenet_cifar")
    before = copy.deepcopy(network)
    with pytest.raises(ValueError, match=re.escape(message)):
        adapt(network, STEPS, **settings)
    assert str(network) == str(before)


def test_times_and_codes_of_another_type_are_refused() -> None:
    with pytest.raises(TypeError, match=r"adapt expects time_steps to be an int; got 4\.0"):
        adapt(body(LIF()), 4.0)
    with pytest.raises(ValueError, match="adapt expects time_steps >= 1; got 0"):
        adapt(body(LIF()), 0)
    with pytest.raises(TypeError, match=r"adapt expects encoder to be one, such as Hybrid\(time_steps=7\); got"):
        adapt(body(LIF()), 4, encoder=nn.Identity())
    blocks = nn.Sequential(*(HybridBlock(body(LIF()), Direct(time_steps=4)) for _ in range(2)))
    message = r"at most one encoder to replace; Sequential has '0.encoder' \(Direct\), '1.encoder' \(Direct\)"
    with pytest.raises(ValueError, match=message):
        adapt(blocks, 4, encoder=Hybrid(time_steps=4), readout="fixed")


def test_stems_that_are_not_lifted_together_are_refused() -> None:
    code = Hybrid(time_steps=STEPS)
    doubled = nn.Sequential(Doubled(nn.Linear(3, 3)), *body(LIF())[1:])
    with pytest.raises(ValueError, match=r"in '0' anew; its class Doubled has a forward .* or pass stem='shared'"):
        adapt(doubled, STEPS, encoder=code)
    assert isinstance(adapt(doubled, STEPS, encoder=code, stem="shared"), SpikingNetwork)
    alone = nn.Sequential(LIF(), OverTime(nn.Linear(3, 2)))
    with pytest.raises(ValueError, match=r"the first layers of Sequential .* the first to take trains is '0' \(LIF\)"):
        adapt(alone, STEPS, encoder=code)
    assert isinstance(adapt(alone, STEPS, encoder=code, stem="shared"), SpikingNetwork)
    looped = SpikingNetwork(Own(lift=EachStep), encoder=Direct(time_steps=STEPS)).eval()
    with pytest.raises(
        ValueError, match=r"first to take trains is 'body.sees' \(EachStep\).* name them 'stem', or pass s"
    ):
        adapt(looped, STEPS, encoder=code, readout="fixed", batch=images())
    hybrid = adapt(spiking("lenet_cifar"), STEPS, encoder=code)
    with pytest.raises(ValueError, match=r"asked for a shared stem; 'body.stem' has layers of its own for step 0"):
        adapt(hybrid, STEPS, encoder=code, stem="shared")
    again, values = adapt(hybrid, STEPS, encoder=code, gain="fixed"), images()
    assert torch.equal(again(values), hybrid(values))


def test_a_scaled_readout_of_its_own_is_not_frozen_either() -> None:
    network = nn.Sequential(*body(LIF())[:2], OwnReadout(nn.Linear(3, 2), time_steps=STEPS))
    with pytest.raises(ValueError, match="its class OwnReadout has a forward of its own, which would be lost"):
        adapt(network, STEPS, readout="fixed")


def test_layers_that_are_first_and_last_are_not_given_both() -> None:
    network = SpikingNetwork(Tied(), encoder=Direct(time_steps=STEPS))
    settings = {"encoder": Hybrid(time_steps=STEPS), "batch": TRAIN[0]}
    with pytest.raises(ValueError, match=r"'body\.layers' is both\. Pass stem='shared' or readout='fixed'"):
        adapt(network, STEPS, **settings)
    assert isinstance(adapt(network, STEPS, readout="fixed", **settings).body.layers, HybridStem)
    assert isinstance(adapt(network, STEPS, stem="shared", **settings).body.layers, StepReadout)


def test_a_scale_for_every_class_needs_a_linear_layer_last() -> None:
    network = nn.Sequential(OverTime(nn.Linear(3, 3)), LIF(), OverTime(nn.Linear(3, 2), nn.LogSoftmax(-1)))
    with pytest.raises(ValueError, match=r"readout that ends in nn\.Linear; '2' ends in LogSoftmax"):
        adapt(network, STEPS, readout="class")
    scaled = adapt(network, STEPS)
    with pytest.raises(ValueError, match=r"readout that ends in nn\.Linear; '2' ends in Sequential"):
        adapt(scaled, STEPS, readout="class")


def test_a_neuron_that_the_forward_does_not_call_has_no_channels() -> None:
    network, values = own(), images()
    network.spare = LIF()
    with pytest.raises(ValueError, match=r"channels at 'spare', for a leak or gain of each; nothing arrived there"):
        adapt(network, STEPS, gain="channel", batch=values)
    assert torch.equal(adapt(network, STEPS, batch=values)(values), network(values))


def test_profiles_and_folds_of_other_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="record_spikes found no neuron"):
        step_profile(lenet_cifar(), images())
    with pytest.raises(ValueError, match="with an AdaptiveLIF or a StepReadout; Sequential has none"):
        fold_adaptive(body(LIF()))
    with pytest.raises(ValueError, match="The network is compiled; fold_adaptive takes the original"):
        fold_adaptive(torch.compile(adapt(body(LIF()), STEPS)))


class ByHand(nn.Module):
    """Steps its neuron itself."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.neuron = nn.Linear(3, 2), LIF()

    def forward(self, train: Tensor) -> Tensor:
        state, sent = self.neuron.initial_state(self.layer(train[0])), []
        for step in train:
            spikes, state = self.neuron.step(self.layer(step), state)
            sent.append(spikes)
        return torch.stack(sent)


def test_neurons_that_are_stepped_by_hand_adapt_and_have_no_profile() -> None:
    network = ByHand()
    adapted, train = adapt(network, STEPS, readout="fixed"), torch.rand(STEPS, 5, 3) * 3
    assert torch.equal(adapted(train), network(train))
    with pytest.raises(ValueError, match=r"ByHand ran none\. Call the neurons, and not their step"):
        step_profile(adapted, train)
    with pytest.raises(ValueError, match="AdaptiveLIF 'neuron' expects at most 4 steps"):
        adapted(torch.rand(5, 5, 3))
