"""Counts against brute force: every connection of small layers, one by one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import (
    IF,
    LIF,
    QCFS,
    BitPlane,
    Direct,
    GroupNeuron,
    HybridBlock,
    OverTime,
    SpikingNetwork,
    adapt,
    convert,
)
from spikebridge.measure import (
    NetworkResult,
    RunRecord,
    accuracy,
    accuracy_over_time,
    activation_sparsity,
    connection_sparsity,
    count_operations,
    footprint,
    measure,
    record_spikes,
    spike_counts,
)

LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "linear": (nn.Linear(5, 7), (5,)),
    "linear on tokens": (nn.Linear(5, 7), (3, 5)),
    "conv": (nn.Conv2d(2, 3, 3), (2, 6, 5)),
    "padded": (nn.Conv2d(2, 3, 3, padding=1), (2, 5, 5)),
    "strided": (nn.Conv2d(2, 4, 3, stride=2, padding=1), (2, 7, 6)),
    "dilated": (nn.Conv2d(2, 4, 3, dilation=2, padding=2), (2, 6, 6)),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2), (4, 5, 5)),
    "depthwise": (nn.Conv2d(4, 4, 3, groups=4, padding=1), (4, 5, 5)),
    "pointwise": (nn.Conv2d(4, 6, 1, bias=False), (4, 3, 3)),
    "one axis": (nn.Conv1d(2, 3, 3, stride=2), (2, 9)),
    "three axes": (nn.Conv3d(1, 2, 2), (1, 3, 4, 3)),
}


def connections_by_hand(layer: nn.Module, unit: tuple[int, ...]) -> Tensor:
    """For each input, the number of outputs it reaches: feed one input at a time, count what is not zero."""
    bias, layer.bias = layer.bias, None
    with torch.no_grad():
        layer.weight.abs_().add_(0.1)
        one_hot = torch.eye(int(torch.tensor(unit).prod())).reshape(-1, *unit)
        reached = (layer(one_hot) != 0).flatten(1).sum(1).reshape(unit)
    layer.bias = bias
    return reached


@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_every_connection_is_counted(name: str) -> None:
    layer, unit = LAYERS[name]
    reached = connections_by_hand(layer, unit)
    x = torch.rand(6, *unit)
    model = nn.Sequential(QCFS(levels=4, threshold=1.0), layer).eval()
    snn = convert(model, x, members=4).model
    spikes = torch.floor(x * 4 / model[0].threshold + 0.5).clamp(0, 4)
    expected = (spikes * reached).sum().item() / len(x)
    (found,) = count_operations(snn, x, time_steps=1)
    assert (found.layer, found.kind) == ("1", "AC")
    assert found.per_step == pytest.approx((expected,), rel=1e-9)
    (dense,) = count_operations(layer, x)
    assert (dense.kind, dense.per_step) == ("MAC", (float(reached.sum()),))


def counted(model: nn.Module, x: Tensor, *, time_steps: int = 1) -> dict[str, tuple[str, float]]:
    snn = convert(model, x, members=4, time_steps=time_steps).model
    return {c.layer: (c.kind, sum(c.per_step)) for c in count_operations(snn, x)}


def spikes_of(model: nn.Module, x: Tensor, *, time_steps: int = 1) -> dict[str, Tensor]:
    with record_spikes(snn := convert(model, x, members=4).model) as trains:
        snn(x, time_steps=time_steps)
    return trains


class Branches(nn.Module):
    """A sum of two spike trains, pooled in every way, then read out."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.left, self.right = QCFS(levels=4, threshold=1.0), QCFS(levels=4, threshold=2.0)
        self.pool, self.head = pool, nn.LazyLinear(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.left(x) + self.right(x)).flatten(1))


@pytest.mark.parametrize(
    "pool",
    [nn.AvgPool2d(2), nn.AvgPool2d(3, stride=1, padding=1), nn.AdaptiveAvgPool2d(3), nn.AdaptiveAvgPool2d(1)],
    ids=str,
)
@torch.no_grad()
def test_spikes_are_followed_through_sums_and_average_pools(pool: nn.Module) -> None:
    x, model = torch.rand(4, 2, 8, 8), Branches(pool)
    model(x)
    model.eval()
    trains = spikes_of(model, x, time_steps=3)
    events = (trains["left"] + trains["right"]).flatten(0, 1)
    # How many windows each position belongs to: the gradient of the pooled sum of windows.
    windows = torch.zeros(1, 2, 8, 8)
    for i in range(8):
        for j in range(8):
            single = torch.zeros(1, 2, 8, 8)
            single[..., i, j] = 1.0
            windows[..., i, j] = (pool(single)[0, 0] != 0).sum()
    expected = 3 * (events * windows).sum().item() / len(x)
    kind, found = counted(model, x, time_steps=3)["head"]
    assert kind == "AC"
    assert found == pytest.approx(expected)


