"""Hosts of adaptive settings: builders, neurons, and networks as users write them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from spikebridge import (
    IF,
    LIF,
    AdaptiveLIF,
    ATan,
    Direct,
    Neuron,
    OverTime,
    SpikingNetwork,
    StepReadout,
    by_subtraction,
    detached,
    to_zero,
)
from spikebridge.models import cnn, lenet, resnet
from tests.unit.host_networks import SIDE, SPIKING, Build, settled

STEPS = 4
HOSTS: dict[str, Build] = SPIKING | {
    "cnn": partial(cnn, in_channels=3, image_size=SIDE),
    "lenet": partial(lenet, in_channels=3, image_size=SIDE),
    "resnet": partial(resnet, depth=8),
}
NEURONS: dict[str, Callable[[], Neuron]] = {
    "IF": partial(IF, threshold=0.5),
    "IF hard": partial(IF, threshold=0.5, reset=to_zero),
    "IF hard detached": partial(IF, reset=detached(to_zero), surrogate=ATan()),
    "LIF": partial(LIF, threshold=0.5),
    "LIF hard": partial(LIF, threshold=0.5, reset=to_zero, decay_input=True),
    "LIF detached": partial(LIF, decay=0.9, threshold=0.3, reset=detached(by_subtraction), decay_input=True),
    "LIF hard detached": partial(LIF, decay=0.25, threshold=0.5, reset=detached(to_zero)),
    "LIF learned": partial(LIF, decay=0.7, learn_decay=True, decay_input=True, threshold=0.4),
}
eager = NEURONS["LIF hard"]
quick = partial(LIF, threshold=0.2)


def side_of(host: str) -> int:
    return 64 if "four pools" in host else SIDE


def images(host: str = "cnn", *, batch: int = 4) -> Tensor:
    return torch.rand(batch, 3, side_of(host), side_of(host))


def spiking(
    host: str = "cnn", neuron: Callable[[], Neuron] = eager, *, time_steps: int = STEPS, double: bool = False
) -> SpikingNetwork:
    """A host in eval mode whose norms know what arrives; float64 where samples must not depend on batch sizes."""
    network = SpikingNetwork(HOSTS[host](activation=neuron), encoder=Direct(time_steps=time_steps))
    network = network.double() if double else network
    values = images(host)
    settled(network, values.double() if double else values)
    return network


class Own(nn.Module):
    """Registered in another order than it runs, and nothing in it has a name that says what it is."""

    def __init__(self, neuron: Callable[[], Neuron] = quick, *, lift: type[nn.Module] = OverTime) -> None:
        super().__init__()
        self.answers = lift(nn.Linear(12, 5))
        self.second, self.first = neuron(), neuron()
        self.middle = OverTime(nn.Linear(6, 12))
        self.sees = lift(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 6), nn.BatchNorm1d(6))

    def forward(self, train: Tensor) -> Tensor:
        return self.answers(self.second(self.middle(self.first(self.sees(train)))))


class Twice(nn.Module):
    """One neuron in two places, of equal or of other widths."""

    def __init__(self, widths: tuple[int, int] = (6, 6), neuron: Callable[[], Neuron] = eager) -> None:
        super().__init__()
        self.stem = OverTime(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, widths[0]))
        self.neuron = neuron()
        self.also = self.neuron
        self.middle = OverTime(nn.Linear(*widths))
        self.readout = Lifted(nn.Linear(widths[1], 5))

    def forward(self, train: Tensor) -> Tensor:
        return self.readout(self.also(self.middle(self.neuron(self.stem(train)))))


class Lifted(OverTime):
    """A class of lifted layers of one's own."""


def own(neuron: Callable[[], Neuron] = quick) -> SpikingNetwork:
    network = SpikingNetwork(Own(neuron), encoder=Direct(time_steps=STEPS))
    settled(network, images())
    return network


def varied(network: nn.Module) -> nn.Module:
    """With another leak, gain and scale at every step, as after training."""
    for module in network.modules():
        with torch.no_grad():
            if isinstance(module, AdaptiveLIF):
                module.leak.copy_(torch.rand_like(module.leak))
                module.gain.copy_(0.5 + torch.rand_like(module.gain))
            elif isinstance(module, StepReadout):
                module.scale.copy_(torch.rand_like(module.scale))
    return network


def neurons_of(network: nn.Module) -> dict[str, Neuron]:
    return {name: module for name, module in network.named_modules() if isinstance(module, Neuron)}
