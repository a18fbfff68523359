"""A converted network step by step: the same outputs, and a state that is a value."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from spikebridge import IF, LIF, convert
from spikebridge.blocks.differential import Differential, Increments, PrefixMeans
from spikebridge.conversion import ConvertedNetwork
from spikebridge.conversion.stream import StreamState
from spikebridge.core.time import TimeAxis

from ..networks import NETWORKS

SUMMATION = 1e-5
"""Gradients of one call and of several are added up in another order."""


class Smooth(nn.Module):
    """LayerNorm and GELU, a gate, a residual connection from the input."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.act = nn.Linear(64, 32), nn.LayerNorm(32), nn.GELU()
        self.gate, self.last = nn.Linear(32, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(1))
        y = self.act(self.norm(x))
        return self.last(F.relu(y * torch.sigmoid(self.gate(y)) + x))


SOURCES: dict[str, Callable[[], nn.Module]] = {
    **{name: lambda build=build: build(nn.ReLU) for name, build in NETWORKS.items()},
    "smooth": Smooth,
}
NEURONS: dict[str, object] = {
    "group": "group",
    "signed-group": "signed-group",
    "if": "if",
    "lif": lambda site: LIF(threshold=site.threshold),
    "if hard reset": lambda site: IF(threshold=site.threshold, rest=0.25),
}
IMAGES = (6, 1, 8, 8)


def converted(source: str = "mlp", neuron: object = "group", **settings: object) -> ConvertedNetwork:
    torch.manual_seed(0)
    return convert(SOURCES[source]().eval(), torch.randn(32, *IMAGES[1:]), neuron=neuron, members=4, **settings).model


def streamed(network: ConvertedNetwork, frames: list[Tensor]) -> Tensor:
    outputs, state = [], None
    for frame in frames:
        output, state = network.step(frame, state)
        outputs.append(output)
    return torch.stack(outputs)


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("source", SOURCES)
@torch.no_grad()
def test_steps_are_the_outputs_of_one_call_to_the_last_bit(source: str, neuron: str) -> None:
    network, images = converted(source, NEURONS[neuron]), torch.randn(IMAGES)
    for time_steps in (1, 2, 5, 16):
        together = network.train_out(images, time_steps=time_steps)
        assert torch.equal(streamed(network, [images] * time_steps), together)


@pytest.mark.parametrize("settings", [{"max_pool": "average"}, {"max_pool": "pre"}, {"calibrate": "bias"}])
@torch.no_grad()
def test_steps_are_the_outputs_of_one_call_for_other_recipes(settings: dict[str, str]) -> None:
    network, images = converted("max-pool cnn", **settings), torch.randn(IMAGES)
    assert torch.equal(streamed(network, [images] * 5), network.train_out(images, time_steps=5))


@pytest.mark.parametrize("neuron", ["group", "signed-group", "if"])
@pytest.mark.parametrize("source", SOURCES)
@torch.no_grad()
def test_readouts_at_every_prefix_are_the_outputs_of_shorter_runs(source: str, neuron: str) -> None:
    network, images = converted(source, neuron), torch.randn(IMAGES)
    readouts = network.readouts(images, time_steps=8)
    for time_steps in range(1, 9):
        assert torch.allclose(readouts[time_steps - 1], network(images, time_steps=time_steps), atol=1e-6)


@torch.no_grad()
def test_frames_may_differ_and_a_change_in_place_is_noticed() -> None:
    network = converted("residual cnn")
    frames = list(torch.randn(4, *IMAGES))
    expected = streamed(network, frames)
    buffer, state = torch.empty(IMAGES), None
    for frame, output in zip(frames, expected, strict=True):
        buffer.copy_(frame)
        found, state = network.step(buffer, state)
        assert torch.equal(found, output)
    assert not torch.equal(expected[1], network.step(frames[0], network.step(frames[0])[1])[0])


@torch.no_grad()
def test_what_comes_before_the_first_neuron_is_computed_once_for_one_tensor() -> None:
    network, images, calls = converted("mlp"), torch.randn(IMAGES), []
    network.body.get_submodule("1").register_forward_hook(lambda *_: calls.append(1))
    _, state = network.step(images)
    _, state = network.step(images, state)
    assert len(calls) == 1
    network.step(images.clone(), state)
    assert len(calls) == 2
    with torch.inference_mode():  # its tensors do not count their changes, so nothing can be taken for granted
        hidden = images.clone()
        network.step(hidden, network.step(hidden, state)[1])
    assert len(calls) == 4


