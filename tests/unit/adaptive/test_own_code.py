"""Networks with code of their own: what a forward does by default, keeps, or computes otherwise is not lost."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from spikebridge import (
    IF,
    LIF,
    Direct,
    Hybrid,
    HybridStem,
    InPieces,
    Latency,
    OverTime,
    SpikingNetwork,
    StepReadout,
)
from spikebridge.adaptive import adapt, fold_adaptive
from spikebridge.core.stock import own_method

STEPS, CLOSE = 4, 1e-5


class Body(nn.Module):
    """Layers in the usual order, with what a subclass does between them."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.lif = OverTime(nn.Linear(6, 8), nn.BatchNorm1d(8)), LIF(threshold=0.4)
        self.readout = OverTime(nn.Linear(8, 3))
        self.rates: list[Tensor] = []
        self.last: Tensor | None = None


class Shifted(Body):
    """By default, currents are not those of the norm."""

    def forward(self, train: Tensor, noise: Tensor | None = None) -> Tensor:
        """[time, batch, 6] -> [time, batch, 3]."""
        currents = self.norm(train)
        if noise is None:
            currents = currents + 0.5
        return self.readout(self.lif(currents))


class Named(Body):
    """As :class:`Shifted`, by keywords of any name."""

    def forward(self, train: Tensor, **options: Any) -> Tensor:
        """[time, batch, 6] -> [time, batch, 3]."""
        currents = self.norm(train)
        return self.readout(self.lif(currents * 1.5 if options.get("plain") is None else currents))


class Whole(Body):
    """By default, the train and not its mean."""

    def forward(self, train: Tensor, reduce: str | None = None) -> Tensor:
        """[time, batch, 6] -> [time, batch, 3]."""
        sent = self.readout(self.lif(self.norm(train)))
        return sent if reduce is None else sent.mean(0)


class Keeping(Body):
    """Keeps what it has seen."""

    def forward(self, train: Tensor) -> Tensor:
        """[time, batch, 6] -> [time, batch, 3]."""
        self.last = self.lif(self.norm(train))
        self.rates.append(self.last.detach().mean())
        return self.readout(self.last)


BODIES = (Shifted, Named, Whole, Keeping)


def trained(kind: type[Body]) -> tuple[nn.Module, Tensor]:
    """A body with norms that have seen something, made adaptive, with settings that are not those of the start."""
    torch.manual_seed(0)
    train = 2.0 * torch.rand(STEPS, 32, 6)
    body = kind()
    with torch.no_grad():
        body(train)
    adaptive = adapt(body.eval(), STEPS)
    with torch.no_grad():
        for name, parameter in adaptive.named_parameters():
            if name.endswith((".leak", ".gain", ".scale")):
                parameter += 0.3 * torch.rand_like(parameter)
    return adaptive, train


@pytest.mark.parametrize("kind", BODIES)
def test_a_fold_is_of_the_call_with_one_argument(kind: type[Body]) -> None:
    adaptive, train = trained(kind)
    with torch.no_grad():
        wanted, found = adaptive(train), fold_adaptive(adaptive).model(train)
    assert wanted.std() > 0.01
    torch.testing.assert_close(found, wanted, atol=CLOSE, rtol=CLOSE)


@pytest.mark.parametrize("kind", BODIES)
def test_pieces_are_of_the_call_with_one_argument(kind: type[Body]) -> None:
    adaptive, train = trained(kind)
    with torch.no_grad():
        streamed = InPieces(adaptive, check=train)
        first, state = streamed.resume(train[:1])
        rest, _ = streamed.resume(train[1:], state)
        torch.testing.assert_close(torch.cat([first, rest]), adaptive(train), atol=CLOSE, rtol=CLOSE)


def test_nothing_of_a_trace_is_left_in_what_a_network_keeps() -> None:
    adaptive, train = trained(Keeping)
    before = len(adaptive.rates)  # type: ignore[arg-type]
    with torch.no_grad():
        adaptive(train)
    folded = fold_adaptive(adaptive).model
    InPieces(adaptive)
    assert len(adaptive.rates) == before + 1 and all(type(rate) is Tensor for rate in adaptive.rates)  # type: ignore[arg-type,union-attr]
    pickle.dumps(folded)
    adaptive(train)  # now it keeps a tensor that was computed with gradients
    assert type(adaptive.last) is Tensor and not adaptive.last.is_leaf
    assert not InPieces(adaptive).graph.training


class Mixed(Body):
    """Steps know of each other."""

    def forward(self, train: Tensor) -> Tensor:
        """[time, batch, 6] -> [time, batch, 3]."""
        currents = self.norm(train)
        return self.readout(self.lif(currents - currents.mean(0)))


def test_operations_that_mix_steps_are_seen_where_a_train_is_given() -> None:
    adaptive, train = trained(Mixed)
    InPieces(adaptive)
    with pytest.raises(ValueError, match="steps one by one and Mixed at once give a difference of"):
        InPieces(adaptive, check=train)


