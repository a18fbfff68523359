"""An adapted network for inference: the same answers, and what could not be folded is told."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikebridge import (
    LIF,
    AdaptiveLIF,
    Direct,
    Encoder,
    Hybrid,
    OverTime,
    Sigmoid,
    SpikingNetwork,
    StepNorm,
    StepReadout,
)
from spikebridge.adaptive import adapt, fold_adaptive
from spikebridge.blocks import FoldedReadout, HybridStem, StepAffine, fold_gain
from spikebridge.measure import count_operations

from .networks import HOSTS, SIDE, STEPS, Lifted, Own, eager, images, neurons_of, spiking, varied

ROUNDING = 1e-12
"""Of a few products in float64, taken in another order."""

STAY: dict[str, list[str]] = {
    "ms": ["blocks.0.residual.0", "blocks.1.residual.0", "activation"],
    "ms, imagenet": ["blocks.0.residual.0", "blocks.1.residual.0", "activation"],
    "plain": ["blocks.0.activation", "blocks.1.activation"],
    "resnet": ["2.activation", "3.activation", "4.activation"],
    "spikformer": ["blocks.0.attention.activation"],
    "spikformer, four pools": ["blocks.0.attention.activation"],
    "cnn": ["7"],
    "lenet": ["5", "7"],
}
"""Neurons whose currents are a sum, a product or a current that others use too, or come through no norm."""


def trained(host: str, *, encoder: Encoder, **switches: object) -> nn.Module:
    values = images(host).double()
    adapted = adapt(spiking(host, double=True), STEPS, encoder=encoder, batch=values, **switches)
    return varied(adapted)


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("grain", ["layer", "channel"])
def test_a_folded_network_answers_the_same(host: str, grain: str) -> None:
    network = trained(host, encoder=Hybrid(time_steps=STEPS), leak=grain, gain=grain)
    before, values = copy.deepcopy(network), images(host).double()
    folding = fold_adaptive(network)
    torch.testing.assert_close(folding.model(values), network(values), rtol=0, atol=ROUNDING)
    assert network(values).std() > 0
    assert [name.removeprefix("body.") for name in folding.kept] == STAY.get(host, [])
    gains = {name: neuron.gain.unique().tolist() for name, neuron in neurons_of(folding.model).items()}
    assert sum(gain == [1.0] for gain in gains.values()) == len(folding.folded) - 1
    assert folding.folded[-1].startswith("body.")
    assert not any(isinstance(module, StepReadout) for module in folding.model.modules())
    assert str(network) == str(before)
    assert all(torch.equal(held, before.state_dict()[name]) for name, held in network.state_dict().items())


@pytest.mark.parametrize("code", [Direct(time_steps=STEPS), Hybrid(time_steps=STEPS)])
def test_a_folded_network_trains_no_gain_and_runs_its_readout_once(code: Encoder) -> None:
    network, values = trained("lenet_cifar", encoder=code).train(), images().double()
    folding = fold_adaptive(network)
    assert not folding.kept
    assert str(folding) == (
        "Folded 5 of 5: body.activation1, body.activation2, body.activation3, body.activation4, body.readout."
    )
    assert not folding.model.training
    assert network.training
    assert not [name for name, _ in folding.model.named_parameters() if name.endswith(("leak", "gain", "scale"))]
    last = count_operations(folding.model, values)[-1]
    assert (last.layer, len(last.per_step)) == ("readout.layer", 1)
    assert next(module.label for module in neurons_of(folding.model).values()) == "activation1"


def test_a_bare_body_keeps_its_train() -> None:
    body, values = trained("lenet_cifar", encoder=Direct(time_steps=STEPS)).body, images().double()
    train = values.expand(STEPS, *values.shape)
    folding = fold_adaptive(body)
    torch.testing.assert_close(folding.model(train), body(train), rtol=0, atol=ROUNDING)
    assert folding.kept == {
        "readout": "the network gives its train, not the mean over time. A SpikingNetwork around it takes the mean."
    }
    assert str(folding).splitlines()[1].startswith("Kept 'readout': the network gives its train")


class Averages(Own):
    """Takes the mean in its own forward, in one of the ways there are."""

    def __init__(self, mean: object) -> None:
        super().__init__()
        self.mean = mean

    def forward(self, train: Tensor) -> Tensor:
        return self.mean(super().forward(train))


@pytest.mark.parametrize(
    ("mean", "is_folded"),
    [
        (lambda train: train.mean(0), True),
        (lambda train: train.mean(dim=0), True),
        (lambda train: torch.mean(train, dim=0), True),
        (lambda train: torch.mean(train, [0]), True),
        (lambda train: train.to(torch.float64).mean(0), True),
        (lambda train: train.mean(0).expand(train.shape), False),
        (lambda train: train.mean(1), False),
        (lambda train: train.mean(0, keepdim=True), True),
        (lambda train: train.sum(0), False),
        (lambda train: train.mean(0) + train[0], False),
    ],
)
def test_a_readout_is_folded_where_its_mean_is_taken(mean: object, is_folded: bool) -> None:
    network = varied(
        adapt(Averages(mean).double().eval(), STEPS, batch=images().double().expand(STEPS, 4, 3, SIDE, SIDE))
    )
    folding, train = fold_adaptive(network), torch.rand(STEPS, 2, 3, SIDE, SIDE).double()
    torch.testing.assert_close(folding.model(train), network(train), rtol=0, atol=ROUNDING)
    assert ("answers" in folding.folded) == is_folded


class Untraceable(nn.Module):
    """Branches on values, around a part that does not."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.neuron = inner, eager()

    def forward(self, train: Tensor) -> Tensor:
        return self.inner(self.neuron(train)) if train.max() > 0 else self.neuron(train)