@torch.no_grad()
def test_spikes_are_followed_through_a_max_pool() -> None:
    x = torch.rand(4, 2, 6)
    model = nn.Sequential(QCFS(levels=4), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(6, 5)).eval()
    trains = spikes_of(model, x, time_steps=3)
    cumulative = F.max_pool1d(trains["0"].cumsum(0).flatten(0, 1), 2).unflatten(0, (3, 4))
    sent = torch.cat([cumulative[:1], cumulative.diff(dim=0)]).abs().sum().item() / len(x)
    assert counted(model, x, time_steps=3)["3"] == ("AC", pytest.approx(5 * sent))


@torch.no_grad()
def test_the_image_layer_multiplies_once_and_later_layers_accumulate() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), QCFS(levels=4), nn.Linear(5, 3)).eval()
    x = torch.randn(8, 6)
    found = counted(model, x, time_steps=4)
    assert found["0"] == ("MAC", 30.0)
    assert found["3"][0] == "AC"
    assert found["3"][1] == pytest.approx(3 * spikes_of(model, x, time_steps=4)["2"].sum().item() / 8)


@torch.no_grad()
def test_a_constant_is_not_a_spike_train() -> None:
    class Shifted(nn.Module):
        def __init__(self, shift: float) -> None:
            super().__init__()
            self.act, self.head, self.shift = QCFS(levels=4), nn.Linear(6, 3), shift

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.act(x) + self.shift)

    x = torch.rand(8, 6)
    assert counted(Shifted(1.0).eval(), x)["head"] == ("MAC", 18.0)  # spikes plus a bias are analog


@torch.no_grad()
def test_a_max_pool_before_the_first_neuron_runs_once() -> None:
    model = nn.Sequential(nn.MaxPool1d(2), nn.Conv1d(2, 3, 2), QCFS(levels=4)).eval()
    conversion = convert(model, torch.rand(4, 2, 8), time_steps=4)
    assert conversion.report.sites[0].fidelity == "exact"
    assert [c.per_step for c in count_operations(conversion.model, torch.rand(4, 2, 8))] == [(36.0,)]


@torch.no_grad()
def test_it_does_not_matter_how_a_layer_is_written() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.randn(3, 6))

        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, self.w)

    assert count_operations(nn.Sequential(IF()), torch.rand(2, 6)) == []
    assert [c.per_step for c in count_operations(Functional(), torch.rand(2, 6))] == [(18.0,)]
    assert [c.per_step for c in count_operations(nn.ConvTranspose1d(2, 2, 2), torch.rand(2, 2, 6))] == [(48.0,)]


@torch.no_grad()
def test_parametrised_layers_are_counted_as_the_layers_they_are() -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(6, 2))
    assert [c.per_step for c in count_operations(nn.Sequential(layer), torch.rand(3, 6))] == [(12.0,)]


@torch.no_grad()
def test_every_call_of_a_shared_activation_is_recorded() -> None:
    act = QCFS(levels=4)
    model = nn.Sequential(nn.Linear(6, 6), act, nn.Linear(6, 4), act, nn.Linear(4, 2)).eval()
    trains = spikes_of(model, torch.randn(5, 6))
    assert {name: tuple(train.shape) for name, train in trains.items()} == {"1": (1, 5, 6), "1#2": (1, 5, 4)}
    spiking = nn.Sequential(neuron := IF(), neuron)
    with record_spikes(spiking) as trains:
        spiking(torch.rand(3, 2, 4))
    assert list(trains) == ["0", "0#2"]


@torch.no_grad()
def test_retracted_spikes_cost_too() -> None:
    neuron = GroupNeuron(members=4, signed=True)
    train = neuron(torch.tensor([1.0, -1.0])[:, None])
    assert spike_counts(neuron, train).flatten().tolist() == [4.0, -4.0]


