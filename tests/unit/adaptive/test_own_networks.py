"""Networks as a researcher writes them: what adapt, folding and streaming make of names, functions and mistakes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import (
    LIF,
    AdaptiveLIF,
    Direct,
    Hybrid,
    HybridStem,
    InPieces,
    OverTime,
    SpikingNetwork,
    StepReadout,
    fold,
    fold_readout,
    unfold,
)
from spikebridge.adaptive import adapt, fold_adaptive

from .networks import STEPS, eager, varied

ROUNDING = 1e-12
"""Of convolutions in float64 over other numbers of frames, and of products taken in another order."""


class Residual(nn.Module):
    """Pools by a function between fold and unfold, adds a branch, has a head; from trains to trains."""

    def __init__(self) -> None:
        super().__init__()
        self.first = OverTime(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6))
        self.second = OverTime(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6))
        self.one, self.two, self.head = eager(), eager(), OverTime(nn.Linear(6, 5))

    def forward(self, train: Tensor) -> Tensor:
        train = self.one(self.first(train))
        train = unfold(F.max_pool2d(fold(train), 2), time_steps=train.shape[0])
        return self.head((self.two(self.second(train)) + train).mean((-1, -2)))


class FromImages(Residual):
    """Repeats its images itself."""

    def forward(self, values: Tensor) -> Tensor:
        return super().forward(values.repeat(STEPS, 1, 1, 1, 1)).mean(0)


class Inner(nn.Module):
    """A residual block with the names of a network's ends."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.neuron, self.readout = OverTime(nn.Linear(6, 6)), eager(), OverTime(nn.Linear(6, 6))

    def forward(self, train: Tensor) -> Tensor:
        return train + self.readout(self.neuron(self.stem(train)))


def pictures() -> Tensor:
    torch.manual_seed(3)
    return torch.rand(4, 3, 8, 8).double()


def settled(network: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    network = network.double()
    for _ in range(20):
        network(pictures())
    return network.eval()


@torch.no_grad()
def test_functions_between_fold_and_unfold_fold_and_stream() -> None:
    network = settled(SpikingNetwork(Residual(), encoder=Direct(time_steps=STEPS)))
    adapted = adapt(network, STEPS, batch=pictures())
    assert torch.equal(adapted(pictures()), network(pictures()))
    adapted = varied(adapt(network, STEPS, batch=pictures(), encoder=Hybrid(time_steps=STEPS)))
    folding = fold_adaptive(adapted)
    assert folding.folded == ("body.one", "body.two", "body.head")
    torch.testing.assert_close(folding.model(pictures()), adapted(pictures()), rtol=0, atol=ROUNDING)
    streamed, state, sent = InPieces(adapted.body), None, []
    for piece in adapted.encoder(pictures()).split(1):
        found, state = streamed.resume(piece, state)
        sent.append(found)
    torch.testing.assert_close(torch.cat(sent).mean(0), adapted(pictures()), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("looks", [False, True])
def test_names_within_a_block_are_not_the_ends_of_the_network(looks: bool) -> None:
    body = nn.Sequential(OverTime(nn.Linear(4, 6)), eager(), Inner(), eager(), OverTime(nn.Linear(6, 3)))
    network, values = SpikingNetwork(body, encoder=Direct(time_steps=STEPS)), torch.rand(5, 4)
    adapted = adapt(network, STEPS, encoder=Hybrid(time_steps=STEPS), batch=values if looks else None)
    ends = {name: type(part) for name, part in adapted.named_modules() if isinstance(part, HybridStem | StepReadout)}
    assert ends == {"body.0": HybridStem, "body.4": StepReadout}


def test_names_further_inside_tell_where_nothing_else_does() -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Inner()

        def forward(self, train: Tensor) -> Tensor:
            return self.inner(train)

    adapted = adapt(SpikingNetwork(Whole(), encoder=Direct(time_steps=STEPS)), STEPS)
    assert isinstance(adapted.body.inner.readout, StepReadout)


def test_a_network_that_makes_its_own_train_keeps_its_input() -> None:
    network = settled(FromImages())
    assert torch.equal(adapt(network, STEPS, batch=pictures())(pictures()), network(pictures()))
    with pytest.raises(ValueError, match=r"takes values and makes the train itself: 'first' took a train of shape"):
        adapt(network, STEPS, encoder=Hybrid(time_steps=STEPS), batch=pictures())


def test_a_network_of_trains_may_add_an_axis_and_call_by_name() -> None:
    class Maps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = OverTime(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 6))
            self.neuron, self.readout = eager(), OverTime(nn.Linear(6, 3))

        def forward(self, train: Tensor) -> Tensor:
            return self.readout(train=self.neuron(currents=self.stem(train=train.unsqueeze(2))))

    adapted = adapt(Maps(), STEPS, encoder=Direct(time_steps=STEPS), batch=torch.rand(STEPS, 5, 8, 8))
    assert adapted(torch.rand(5, 8, 8)).shape == (5, 3)


def test_another_t_than_that_of_the_train_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"time_steps=5, but 'first' \(OverTime\) took a train of 4 steps"):
        adapt(settled(FromImages()), 5, batch=pictures())


@torch.no_grad()
def test_a_hook_on_the_last_layer_is_not_folded_over() -> None:
    readout = StepReadout(nn.Linear(3, 2), time_steps=STEPS)
    readout.layer.register_forward_hook(lambda module, args, output: output.relu())
    with pytest.raises(ValueError, match="this Linear has hooks, which may change it"):
        fold_readout(readout)
    body = nn.Sequential(OverTime(nn.Linear(4, 6)), eager(), OverTime(nn.Linear(6, 3)))
    adapted = varied(adapt(SpikingNetwork(body, encoder=Direct(time_steps=STEPS)).eval(), STEPS))
    adapted.body[2].layer.register_forward_hook(lambda module, args, output: output.relu())
    folding, values = fold_adaptive(adapted), torch.rand(5, 4)
    assert "has hooks" in folding.kept["body.2"]
    torch.testing.assert_close(folding.model(values), adapted(values))


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated")
def test_a_computed_tensor_in_a_module_is_named() -> None:
    class Caching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.neuron, self.readout = OverTime(nn.Linear(4, 6)), eager(), OverTime(nn.Linear(6, 3))

        def forward(self, train: Tensor) -> Tensor:
            self.last = self.neuron(self.stem(train))
            return self.readout(self.last)

    network = SpikingNetwork(Caching(), encoder=Direct(time_steps=STEPS))
    adapt(network, STEPS)
    network(torch.rand(5, 4))
    with pytest.raises(ValueError, match=r"'body' \(Caching\) holds last, a tensor computed with gradients"):
        adapt(network, STEPS)
    old = torch.nn.utils.weight_norm(nn.Linear(4, 6))
    body = nn.Sequential(OverTime(old), eager(), OverTime(nn.Linear(6, 3)))
    with pytest.raises(ValueError, match=r"'0.0' \(Linear\) holds weight, .*parametrizations\.weight_norm"):
        adapt(body, STEPS)


def test_neurons_are_built_and_shown_on_the_meta_device() -> None:
    with torch.device("meta"):
        neuron = AdaptiveLIF(time_steps=3)
    assert "leak=meta, gain=meta" in repr(neuron)
    assert neuron(torch.zeros(3, 2, 4, device="meta")).shape == (3, 2, 4)
    assert "decay=meta" in repr(LIF().to("meta"))