@torch.no_grad()
def test_a_state_is_a_value() -> None:
    network, images = converted("max-pool cnn", "signed-group"), torch.randn(IMAGES)
    _, state = network.step(images)
    first, after = network.step(images, state)
    again, _ = network.step(images, state)
    assert torch.equal(first, again)
    assert (state.steps, after.steps) == (1, 2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        state.steps = 0
    copied = pickle.loads(pickle.dumps(state))
    assert torch.equal(network.step(images, copied)[0], first)
    assert torch.equal(copy.deepcopy(network).step(images, state)[0], first)
    assert not [module for module in network.modules() if any(v is state for v in vars(module).values())]


@pytest.mark.parametrize("source", SOURCES)
@torch.no_grad()
def test_some_samples_go_on_alone(source: str) -> None:
    network, images = converted(source), torch.randn(IMAGES)
    _, state = network.step(images)
    together, _ = network.step(images, state)
    for samples in (torch.tensor([4, 1]), torch.tensor([True, False, True, False, False, True])):
        fewer = state.take(samples)
        alone, _ = network.step(fewer.values, fewer)
        assert torch.allclose(alone, together[samples], atol=1e-6)


def test_samples_are_indexed_on_the_device_of_each_part() -> None:
    """A GPU's indices are no indices of the CPU; "meta" stands for the other device, and takes all."""
    met = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func.overloadpacket is torch.ops.aten.index:
                met.append((args[0].device.type, args[1][0].device.type))
            return func(*args, **(kwargs or {}))

    elsewhere = torch.zeros(3, 2, device="meta")
    state = StreamState(1, {"0": (elsewhere,)}, torch.rand(3, 2), {"a": elsewhere}, "", None)
    with Watch():
        fewer = state.take(torch.tensor([2, 0]))
    assert torch.equal(fewer.values, state.values[[2, 0]])
    assert sorted(met) == [("cpu", "cpu"), ("meta", "meta"), ("meta", "meta")]


def test_gradients_of_steps_are_those_of_one_call() -> None:
    network, images = converted("residual cnn", "signed-group"), torch.randn(IMAGES)
    network.train_out(images, time_steps=3).square().sum().backward()
    expected = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
    network.zero_grad()
    with torch.no_grad():
        network.step(images)  # a step without gradients leaves nothing behind
    streamed(network, [images] * 3).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert torch.allclose(parameter.grad, expected[name], rtol=1e-4, atol=SUMMATION)


def test_a_state_from_without_gradients_does_not_cut_them_off() -> None:
    network, images = converted("mlp"), torch.randn(IMAGES)
    with torch.no_grad():
        _, state = network.step(images)
    network.step(images, state)[0].sum().backward()
    assert network.body.get_submodule("1").weight.grad.abs().sum() > 0


def test_states_of_other_networks_batches_and_ranks_are_refused() -> None:
    network, other, images = converted(), converted(), torch.randn(IMAGES)
    _, state = network.step(images)
    with pytest.raises(ValueError, match="a state that this network made; got one of another network"):
        other.step(images, state)
    with pytest.raises(ValueError, match=r"values of shape \(6, 1, 8, 8\), as in the steps before; got \(4, 1, 8, 8\)"):
        network.step(images[:4], state)
    with pytest.raises(ValueError, match=r"state\.take"):
        network.step(images[:4], state)
    with pytest.raises(ValueError, match="expects values of 4 axes"):
        network.step(images[0])


@pytest.mark.parametrize("module", [PrefixMeans(), Increments(), Differential(nn.ReLU()), IF(), LIF()])
def test_pieces_of_a_train_equal_the_whole(module: nn.Module) -> None:
    train = torch.randn(7, 5, 3) * 0.1 + 0.2
    whole = module(train)
    for cut in range(1, 7):
        first, state = module.resume(train[:cut])
        second, _ = module.resume(train[cut:], state)
        assert torch.equal(torch.cat([first, second]), whole)


def test_a_module_without_resume_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r"TimeAxis cannot go on from a state.*Write its resume"):
        TimeAxis().resume(torch.zeros(2, 1, 3))