class Backwards(nn.Sequential):
    """Children in another order than they have."""

    def forward(self, train: Tensor) -> Tensor:
        """[time, batch, 6] -> [time, batch, 3]."""
        for part in reversed(list(self)):
            train = part(train)
        return train


def test_a_sequence_with_a_forward_of_its_own_has_no_order() -> None:
    torch.manual_seed(0)
    network = Backwards(OverTime(nn.Linear(8, 3)), LIF(threshold=0.3), OverTime(nn.Linear(6, 8)))
    with pytest.raises(ValueError, match="last layers of Backwards to be lifted with OverTime; nothing tells which"):
        adapt(network, STEPS)
    found = adapt(network, STEPS, batch=torch.rand(STEPS, 2, 6))
    assert [type(part) for part in found] == [StepReadout, type(found[1]), OverTime]


class OwnCharge(LIF):
    """What a step charges is written anew, below what the interface names."""

    def _charge(self, currents: Tensor, decay: Tensor) -> Tensor:
        return 2.0 * super()._charge(currents, decay)


class OwnCall(IF):
    """What a call does is written anew."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Half."""
        return 0.5 * super().__call__(*args, **kwargs)


class SetUp(LIF):
    """Settings alone, and a method that nobody here knows."""

    def __init__(self) -> None:
        super().__init__(threshold=0.4)

    def extra_repr(self) -> str:
        """Mine."""
        return "mine"

    def half(self) -> float:
        """Of the threshold."""
        return 0.5 * float(self.threshold)


def patched() -> LIF:
    """A step that was put into the object."""
    neuron = LIF(threshold=0.3)
    neuron.step = lambda current, state: LIF.step(neuron, 2.0 * current, state)  # type: ignore[method-assign]
    return neuron


def computed() -> LIF:
    """A threshold that is computed from a parameter."""
    neuron = LIF(threshold=0.3)
    register_parametrization(neuron, "threshold", nn.Softplus(), unsafe=True)
    return neuron


@pytest.mark.parametrize(
    ("neuron", "why"),
    [
        (OwnCharge, "has a _charge of its own"),
        (OwnCall, "has a __call__ of its own"),
        (patched, "has a step of its own"),
        (computed, "has settings that are computed from others"),
    ],
)
def test_neurons_that_compute_otherwise_are_refused(neuron: Any, why: str) -> None:
    network = nn.Sequential(OverTime(nn.Linear(6, 8)), neuron(), OverTime(nn.Linear(8, 3)))
    with pytest.raises(ValueError, match=why):
        adapt(network, STEPS)


def test_a_neuron_that_is_only_set_up_is_adapted() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(OverTime(nn.Linear(6, 8)), SetUp(), OverTime(nn.Linear(8, 3)))
    train = torch.rand(STEPS, 32, 6)
    assert torch.equal(adapt(network, STEPS)(train), network(train))


def test_another_code_may_have_another_time() -> None:
    torch.manual_seed(0)
    body = nn.Sequential(OverTime(nn.Linear(6, 8)), LIF(threshold=0.3), OverTime(nn.Linear(8, 3)))
    network, values = SpikingNetwork(body, encoder=Direct(time_steps=8)), torch.rand(5, 6)
    found = adapt(network, STEPS, encoder=Hybrid(time_steps=STEPS), leak="channel", batch=values)
    assert found(values).shape == (5, 3)


def test_a_stem_of_its_own_for_numbers_is_not_given_spikes() -> None:
    body = nn.Sequential(OverTime(nn.Linear(6, 8)), LIF(threshold=0.3), OverTime(nn.Linear(8, 3)))
    hybrid = adapt(SpikingNetwork(body, encoder=Direct(time_steps=STEPS)), STEPS, encoder=Hybrid(time_steps=STEPS))
    assert any(isinstance(part, HybridStem) for part in hybrid.modules())
    with pytest.raises(ValueError, match=r"given Latency, which sends no numbers at step 0 alone; 'body\.0' has"):
        adapt(hybrid, STEPS, encoder=Latency(time_steps=STEPS))
    with pytest.raises(TypeError, match="batch to be a tensor, as the network takes it; got list"):
        adapt(hybrid, STEPS, batch=[1])  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{"threshold": torch.ones(7)}, {"decay": 0.5 * torch.ones(7)}])
def test_channels_that_do_not_match_name_the_layer(settings: dict[str, Any]) -> None:
    body = nn.Sequential(OverTime(nn.Linear(6, 8)), LIF(**settings))
    network = SpikingNetwork(body, encoder=Direct(time_steps=STEPS))
    with pytest.raises(ValueError, match=r"LIF '1': A per-channel setting of shape \(7,\) does not fit a step"):
        network(torch.rand(5, 6))


def test_a_function_is_its_own_equation() -> None:
    assert own_method(lambda values: values, "__call__") == "__call__"  # type: ignore[arg-type]
    assert own_method(LIF()) is None and own_method(LIF(), "forward") is None
    assert own_method(patched(), "step") == "step"