def layers(*neurons: nn.Module) -> list[nn.Module]:
    return [layer for neuron in neurons for layer in (OverTime(nn.Linear(6, 6), nn.BatchNorm1d(6)), neuron)]


UNTRACEABLE = "a forward that torch.fx cannot trace may call it."


def test_what_a_forward_that_cannot_be_traced_may_call_stays_and_the_rest_is_folded() -> None:
    inner = Untraceable(nn.Sequential(*layers(eager())))
    network = adapt(nn.Sequential(*layers(eager()), inner, *layers(eager())).double().eval(), STEPS, readout="fixed")
    folding, train = fold_adaptive(varied(network)), torch.rand(STEPS, 8, 6).double() * 3
    torch.testing.assert_close(folding.model(train), network(train), rtol=0, atol=ROUNDING)
    assert folding.folded == ("1", "4")
    assert folding.kept == {"2.inner.1": UNTRACEABLE, "2.neuron": UNTRACEABLE}


class Block(nn.Module):
    """A norm and a neuron in a row, which a forward around them may use otherwise too."""

    def __init__(self, forward: Callable[[nn.Sequential, Tensor], Tensor]) -> None:
        super().__init__()
        self.block, self.calls = nn.Sequential(*layers(eager())), forward

    def forward(self, train: Tensor) -> Tensor:
        return self.calls(self.block, train)


