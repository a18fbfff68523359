"""A column of a witness is the same to the last bit, however its unit is made and whatever runs beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spikebridge import IF, LIF, BitPlane, Direct, GroupNeuron, OverTime, run, to_zero
from spikebridge.convex import OnGrid, as_layers, critical_scaling, gaussian_witness, network_of, perturbed_witness
from spikebridge.convex.grouped import GroupedLinear
from spikebridge.convex.reconstruct import is_layered, pruned
from spikebridge.convex.snapping import snapped

STEPS, BATCH, INPUTS = 6, 50, 33
ANALOG = OnGrid(step=2.0**-8, limit=4.0)

inputs = pytest.mark.parametrize("grid", [None, ANALOG], ids=["spikes", "analog"])
shapes = pytest.mark.parametrize("widths", [(1,), (3,), (8, 1), (16, 5), (9, 7, 2)], ids=str)
scalings = pytest.mark.parametrize("scaling", ["fan-in", "none"])


def train(grid: OnGrid | None) -> Tensor:
    noise = torch.randn(STEPS, BATCH, INPUTS)
    return (noise > 0.5).float() if grid is None else noise


def membranes(network: nn.Sequential, given: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes and last membranes: where a current differs in its last bit, so does a membrane."""
    *below, neuron = network
    sent, state = run(neuron, nn.Sequential(*below)(given))  # type: ignore[arg-type]
    return sent, state.membrane


@inputs
@shapes
@scalings
def test_a_column_does_not_depend_on_the_branches_beside_it(
    grid: OnGrid | None, widths: tuple[int, ...], scaling: str
) -> None:
    def made(branches: int | Sequence[int]) -> tuple[Tensor, Tensor]:
        network = gaussian_witness(INPUTS, widths, branches=branches, scaling=scaling, bias=0.5, grid=grid, seed=3)
        return membranes(network, given)

    given, units = train(grid), widths[-1]
    spikes, levels = made(40)
    assert 0.01 < spikes.mean() < 0.9
    for chosen in ([0], [39], [17, 3], range(5, 30)):
        columns = torch.cat([torch.arange(units) + branch * units for branch in chosen])
        alone, alone_levels = made(chosen)
        assert torch.equal(alone, spikes[..., columns]) and torch.equal(alone_levels, levels[:, columns])


@inputs
@shapes
def test_a_column_does_not_depend_on_its_batch(grid: OnGrid | None, widths: tuple[int, ...]) -> None:
    network, given = gaussian_witness(INPUTS, widths, branches=20, bias=0.5, grid=grid), train(grid)
    spikes, levels = membranes(network, given)
    for size in (1, 7, 32):
        pieces = [membranes(network, piece) for piece in given.split(size, dim=1)]
        assert torch.equal(torch.cat([piece[0] for piece in pieces], dim=1), spikes)
        assert torch.equal(torch.cat([piece[1] for piece in pieces]), levels)


@inputs
@shapes
@scalings
def test_currents_are_exact(grid: OnGrid | None, widths: tuple[int, ...], scaling: str) -> None:
    network, sent = gaussian_witness(INPUTS, widths, branches=9, bias=0.5, scaling=scaling, grid=grid), train(grid)
    for lifted, neuron in zip(network[::2], network[1::2], strict=True):  # type: ignore[arg-type]
        current = lifted(sent)
        assert torch.equal(current.double(), as_layers(nn.Sequential(lifted, neuron))[0].double()(sent.double()))
        sent = neuron(current)


@shapes
def test_one_matrix_for_all_branches_gives_the_same_bits(widths: tuple[int, ...]) -> None:
    network, given = gaussian_witness(INPUTS, widths, branches=12, seed=1), train(None)
    layers = as_layers(network)
    assert is_layered(layers)
    spikes, levels = membranes(network, given)
    again, again_levels = membranes(layers, given)
    assert torch.equal(again, spikes) and torch.equal(again_levels, levels)
    kept = torch.tensor([0, 11 * widths[-1]])
    assert torch.equal(pruned(layers, kept)(given), spikes[..., kept])


def test_branches_do_not_see_each_other() -> None:
    layer = GroupedLinear(torch.randn(5, 2, 3), torch.randn(5, 2))
    values = torch.randn(8, 15)
    assert torch.allclose(layer(values), layer.as_linear()(values), atol=1e-6)
    changed = values.clone()
    changed[:, 6:9] += 1.0
    moved = (layer(changed) != layer(values)).any(0)
    assert moved.tolist() == [False] * 4 + [True] * 2 + [False] * 4


