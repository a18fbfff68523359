"""Adapted networks piece by piece: what is carried from step to step is all there is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from spikebridge import Direct, EachStep, Encoder, Hybrid, Latency, OverTime, fold, unfold
from spikebridge.adaptive import adapt, fold_adaptive
from spikebridge.core import TimeAxis

from .networks import HOSTS, STEPS, images, spiking, varied

ROUNDING = 1e-12
"""Of convolutions in float64 over other numbers of frames."""


class Traced(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, TimeAxis) or super().is_leaf_module(m, module_qualified_name)


class Piecewise(fx.Interpreter):
    """Runs a body on one piece of a train after another; the states are in the caller's hands."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__(fx.GraphModule(body, Traced().trace(body)))
        self.states: dict[str, Any] = {}

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        module, (train, *_) = self.fetch_attr(target), args
        if isinstance(module, OverTime):
            return unfold(module.layers(fold(train)), time_steps=len(train))
        if isinstance(module, EachStep) or not isinstance(module, TimeAxis):
            return super().call_module(target, args, kwargs)
        sent, self.states[target] = module.resume(train, self.states.get(target))
        return sent


def codes() -> list[Encoder]:
    return [Direct(time_steps=STEPS), Latency(time_steps=STEPS), Hybrid(time_steps=STEPS)]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("cuts", [(1, 3), (2, 1, 1), (1, 1, 1, 1)])
def test_pieces_one_after_another_are_the_whole(host: str, cuts: tuple[int, ...]) -> None:
    values = images(host).double()
    switches: dict[str, Any] = {"leak": "channel", "readout": "class", "batch": values} if len(cuts) == 3 else {}
    network = varied(adapt(spiking(host, double=True), STEPS, encoder=codes()[len(cuts) - 2], **switches))
    piecewise, train = Piecewise(network.body), network.encoder(values)
    with torch.no_grad():
        sent = torch.cat([piecewise.run(piece) for piece in train.split(cuts)])
        torch.testing.assert_close(sent, network.train_out(values), rtol=0, atol=ROUNDING)
        assert sent.std(1).max() > 0
        with pytest.raises(ValueError, match="expects at most 4 steps"):
            piecewise.run(train[-1:])


def test_a_folded_network_takes_pieces_up_to_its_readout() -> None:
    network = varied(adapt(spiking("lenet_cifar", double=True), STEPS, encoder=Hybrid(time_steps=STEPS)))
    folded, values = fold_adaptive(network).model, images().double()
    piecewise, train = Piecewise(folded.body[:-1]), network.encoder(values)
    with torch.no_grad():
        sent = torch.cat([piecewise.run(piece) for piece in train.split((1, 2, 1))])
        torch.testing.assert_close(sent, network.body[:-1](train), rtol=0, atol=ROUNDING)