@torch.no_grad()
def test_group_neuron_sends_as_many_spikes_as_the_longer_if() -> None:
    """No free lunch: T steps of m members send what T m steps of an IF send, for the same value."""
    x = torch.rand(4000)
    group = GroupNeuron(members=8)
    spiking = IF(rest=0.5)
    few_steps = spike_counts(group, group(x.expand(2, -1))).sum()
    many_steps = spike_counts(spiking, spiking(x.expand(16, -1))).sum()
    assert few_steps.item() == pytest.approx(many_steps.item(), rel=1e-3)


def test_recording_leaves_no_hook_behind_even_after_an_error() -> None:
    network = nn.Sequential(IF())
    with pytest.raises(RuntimeError), record_spikes(network):
        raise RuntimeError
    assert not network[0]._forward_hooks
    with (
        pytest.raises(ValueError, match="found no neuron in Linear; pass a spiking network"),
        record_spikes(nn.Linear(2, 2)),
    ):
        pass


def test_no_step_at_all_is_refused() -> None:
    snn = convert(nn.Sequential(QCFS(levels=4), nn.Linear(6, 3)).eval(), torch.rand(2, 6)).model
    with pytest.raises(ValueError, match="count_operations expects time_steps >= 1; got 0"):
        count_operations(snn, torch.rand(2, 6), time_steps=0)


def test_accuracy_counts_right_answers() -> None:
    logits, labels = torch.eye(4), torch.tensor([0, 1, 2, 0])
    assert accuracy(logits, labels) == 0.75
    assert accuracy_over_time(torch.stack([logits, logits.flip(0)]), labels) == [0.75, 0.25]


def test_measure_agrees_with_separate_runs_at_every_length() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 20), QCFS(levels=4), nn.Linear(20, 3)).eval()
    x, y = torch.randn(60, 6), torch.randint(0, 3, (60,))
    snn = convert(model, x, members=4).model
    whole = measure(snn, [(x, y)], name="whole", kind="snn", time_steps=4)
    for t in (1, 2, 4):
        part = measure(snn, [(x, y)], name="part", kind="snn", time_steps=t)
        assert part.accuracies == whole.accuracies[:t]
        assert part.spikes_per_neuron == pytest.approx(whole.spikes_per_neuron[:t])
        analog, spiking = zip(part.operations, whole.operations, strict=True)
        assert spiking[0].kind == "AC"
        assert spiking[0].until(t) == pytest.approx(spiking[1].until(t))
        assert analog[0].until(t) == analog[1].until(t) == 120.0
    assert whole.rates["1"] == pytest.approx(whole.spikes_per_neuron[3] / 4)


def test_record_of_a_diverged_run_is_valid_json_and_comes_back(tmp_path: Path) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    network = NetworkResult(name="NaN", kind="snn", accuracies=[0.1], thresholds={"0": [float("inf")]})
    epochs = [{"train/loss": float("nan"), "validation/loss": float("-inf")}]
    record = RunRecord(name="x", method="train", seed=1, config={"name": "Infinity"}, networks=[network], epochs=epochs)
    record.save(tmp_path / "record.json")
    (tmp_path / "records.jsonl").write_text(record.line())
    for path in tmp_path.iterdir():
        json.loads(path.read_text(), parse_constant=refuse)
        (again,) = RunRecord.load_all(path)
        assert again.networks == [network]
        assert again.config == record.config
        assert math.isnan(again.epochs[0]["train/loss"])
        assert again.epochs[0]["validation/loss"] == float("-inf")


def test_record_round_trips_and_knows_where_it_ran(tmp_path: Path) -> None:
    layers = count_operations(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)), torch.rand(3, 2))
    network = NetworkResult(name="net", kind="ann", accuracies=[0.5], operations=layers)
    settings = {"config": {"seed": 1}, "results": {"accuracy": 0.5}, "timings_s": {"all": 1.0}}
    record = RunRecord(name="x", method="demo", seed=1, networks=[network], **settings)
    record.save(tmp_path / "record.json")
    assert RunRecord.load(tmp_path / "record.json") == record
    assert list(tmp_path.iterdir()) == [tmp_path / "record.json"]
    saved = json.loads((tmp_path / "record.json").read_text())
    assert saved["environment"]["versions"]["torch"] == torch.__version__
    assert saved["environment"]["hardware"]["threads"] == torch.get_num_threads()