@pytest.mark.parametrize(
    ("scaling", "sizes"), [("fan-in", (0.1, 0.05)), ("none", (1.0, 1.0)), ((3.0, 0.2), (3.0, 0.2))]
)
def test_weights_are_gaussian_of_the_size_asked_for(scaling: Any, sizes: tuple[float, float]) -> None:
    network = gaussian_witness(100, (400, 50), scaling=scaling, bias=2.0, seed=5)
    for lifted, size in zip(network[::2], sizes, strict=True):  # type: ignore[arg-type]
        weight, bias = lifted[-1].weight, lifted[-1].bias
        assert abs(weight.std().item() / size - 1) < 0.02 and abs(weight.mean().item()) < 0.02 * size
        assert abs(bias.std().item() / (2 * size) - 1) < 0.25
        assert abs((weight.abs() < 0.6745 * size).float().mean().item() - 0.5) < 0.02  # half of a Gaussian


def test_seeds_differ_and_repeat() -> None:
    def first(seed: int) -> Tensor:
        return gaussian_witness(10, (4,), branches=2, seed=seed)[0][-1].weight  # type: ignore[index]

    assert torch.equal(first(0), first(0)) and not torch.equal(first(0), first(1))
    assert not torch.equal(first(0)[:4], first(0)[4:])


@pytest.mark.parametrize(("step", "limit"), [(1.0, 1.0), (2.0**-8, 1.0), (2.0**-8, 8.0)])
def test_snapped_weights_are_near_and_exact(step: float, limit: float) -> None:
    weight, bias = torch.randn(30, 200, dtype=torch.float64), torch.randn(30, dtype=torch.float64)
    near, offset = snapped(weight, bias, step=step, limit=limit)
    spacing = 2.0 * (weight.abs().sum(1) * limit + bias.abs()) / (2.0**22 * step)  # q is at most this
    assert ((near - weight).abs() <= spacing[:, None] / 2).all() and ((offset - bias).abs() <= spacing * step / 2).all()
    values = torch.round(torch.rand(64, 200).mul(2).sub(1).mul(limit / step)) * step
    wanted = values.double() @ near.double().T + offset.double()
    for order in (torch.arange(200), torch.randperm(200), torch.arange(199, -1, -1)):
        found = nn.functional.linear(values[:, order], near[:, order], offset)
        assert torch.equal(found.double(), wanted)


def test_what_float32_cannot_add_is_refused() -> None:
    snapped(torch.ones(2, 4), torch.zeros(2), step=2.0**-10, limit=16.0)
    for inputs, step in ((4, 2.0**-20), (2**17, 2.0**-10)):
        with pytest.raises(ValueError, match=rf"float32 cannot add {inputs} inputs of .* steps each exactly"):
            snapped(torch.ones(2, inputs), torch.zeros(2), step=step, limit=16.0)
    assert not snapped(torch.zeros(2, 4), torch.zeros(2))[0].any()


@pytest.mark.parametrize(("step", "limit"), [(0.3, 3.0), (0.0, 1.0), (0.25, 0.1), (0.25, 1.1)])
def test_a_grid_needs_a_power_of_two_and_a_multiple(step: float, limit: float) -> None:
    with pytest.raises(ValueError, match="OnGrid expects"):
        OnGrid(step=step, limit=limit)


def test_values_on_a_grid_are_near_or_at_the_limit() -> None:
    values = torch.randn(1000) * 3
    found = ANALOG(values)
    inside = values.abs() <= 4.0
    assert ((found - values).abs()[inside] <= 2.0**-9).all() and (found[~inside].abs() == 4.0).all()
    assert torch.equal(found * 256, (found * 256).round())


def test_perturbed_copies_stay_near_their_model() -> None:
    model = nn.Sequential(
        OverTime(nn.Linear(INPUTS, 20)),
        LIF(threshold=torch.rand(20) + 0.5, reset=to_zero),
        OverTime(nn.Linear(20, 4, bias=False)),
        LIF(decay=0.8),
    )
    with torch.no_grad():
        for lifted in (model[0], model[2]):
            lifted[0].weight.mul_(5.0)  # type: ignore[index, union-attr, operator]
    given = train(None)
    exact = perturbed_witness(model, copies=1, spread=0.0)
    assert (exact(given) == model(given)).float().mean() > 0.999
    many = perturbed_witness(model, copies=30, spread=0.2, seed=2)
    weights = many[2][-1].as_linear().weight  # type: ignore[index, union-attr, operator]
    noise = torch.stack([weights[4 * k : 4 * k + 4, 20 * k : 20 * k + 20] - model[2][0].weight for k in range(30)])  # type: ignore[index]
    size = 0.2 * model[2][0].weight.square().mean().sqrt()  # type: ignore[index, union-attr, operator]
    assert abs(noise.std() / size - 1) < 0.1
    assert not many[2][-1].bias.any()  # type: ignore[index]
    assert (many[0][-1].bias != model[0][0].bias.repeat(30)).all()  # type: ignore[index, union-attr, operator]
    alone = perturbed_witness(model, copies=[7], spread=0.2, seed=2)
    assert torch.equal(alone(given), many(given)[..., 28:32])
    assert not torch.equal(alone(given), exact(given))


