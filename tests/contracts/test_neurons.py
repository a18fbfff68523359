"""What holds for every neuron, over the whole catalogue."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from spikebridge import LIF, Neuron, declare_time, run
from spikebridge.core.neuron import UNROLLED, _can_scan, _is_exporting
from spikebridge.measure import spike_counts
from spikebridge.measure.saved import saved_peak
from spikebridge.neurons import NEURONS

from ..cases import CHANNELS, NEURON_CASES, currents

every_neuron = pytest.mark.parametrize("neuron", NEURON_CASES.values(), ids=NEURON_CASES)


def test_table_covers_catalogue() -> None:
    assert len(NEURONS) >= 3
    assert {type(neuron) for neuron in NEURON_CASES.values()} == set(NEURONS.values())


@every_neuron
def test_run_equals_stepping_by_hand(neuron: Neuron) -> None:
    x = currents(neuron)
    state, by_hand = neuron.initial_state(x[0]), []
    for current in x:
        spikes, state = neuron.step(current, state)
        by_hand.append(spikes)
    assert torch.equal(neuron(x), torch.stack(by_hand))


@every_neuron
@pytest.mark.parametrize("cut", [1, 3, -1])
def test_split_run_equals_whole_run(neuron: Neuron, cut: int) -> None:
    x = currents(neuron)
    whole, end = run(neuron, x)
    first, state = run(neuron, x[:cut])
    second, split_end = run(neuron, x[cut:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert all(torch.equal(a, b) for a, b in zip(end, split_end, strict=True))


@every_neuron
def test_forwards_do_not_influence_each_other(neuron: Neuron) -> None:
    x, other_batch = currents(neuron), currents(neuron, batch=7)
    before = neuron(x)
    neuron(other_batch)
    neuron(other_batch[:, :1])
    assert torch.equal(neuron(x), before)


@every_neuron
def test_step_leaves_its_arguments_and_the_module_untouched(neuron: Neuron) -> None:
    x = currents(neuron)
    state = neuron.initial_state(x[0])
    saved = [x.clone(), *(part.clone() for part in state)]
    attributes = {name: id(value) for name, value in vars(neuron).items()}
    neuron.step(x[0], state)
    assert all(torch.equal(a, b) for a, b in zip(saved, [x, *state], strict=True))
    assert {name: id(value) for name, value in vars(neuron).items()} == attributes


@every_neuron
def test_output_is_a_whole_number_of_spikes(neuron: Neuron) -> None:
    train = neuron(currents(neuron))
    counts = spike_counts(neuron, train)
    most = getattr(neuron, "members", 1)
    least = -most if getattr(neuron, "signed", False) else 0
    assert counts.min() >= least
    assert 0 < counts.max() <= most
    value = neuron.spike_value
    unit = value.reshape(-1, 1) if isinstance(value, torch.Tensor) and value.ndim else value
    assert torch.equal(counts * unit, train)


@every_neuron
def test_gradient_is_finite_and_reaches_currents_and_parameters(neuron: Neuron) -> None:
    neuron = copy.deepcopy(neuron)
    x = currents(neuron).requires_grad_()
    (neuron(x) * torch.randn_like(x)).sum().backward()
    for leaf in [x, *neuron.parameters()]:
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()
        assert leaf.grad.abs().sum() > 0


@every_neuron
def test_backward_twice_on_fresh_forwards(neuron: Neuron) -> None:
    x = currents(neuron).requires_grad_()
    neuron(x).sum().backward()
    first = x.grad.clone()
    x.grad = None
    neuron(x).sum().backward()
    assert torch.equal(x.grad, first)


@every_neuron
def test_traces_for_the_compiler_without_a_break(neuron: Neuron) -> None:
    torch._dynamo.reset()
    x = currents(neuron).requires_grad_()
    assert torch.equal(torch.compile(neuron, fullgraph=True, backend="aot_eager")(x), neuron(x))


@pytest.mark.parametrize("name", [*NEURONS, "IF per channel", "LIF decay input", "Group three members", "Group signed"])
def test_compiled_code_spikes_the_same(name: str) -> None:
    """Machine code is slow to make, so not for every variant; the ones whose arithmetic could be reordered are in."""
    torch._dynamo.reset()
    neuron = NEURON_CASES[name]
    x = currents(neuron, time=3)
    assert torch.equal(torch.compile(neuron, fullgraph=True)(x), neuron(x))


LONG = UNROLLED + 13


needs_scan = pytest.mark.skipif(not _can_scan(), reason="this PyTorch writes every loop out")


@needs_scan
@pytest.mark.parametrize("name", NEURONS)
def test_a_long_train_is_compiled_as_a_loop_and_gives_the_same(name: str) -> None:
    torch._dynamo.reset()
    neuron = NEURONS[name](time_steps=LONG) if NEURON_CASES[name].time_steps else copy.deepcopy(NEURON_CASES[name])
    x = torch.randn(LONG, 3, CHANNELS, 5) * 0.8 + 0.3
    found = []
    for drive in (neuron, torch.compile(neuron, fullgraph=True)):
        leaf = x.clone().requires_grad_()
        neuron.zero_grad()
        train = drive(leaf)
        (train * torch.linspace(0.0, 1.0, train.numel()).view_as(train)).sum().backward()
        found.append([train.detach(), leaf.grad, *(parameter.grad for parameter in neuron.parameters())])
    (plain, *gradients), (compiled, *others) = found
    assert plain is not None and compiled is not None and torch.equal(plain, compiled)
    for one, other in zip(gradients, others, strict=True):
        assert one is not None and other is not None
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)


@needs_scan
def test_the_graph_of_a_long_train_does_not_grow_with_it() -> None:
    sizes = []
    for steps in (2 * UNROLLED, 8 * UNROLLED):
        torch._dynamo.reset()
        explained = torch._dynamo.explain(LIF())(torch.rand(steps, 2, 3))
        assert explained.graph_break_count == 0
        sizes.append(sum(len(graph.graph.nodes) for graph in explained.graphs))
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("is_strict", [False, True])
@pytest.mark.parametrize("name", NEURONS)
def test_exports_a_graph_that_computes_everything_once(name: str, is_strict: bool) -> None:
    torch._dynamo.reset()
    neuron = NEURON_CASES[name]
    x = currents(neuron, time=3)
    exported = torch.export.export(neuron, (x,), strict=is_strict)
    calls = [str(node.target) for node in exported.graph.nodes if node.op == "call_function"]
    assert calls and not any("checkpoint" in call for call in calls)
    assert torch.equal(exported.module()(x), neuron(x))


@pytest.mark.parametrize("name", NEURONS)
def test_compiled_gradients_are_the_same_and_only_currents_are_kept(name: str) -> None:
    torch._dynamo.reset()
    neuron = copy.deepcopy(NEURON_CASES[name])
    neuron.zero_grad()
    norm = nn.BatchNorm1d(CHANNELS)

    def layer(train: torch.Tensor) -> torch.Tensor:
        spikes: torch.Tensor = neuron(norm(train.flatten(0, 1)).unflatten(0, train.shape[:2]))
        return spikes

    x = currents(neuron, time=3)
    kept, gradients = [], []
    for run_layer in (layer, torch.compile(layer, fullgraph=True)):
        leaf = x.clone().requires_grad_()
        with saved_peak(norm) as saved:
            train = run_layer(leaf)
        (train * torch.linspace(0.0, 1.0, train.numel()).view_as(train)).sum().backward()
        kept.append(saved.peak)
        gradients.append([leaf.grad, *(parameter.grad for parameter in (*norm.parameters(), *neuron.parameters()))])
        norm.zero_grad()
        neuron.zero_grad()
    for eager, compiled in zip(*gradients, strict=True):
        assert eager is not None and compiled is not None
        assert torch.allclose(eager, compiled, rtol=1e-4, atol=1e-5)
    statistics = 8 * x.element_size() * CHANNELS + 64
    if not _is_exporting():  # before torch 2.7 that cannot be told, and all is kept
        assert kept[1] <= x.nbytes + statistics, "the norm's input, and no membrane or current"


@every_neuron
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_state_stays_wide_when_currents_are_narrow(neuron: Neuron, dtype: torch.dtype) -> None:
    narrow = currents(neuron, time=64).to(dtype)
    train, state = run(neuron, narrow)
    assert all(part.dtype == torch.float32 for part in state)
    assert torch.equal(train, neuron(narrow.float()))


@every_neuron
def test_autocast_does_not_change_the_spikes(neuron: Neuron) -> None:
    layer, x = nn.Linear(5, 5), currents(neuron, time=32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
        inside = neuron(y)
    assert y.dtype == torch.bfloat16
    assert torch.equal(inside, neuron(y.float()))


@every_neuron
def test_double_precision_is_kept(neuron: Neuron) -> None:
    train, state = run(neuron, currents(neuron).double())
    assert train.dtype == torch.float64
    assert all(part.dtype == torch.float64 for part in state)


@every_neuron
def test_state_dict_round_trip_and_deep_copy(neuron: Neuron) -> None:
    x, fresh = currents(neuron), copy.deepcopy(neuron)
    for tensor in fresh.state_dict().values():
        tensor.fill_(0.123)
    fresh.load_state_dict(neuron.state_dict())
    assert torch.equal(fresh(x), neuron(x))


@every_neuron
def test_runs_on_any_rank_of_unit(neuron: Neuron) -> None:
    for unit in [(3,), (3, 2), (3, 2, 2), (3, 2, 2, 2)]:
        x = currents(neuron, unit=unit)
        assert neuron(x).shape == x.shape


@every_neuron
def test_lost_time_axis_is_an_error_that_names_the_layer(neuron: Neuron) -> None:
    x = currents(neuron)
    steps = len(x)
    network = declare_time(nn.Sequential(nn.Identity(), copy.deepcopy(neuron)), time_steps=steps)
    network(x)
    expected = rf"'1' expects a train \[time={steps}, batch, \*unit\]; got shape \({4 * steps}, 3, 5\)"
    with pytest.raises(ValueError, match=expected):
        network(x.flatten(0, 1))


@every_neuron
def test_bad_currents_are_refused(neuron: Neuron) -> None:
    with pytest.raises(ValueError, match=r"expects a train \[time=(T|\d), batch, \*unit\]; got shape \(5,\)"):
        neuron(torch.zeros(5))
    with pytest.raises(ValueError, match="which has no step to run"):
        neuron(torch.zeros(0, 2, 3))
    with pytest.raises(ValueError, match=r"time >= 1; got shape \(0, 2, 3\)"):
        run(neuron, torch.zeros(0, 2, 3))
    with pytest.raises(TypeError, match=r"expects floating-point currents; got torch.int64"):
        neuron(torch.zeros(neuron.time_steps or 4, 2, 3, dtype=torch.long))


@every_neuron
def test_state_of_another_batch_is_refused(neuron: Neuron) -> None:
    _, state = run(neuron, currents(neuron, batch=4)[:2])
    with pytest.raises(ValueError, match="Pass the state of the same batch, or none to start afresh"):
        run(neuron, currents(neuron, batch=1)[2:], state)
