"""A profile counts what is there, changes nothing, and finds a layer that is slow."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

from spikebridge import LIF, Direct, OverTime, SpikingNetwork
from spikebridge.measure import Limits, measure_limits, profile_step

BATCH, STEPS = 8, 3


class Slow(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        time.sleep(0.02)
        return values * 1.0


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Linear(6, 6)

    def forward(self, values: Tensor) -> Tensor:
        mixed: Tensor = self.inside(self.inside(values)) @ values.new_ones(6, 6)
        return mixed


class Nothing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.never = nn.Linear(2, 2)

    def forward(self, values: Tensor) -> Tensor:
        return values


def spiking() -> SpikingNetwork:
    torch.manual_seed(0)
    first = OverTime(nn.Linear(6, 10), nn.BatchNorm1d(10))
    return SpikingNetwork(nn.Sequential(first, LIF(), OverTime(nn.Linear(10, 4))), encoder=Direct(time_steps=STEPS))


def test_layers_come_in_order_with_their_flops_and_bytes() -> None:
    found = profile_step(spiking(), torch.rand(BATCH, 6), repeats=1)
    assert [layer.kind for layer in found.layers] == ["Direct", "Linear", "BatchNorm1d", "LIF", "Linear"]
    assert [layer.is_neuron for layer in found.layers] == [False, False, False, True, False]
    _, first, norm, neuron, last = found.layers
    rows = STEPS * BATCH
    # The repeated frame goes through the first layer once; nobody asks for the gradient of the input.
    assert first.flops == 2 * (2 * BATCH * 6 * 10)
    assert last.flops == 3 * (2 * rows * 10 * 4)
    assert norm.flops == neuron.flops == 0
    weights, read, written = 4 * (6 * 10 + 10), 4 * BATCH * 6, 4 * BATCH * 10
    assert first.moved_bytes == 3 * weights + 2 * read + 2 * written
    assert neuron.moved_bytes == 5 * 4 * rows * 10
    assert first.saved_bytes == read and last.saved_bytes == 4 * rows * 10
    assert found.saved_bytes >= max(layer.saved_bytes for layer in found.layers)
    assert sum(layer.limit_s for layer in found.layers) == pytest.approx(found.limit_s)
    for layer in found.layers:
        assert layer.limit_s == pytest.approx(found.limits.seconds(flops=layer.flops, moved=layer.moved_bytes))
    assert 0.0 < found.neurons_share < 1.0 and found.step_s > 0.0


def test_the_network_stays_as_it_was() -> None:
    network = spiking().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    profile_step(network, torch.rand(BATCH, 6), repeats=2)
    assert not any(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_a_slow_layer_is_found() -> None:
    found = profile_step(nn.Sequential(nn.Linear(6, 6), Slow(), nn.ReLU(inplace=True)), torch.rand(BATCH, 6), repeats=2)
    slow = next(layer for layer in found.layers if layer.kind == "Slow")
    assert slow.forward_s >= 0.02 and found.forward_s >= 0.02 and found.layers_s >= slow.step_s
    assert found.neurons_share == 0.0


def test_calls_of_one_layer_are_added_and_products_between_layers_are_the_rest() -> None:
    (layer,) = profile_step(Twice(), torch.rand(BATCH, 6), repeats=1).layers
    assert layer.layer == "inside" and layer.calls == 2
    assert layer.flops == (2 + 3) * (2 * BATCH * 6 * 6)


def test_a_narrow_type_keeps_half_as_much() -> None:
    network, values = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)), torch.rand(512, 8)
    wide, narrow = (
        profile_step(network, values, repeats=1, autocast=width).layers[1].saved_bytes
        for width in (None, torch.bfloat16)
    )
    weights = 8 * 8 * 2  # cast, and kept
    assert wide == 4 * values.numel() and narrow == wide // 2 + weights


def test_a_compiled_network_has_the_time_of_the_whole() -> None:
    found = profile_step(spiking(), torch.rand(BATCH, 6), repeats=1, compiled=True)
    assert found.compiled_s is not None and found.compile_s is not None
    assert min(found.compiled_s, found.compile_s) > 0.0


def test_progress_ends_at_one() -> None:
    shares: list[float] = []
    profile_step(spiking(), torch.rand(BATCH, 6), repeats=1, progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_the_limit_is_the_slower_of_products_and_traffic() -> None:
    limits = Limits(bytes_per_s=100.0, flops_per_s=10.0)
    assert limits.seconds(flops=5.0, moved=10.0) == 0.5 and limits.seconds(flops=5.0, moved=100.0) == 1.0
    measured = measure_limits()
    assert 0.0 < measured.bytes_per_s < float("inf") and 0.0 < measured.flops_per_s < float("inf")


def test_what_cannot_be_profiled_is_refused() -> None:
    with pytest.raises(ValueError, match="profile_step expects repeats >= 1; got 0"):
        profile_step(spiking(), torch.rand(BATCH, 6), repeats=0)
    with pytest.raises(ValueError, match="expects a network with layers; Nothing calls none"):
        profile_step(Nothing(), torch.rand(BATCH, 6))