def test_all_layers_get_the_neuron() -> None:
    network = gaussian_witness(5, (4, 3), neuron=lambda: IF(threshold=2.0), branches=2)
    assert [type(part) for part in network] == [OverTime, IF, OverTime, IF]
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_critical_scaling_passes_activity_on(rate: float) -> None:
    values = (torch.rand(200, INPUTS) < rate).float()
    encoder, widths = Direct(time_steps=STEPS), (20, 20)
    scaling = critical_scaling(values, encoder=encoder, widths=widths, rate=rate, branches=16)
    sent = encoder(values)
    network = gaussian_witness(INPUTS, widths, scaling=scaling, branches=64, seed=1)
    for place in (0, 2):
        sent = network[place : place + 2](sent)
        assert abs(sent.mean().item() / rate - 1) < 0.25  # other weights than those that were tuned
    assert len(scaling) == 2


def test_critical_scaling_takes_the_rate_of_a_spike_code() -> None:
    values = torch.rand(100, 12)
    encoder = BitPlane(bits=4)
    scaling = critical_scaling(values, encoder=encoder, widths=(30,))
    sent = gaussian_witness(12, (30,), scaling=scaling, branches=32)(encoder(values))
    assert abs(sent.mean().item() / encoder(values).mean().item() - 1) < 0.1


def test_refusals() -> None:
    for bad in ({"widths": ()}, {"widths": (0,)}, {"branches": 0}, {"branches": [-1]}, {"inputs": 0}):
        arguments: dict[str, Any] = {"inputs": 3, "widths": (2,), **bad}
        with pytest.raises(ValueError, match="all >= 1"):
            gaussian_witness(arguments.pop("inputs"), arguments.pop("widths"), **arguments)
    for scaling in ("fan_in", (1.0,), (1.0, -1.0)):
        with pytest.raises(ValueError, match="expects scaling 'fan-in', 'none', or 2 numbers > 0"):
            gaussian_witness(3, (2, 2), scaling=scaling)
    for neuron in (lambda: IF(spike_value=0.5), lambda: GroupNeuron(threshold=2.0, members=4)):
        with pytest.raises(ValueError, match="Witnesses expect neurons whose spikes are worth 1"):
            gaussian_witness(3, (2,), neuron=neuron)
    model = nn.Sequential(OverTime(nn.Linear(3, 2)), LIF())
    for copies, spread in ((0, 0.1), (1, -0.1), (1, float("nan"))):
        with pytest.raises(ValueError, match="copies >= 1 and spread >= 0"):
            perturbed_witness(model, copies=copies, spread=spread)
    for other in (nn.Sequential(nn.Linear(3, 2), LIF()), model[:1], nn.Sequential()):
        with pytest.raises(ValueError, match="neurons in turn"):
            perturbed_witness(other, copies=1)
    encoder, values = Direct(time_steps=3), torch.rand(10, 4)
    with pytest.raises(ValueError, match="expects a rate where the encoder's train is analog"):
        critical_scaling(values, encoder=encoder, widths=(5,))
    with pytest.raises(ValueError, match=r"expects a rate in \(0, 1\); got 1\.5"):
        critical_scaling(values, encoder=encoder, widths=(5,), rate=1.5)
    with pytest.raises(ValueError, match=r"layer 1 fires at a rate of 0\.99"):
        critical_scaling(values, encoder=encoder, widths=(5,), rate=0.99)


def test_weights_of_ones_own() -> None:
    weight = torch.tensor(np.array([[[0.5, 0.25]], [[1.5, 0.0]]]))
    network = network_of([(weight, torch.zeros(2, 1))], neuron=lambda: LIF(decay=0.5))
    assert network(torch.ones(2, 1, 2)).tolist() == [[[0.0, 1.0]], [[1.0, 1.0]]]