CALLS: dict[str, tuple[Callable[[nn.Sequential, Tensor], Tensor], str]] = {
    "of a norm, on values": (lambda block, x: block(x) + block[0](x) if x.max() > 0 else x, UNTRACEABLE),
    "of a neuron, on values": (lambda block, x: block(x) + block[1](x) if x.max() > 0 else x, UNTRACEABLE),
    "by keyword as well": (
        lambda block, x: block(x) + block[0](train=x),
        "what its norm gives goes elsewhere as well.",
    ),
    "of a norm by keyword alone": (
        lambda block, x: block[1](block[0](train=x)),
        "of its norm: it is called with a keyword.",
    ),
    "of a layer in a norm": (
        lambda block, x: block(x) + block[0].layers(x.flatten(0, 1)).unflatten(0, (STEPS, -1)),
        "of its norm: layers of it are called by themselves as well.",
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_every_call_counts(case: str) -> None:
    forward, why = CALLS[case]
    network = varied(adapt(Block(forward).double().eval(), STEPS, readout="fixed"))
    folding, train = fold_adaptive(network), torch.rand(STEPS, 8, 6).double() * 3
    torch.testing.assert_close(folding.model(train), network(train), rtol=0, atol=ROUNDING)
    assert folding.kept == {"block.1": why}


class OtherNorm(nn.BatchNorm1d):
    def forward(self, input: Tensor) -> Tensor:
        return 0.3 * super().forward(input)


class OtherLift(OverTime):
    def forward(self, train: Tensor) -> Tensor:
        return 2 * super().forward(train)


class OtherNeuron(AdaptiveLIF):
    def step(self, current: Tensor, state: Any) -> Any:
        return super().step(2 * current, state)


class OtherLinear(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(nn.functional.normalize(input, dim=-1))


eagerly = partial(AdaptiveLIF, threshold=0.1)


def hooked() -> nn.Module:
    norm = nn.BatchNorm1d(6)
    norm.register_forward_hook(lambda module, args, output: 2 * output)
    return norm


def readout(layer: nn.Module) -> nn.Module:
    return StepReadout(layer, time_steps=STEPS)


OTHERS: dict[str, tuple[Callable[[], list[nn.Module]], str]] = {
    "norm": (lambda: [OverTime(nn.Linear(6, 6), OtherNorm(6)), eagerly()], "OtherNorm has a forward of its own"),
    "lift": (lambda: [OtherLift(nn.Linear(6, 6), nn.BatchNorm1d(6)), eagerly()], "OtherLift has a forward of its"),
    "neuron": (
        lambda: [OverTime(nn.Linear(6, 6), nn.BatchNorm1d(6)), OtherNeuron(threshold=0.1)],
        "OtherNeuron has a step of its",
    ),
    "readout": (lambda: [readout(OtherLinear(6, 6))], "OtherLinear has a forward of its own"),
    "hooks": (lambda: [OverTime(nn.Linear(6, 6), hooked()), eagerly()], "this BatchNorm1d has hooks"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_computes_something_else_than_its_class_stays(case: str) -> None:
    make, why = OTHERS[case]
    network = varied(SpikingNetwork(nn.Sequential(*make()), encoder=Direct(time_steps=STEPS)).double().eval())
    folding, values = fold_adaptive(network), torch.rand(8, 6).double() * 3
    torch.testing.assert_close(folding.model(values), network(values), rtol=0, atol=ROUNDING)
    assert network(values).std() > 0
    assert folding.folded == ()
    assert why in next(iter(folding.kept.values()))


class Elsewhere(nn.Module):
    """What the norm gives is used twice; one neuron is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.next = (OverTime(nn.Linear(6, 6), nn.BatchNorm1d(6)) for _ in range(2))
        self.first, self.again = eager(), eager()

    def forward(self, train: Tensor) -> Tensor:
        currents = self.norm(train)
        return self.again(self.next(self.again(self.first(currents)))) + currents


def test_what_is_used_in_several_places_stays() -> None:
    network = varied(adapt(Elsewhere().double().eval(), STEPS, readout="fixed"))
    folding, train = fold_adaptive(network), torch.rand(STEPS, 8, 6).double() * 3
    torch.testing.assert_close(folding.model(train), network(train), rtol=0, atol=ROUNDING)
    assert folding.kept == {
        "first": "what its norm gives goes elsewhere as well.",
        "again": "it is called at several places.",
    }
    twice = layers(eager(), eager())
    twice[2] = twice[0]
    shared = varied(adapt(nn.Sequential(*twice).double().eval(), STEPS, readout="fixed"))
    assert set(fold_adaptive(shared).kept.values()) == {"what its norm gives goes elsewhere as well."}


def test_norms_that_look_at_the_batch_and_scales_of_classes_stay() -> None:
    norm = StepNorm(6, time_steps=STEPS, eval_statistics="batch")
    body = nn.Sequential(OverTime(nn.Linear(6, 6)), norm, eager(), OverTime(nn.Linear(6, 2))).double()
    network = varied(adapt(SpikingNetwork(body, encoder=Direct(time_steps=STEPS)), STEPS, readout="class")).eval()
    folding, values = fold_adaptive(network), torch.rand(8, 6).double() * 3
    torch.testing.assert_close(folding.model(values), network(values), rtol=0, atol=ROUNDING)
    assert folding.folded == ()
    assert "uses those of the batch" in folding.kept["body.2"]
    assert "every class has its own mean" in folding.kept["body.3"]


@pytest.mark.parametrize("mode", ["step-scale", "step-affine"])
def test_scales_of_a_norm_for_each_step_are_folded_with_the_gains(mode: str) -> None:
    norm = StepNorm(6, time_steps=STEPS, mode=mode)
    body = nn.Sequential(OverTime(nn.Linear(6, 6)), norm, eager(), OverTime(nn.Linear(6, 2))).double()
    network = varied(adapt(SpikingNetwork(body, encoder=Direct(time_steps=STEPS)), STEPS)).eval()
    kept = network.body[1]
    with torch.no_grad():
        kept.scale.copy_(torch.linspace(0.5, 2.0, STEPS))
    folding, values = fold_adaptive(network), torch.rand(8, 6).double() * 3
    torch.testing.assert_close(folding.model(values), network(values), rtol=0, atol=ROUNDING)
    assert folding.folded == ("body.2", "body.3")
    assert [type(module) for module in folding.model.body[1]] == [StepAffine]


def test_a_gain_of_one_is_nothing_to_fold() -> None:
    body = nn.Sequential(*layers(LIF()), Lifted(nn.Linear(6, 2)))
    folding = fold_adaptive(adapt(SpikingNetwork(body, encoder=Direct(time_steps=STEPS)), STEPS))
    assert (folding.folded, folding.kept) == (("body.2",), {})
    assert isinstance(folding.model.body[0], OverTime)
    assert isinstance(folding.model.body[2], FoldedReadout)


class Made(OverTime):
    """Built from other things than its layers, and nothing else of its own."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(width, width), nn.BatchNorm1d(width))


def test_lifted_layers_with_a_constructor_of_their_own_are_folded() -> None:
    network = varied(nn.Sequential(Made(6), eagerly()).double().eval())
    folding, train = fold_adaptive(network), torch.rand(STEPS, 8, 6).double() * 3
    torch.testing.assert_close(folding.model(train), network(train), rtol=0, atol=ROUNDING)
    assert network(train).std() > 0
    assert folding.folded == ("1",)


class Loud(Sigmoid):
    """Sends the stand-in, which shows the smallest difference of two membranes."""

    def __call__(self, x: Tensor) -> Tensor:
        return self.soft(x)


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("convolution", [True, False])
def test_both_norms_of_a_stem_take_their_steps_gains(channels: int | None, convolution: bool) -> None:
    def branch() -> nn.Sequential:
        made = nn.Sequential(*([nn.Conv2d(3, 3, 3)] if convolution else []), nn.BatchNorm2d(3)).double()
        nn.init.uniform_(made[-1].weight, 0.5, 2.0)
        nn.init.normal_(made[-1].bias)
        made(torch.randn(20, 3, 5, 5).double() * 2 + 1)
        return made

    stem, shape = HybridStem(branch(), branch()).eval(), (STEPS,) if channels is None else (STEPS, channels)
    neuron = AdaptiveLIF(channels=channels, leak=torch.rand(shape), gain=torch.randn(shape), surrogate=Loud()).double()
    folded, train = fold_gain(stem, neuron), torch.randn(STEPS, 4, 3, 5, 5).double()
    assert [type(module) for module in folded] == [HybridStem, StepAffine, AdaptiveLIF]
    torch.testing.assert_close(folded(train), neuron(stem(train)), rtol=0, atol=ROUNDING)
    with pytest.raises(ValueError, match=r"in eval mode; this BatchNorm2d uses those of the batch\. Call \.eval\(\)"):
        fold_gain(stem.train(), neuron)
    with pytest.raises(TypeError, match=r"or HybridStem\(\.\.\.\) that ends in a BatchNorm, .* got HybridStem"):
        fold_gain(HybridStem(branch(), nn.Conv2d(3, 3, 3)).eval(), neuron)