def test_sparsity_is_the_share_of_zeros_that_a_layer_sends() -> None:
    x = torch.tensor([[1.0, -1.0, -2.0, 3.0], [1.0, 1.0, -2.0, 3.0]])
    shared = nn.ReLU()
    ann = nn.Sequential(shared, nn.Identity(), nn.Dropout(0.5), nn.Threshold(2.0, 0.0), shared).train()
    assert activation_sparsity(ann, x) == {"0": (3 + 6) / 16, "3": 6 / 8}
    assert ann.training
    snn = convert(nn.Sequential(nn.Linear(4, 6), QCFS(levels=2), nn.Linear(6, 1)).eval(), x, neuron="if").model
    with record_spikes(snn) as sent:
        snn(x, time_steps=3)
    assert activation_sparsity(snn, x, time_steps=3) == {"1": (sent["1"] == 0).double().mean().item()}
    assert activation_sparsity(nn.Linear(4, 1), x) == {}


def test_footprint_is_every_parameter_and_buffer_once() -> None:
    shared = nn.Linear(3, 3).double()
    assert footprint(nn.Sequential(shared, shared)) == 12 * 8
    assert footprint(nn.BatchNorm1d(5)) == 4 * 5 * 4 + 8
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        network[0].weight[0, 0] = 0.0
    assert connection_sparsity(network) == 0.25
    assert connection_sparsity(nn.ReLU()) == 0.0


def test_operations_are_those_of_samples_spread_evenly_over_the_set() -> None:
    # The images grow brighter: the first ones alone would send too few spikes.
    images, labels = torch.linspace(0, 1, 1200)[:, None].expand(-1, 4).contiguous(), torch.zeros(1200, dtype=torch.long)
    ann = nn.Sequential(nn.Linear(4, 3, bias=False), QCFS(levels=8, threshold=4.0), nn.Linear(3, 2)).eval()
    nn.init.ones_(ann[0].weight)
    snn = convert(ann, images[:8], members=8).model
    parts = [(images[start : start + 77], labels[start : start + 77]) for start in range(0, 1200, 77)]
    found = measure(snn, parts, name="n", kind="snn", time_steps=1)
    whole = count_operations(snn, images, time_steps=1)
    assert 128 < found.counted <= 256
    assert found.accumulates(1) == pytest.approx(sum(each.until(1) for each in whole if each.kind == "AC"), rel=0.02)
    assert found.accuracies == measure(snn, [(images, labels)], name="n", kind="snn", time_steps=1).accuracies


def test_values_that_are_spikes_are_accumulated() -> None:
    events = (torch.rand(6, 5) < 0.4).float()
    parts = [(events, torch.zeros(6, dtype=torch.long))]
    found = measure(nn.Linear(5, 2), parts, name="n", kind="snn", values_are_spikes=True)
    assert [(layer.kind, layer.until(1)) for layer in found.operations] == [("AC", 2 * events.sum().item() / 6)]


def test_neurons_of_two_blocks_keep_apart() -> None:
    """Each block names its neurons for itself, so that their names say where they are only within it."""
    blocks = [HybridBlock(nn.Sequential(OverTime(nn.Linear(3, 3)), LIF()), BitPlane(bits=2)) for _ in range(2)]
    network = nn.Sequential(*blocks)
    with record_spikes(network) as trains:
        network(torch.rand(4, 3))
    assert list(trains) == ["0.core.1", "1.core.1"]


def test_what_is_learned_for_each_step_is_kept_step_by_step() -> None:
    body = nn.Sequential(OverTime(nn.Linear(3, 4)), LIF(), OverTime(nn.Linear(4, 2)))
    network = adapt(SpikingNetwork(body, encoder=Direct(time_steps=3)), 3, gain="fixed")
    with torch.no_grad():
        network.get_submodule("body.1").leak.copy_(torch.tensor([0.5, 0.25, 0.75]))
    result = measure(network, [(torch.rand(5, 3), torch.zeros(5).long())], name="", kind="snn")
    assert list(result.neuron_parameters.values()) == [{"leak": [0.5, 0.25, 0.75]}, {"scale": [1.0, 1.0, 1.0]}]
