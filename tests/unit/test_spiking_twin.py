"""Twins of single modules: the same layers, with a neuron for every activation."""

from __future__ import annotations

import copy
from operator import methodcaller
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import IF, LIF, QCFS
from spikebridge.core.neuron import Neuron
from spikebridge.core.time import Folded, fold, unfold
from spikebridge.hybrid import spiking_twin
from tests.unit.hybrid_blocks import BLOCKS, Gated

TIME, BATCH = 8, 3


def neurons_of(module: nn.Module) -> list[str]:
    return [name for name, part in module.named_modules() if isinstance(part, Folded)]


def on_folded(module: nn.Module, train: Tensor, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """What a module computes with time folded into the batch and a neuron for every activation, written by hand."""

    def spiking(x: Tensor, inplace: bool = False) -> Tensor:
        spikes = fold(LIF(threshold=0.4)(unfold(x, time_steps=len(train))))
        return x.copy_(spikes) if inplace else spikes

    with monkeypatch.context() as patch:
        patch.setattr(F, "relu", spiking)
        patch.setattr(F, "silu", spiking)
        patch.setattr(Tensor, "relu", spiking)
        with torch.no_grad():
            return unfold(module(fold(train)), time_steps=len(train))


@pytest.mark.parametrize("kind", ["residual", "writes first", "gated"])
def test_a_twin_is_the_module_with_neurons_for_its_activations(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = BLOCKS[kind](6).eval()
    train = (torch.rand(TIME, BATCH, 6, 5, 5) < 0.5).float()
    twin = spiking_twin(module, neuron=lambda: LIF(threshold=0.4))
    assert torch.equal(twin(train), on_folded(copy.deepcopy(module), train.clone(), monkeypatch))
    assert torch.equal(twin(train), twin(train))


@pytest.mark.parametrize(
    ("kind", "neurons"),
    [
        ("residual", ["body.relu", "body.relu_2"]),
        ("writes first", ["body.act"]),
        ("gated", ["body.silu", "body.relu"]),
        ("swish", ["body.mul"]),
        ("layer", ["body.neuron"]),
        ("stack", ["body.1"]),
    ],
)
def test_every_call_of_an_activation_has_a_neuron_of_its_own_and_gates_have_none(kind: str, neurons: list[str]) -> None:
    twin = spiking_twin(BLOCKS[kind](6))
    assert neurons_of(twin) == neurons
    assert len({id(part) for part in twin.modules() if isinstance(part, Neuron)}) == len(neurons)
    assert not any(isinstance(part, nn.ReLU | QCFS) for part in twin.modules())


ACTIVATIONS = [nn.ReLU6(inplace=True), nn.LeakyReLU(), nn.GELU(), nn.SiLU(), nn.Hardswish(), nn.PReLU(), nn.Tanh()]
FUNCTIONS = [F.relu6, F.leaky_relu, F.gelu, F.hardswish, F.elu, torch.tanh, F.relu_]
METHODS = [methodcaller("relu_"), methodcaller("tanh")]


def name_of(activation: Any) -> str:
    return getattr(activation, "__name__", repr(activation))


@pytest.mark.parametrize(
    "activation", [*ACTIVATIONS, *FUNCTIONS, *METHODS], ids=lambda each: getattr(each, "__name__", repr(each))
)
def test_an_activation_is_found_however_it_is_written(activation: Any) -> None:
    class Called(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.act = nn.Linear(4, 4), activation if isinstance(activation, nn.Module) else None

        def forward(self, x: Tensor) -> Tensor:
            return (self.act or activation)(self.layer(x))

    twin = spiking_twin(Called(), neuron=IF)
    assert len(neurons_of(twin)) == 1
    assert sorted(name for name, _ in twin.named_parameters()) == ["body.layer.bias", "body.layer.weight"]
    assert set(twin(torch.rand(TIME, BATCH, 4) * 9).unique().tolist()) <= {0.0, 1.0}


def test_dropout_as_a_function_follows_the_mode_of_the_twin() -> None:
    for training in (True, False):
        twin = spiking_twin(Gated(6).train(training), neuron=IF)
        train = 9 * torch.rand(TIME, BATCH, 6, 4, 4)
        for mode in (False, True):
            twin.train(mode)
            torch.manual_seed(0)
            first = twin(train)
            assert torch.equal(first, twin(train)) is not mode
