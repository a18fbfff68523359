"""Whole networks: the spiking one against the artificial one, and one road to it against another."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from spikebridge import IF, LIF, QCFS, Direct, EachStep, GroupNeuron, OverTime, SpikingNetwork, convert, fold, unfold
from spikebridge.conversion import Conversion
from spikebridge.data import all_digits, digits
from spikebridge.measure import record_spikes
from spikebridge.models import cnn
from spikebridge.training import Batches, Learner, compiler_problem, fit

from ..networks import NETWORKS

LEVELS = 8
LOGIT_TOLERANCE = 1e-5
"""Summation order inside a kernel may change with the batch; everything else is the same arithmetic."""
TRAIN_TOLERANCE = 1e-4
"""As above, after many steps of a deep network."""


def train_briefly(network: nn.Module, *, epochs: int) -> nn.Module:
    learner = Learner(network, optimiser=partial(torch.optim.AdamW, lr=5e-3), warm_up=1)
    batches = Batches(digits(seed=0).train, batch_size=64, seed=0)
    return fit(learner, batches, epochs=epochs, show_progress=False).network


@pytest.fixture(scope="module", params=NETWORKS)
def trained(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    network = NETWORKS[request.param](partial(QCFS, levels=LEVELS))
    return train_briefly(network, epochs=4)


def to_spikes(network: nn.Module, **settings: object) -> Conversion:
    return convert(network, digits(seed=0).train.tensors[0], members=LEVELS, **settings)


@torch.no_grad()
def test_one_step_equals_the_qcfs_network_on_all_digits(trained: nn.Module) -> None:
    images, labels = all_digits()
    assert len(images) == 1797
    expected = trained(images)
    assert (expected.argmax(1) == labels).float().mean() > 0.8  # a trained network, not noise
    for neuron in ("group", "signed-group"):
        found = to_spikes(trained, neuron=neuron).model(images)
        assert (found - expected).abs().max() <= LOGIT_TOLERANCE
        assert torch.equal(found.argmax(1), expected.argmax(1))


@torch.no_grad()
def test_report_says_so(trained: nn.Module) -> None:
    report = to_spikes(trained).report
    assert len(report.neurons) >= 2
    assert all(site.note == "identical: members = levels, T = 1" for site in report.neurons)
    assert all(site.fidelity == "exact" and site.error == 0.0 for site in report.neurons)
    assert "is an activation quantised to 8 levels (4 bits)" in str(report)


@torch.no_grad()
def test_first_layer_over_time_equals_a_finer_qcfs(trained: nn.Module) -> None:
    """Its input is constant, so T steps are T times the levels (exactly on a grid, nearly always off it)."""
    images = all_digits()[0][:200]
    for time_steps in (2, 4, 8):
        with record_spikes(snn := to_spikes(trained, time_steps=time_steps).model) as trains:
            snn(images)
        name, train = next(iter(trains.items()))
        neuron = next(module for module in snn.modules() if isinstance(module, GroupNeuron) and module.label == name)
        qcfs = trained.get_submodule(name)
        found = train.sum(0)
        current = {}
        handle = qcfs.register_forward_hook(lambda _, inputs, __, seen=current: seen.update(z=inputs[0]))
        trained(images)
        handle.remove()
        expected = torch.floor(current["z"] * time_steps / neuron.spike_value + 0.5).clamp(0, time_steps * LEVELS)
        assert (found != expected).float().mean() < 1e-4


@torch.no_grad()
def test_readouts_are_the_outputs_of_shorter_runs(trained: nn.Module) -> None:
    images, snn = all_digits()[0][:100], to_spikes(trained).model
    readouts = snn.readouts(images, time_steps=6)
    for time_steps in (1, 2, 3, 6):
        alone = snn(images, time_steps=time_steps)
        assert torch.allclose(readouts[time_steps - 1], alone, atol=TRAIN_TOLERANCE)


@torch.no_grad()
def test_any_batch_sizes_in_a_row(trained: nn.Module) -> None:
    images, snn = all_digits()[0], to_spikes(trained, time_steps=3).model
    together = snn(images[:30])
    for size in (1, 7, 30, 2):
        assert torch.allclose(snn(images[:size]), together[:size], atol=TRAIN_TOLERANCE)


def test_backward_through_the_spiking_network_twice(trained: nn.Module) -> None:
    images, snn = all_digits()[0][:8], to_spikes(trained, time_steps=2).model
    for _ in range(2):
        snn.zero_grad()
        snn(images).sum().backward()
        gradients = [parameter.grad for parameter in snn.parameters()]
        assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)
        assert any(gradient.abs().sum() > 0 for gradient in gradients)


@torch.no_grad()
def test_if_needs_as_many_steps_as_the_network_has_levels(trained: nn.Module) -> None:
    images = all_digits()[0][:300]
    readouts = to_spikes(trained, neuron="if").model.readouts(images, time_steps=LEVELS)
    error = (readouts - trained(images)).pow(2).mean((1, 2))
    assert error[0] > error[LEVELS // 2 - 1] > error[LEVELS - 1] > 0


@torch.no_grad()
def test_group_neurons_are_closer_than_ifs_at_equal_time(trained: nn.Module) -> None:
    images = all_digits()[0][:300]
    expected = trained(images)
    group, single = (to_spikes(trained, neuron=kind).model.readouts(images, time_steps=4) for kind in ("group", "if"))
    for t in range(4):
        assert (group[t] - expected).pow(2).mean() < (single[t] - expected).pow(2).mean()


@torch.no_grad()
def test_signed_neurons_undo_an_overshoot_that_plain_ones_keep() -> None:
    """Two inputs that cancel over time but not in each step: what a plain neuron has sent, it cannot take back."""
    currents = torch.tensor([2.0, -1.0, -1.0, 0.25])[:, None]
    plain = GroupNeuron(members=4)(currents).sum()
    signed = GroupNeuron(members=4, signed=True)(currents).sum()
    assert currents.sum() == 0.25
    assert plain == 1.0
    assert signed == 0.25


@pytest.mark.parametrize("time_steps", [1, 4])
def test_traced_road_equals_builder_road(time_steps: int) -> None:
    torch.manual_seed(0)
    ann = train_briefly(cnn(activation=partial(QCFS, levels=LEVELS)), epochs=2)
    built = cnn(activation=partial(GroupNeuron, members=LEVELS)).eval()
    built.load_state_dict(ann.state_dict())
    images = all_digits()[0][:200]
    ann.requires_grad_(False)
    by_builder = SpikingNetwork(built, encoder=Direct(time_steps=time_steps))(images)
    by_trace = to_spikes(ann, time_steps=time_steps).model(images)
    assert torch.allclose(by_builder, by_trace, atol=LOGIT_TOLERANCE)


def test_compiled_converted_network_gives_the_same_answers() -> None:
    if problem := compiler_problem("cpu"):
        pytest.skip(f"torch.compile does not work on this machine: {problem}")
    torch.manual_seed(0)
    torch._dynamo.reset()
    ann = train_briefly(NETWORKS["max-pool cnn"](partial(QCFS, levels=LEVELS)), epochs=2)
    snn, images = to_spikes(ann, time_steps=3).model, all_digits()[0][:64]
    snn.requires_grad_(False)
    compiled, eager = torch.compile(snn, fullgraph=True)(images), snn(images)
    # A fused BatchNorm rounds differently, so a current that lies on a tie may move a logit by a level; few do.
    off = (compiled - eager).abs().amax(1) > LOGIT_TOLERANCE
    assert off.float().mean() < 0.1
    assert (compiled - eager).abs().max() < 0.1 * eager.abs().max()


@torch.no_grad()
@pytest.mark.parametrize(("time_steps", "signed"), [(1, False), (4, True)])
def test_compiled_network_equals_the_eager_one_where_sums_are_exact(time_steps: int, signed: bool) -> None:
    """Weights, inputs and levels are whole multiples of powers of two: no order of summation and no fusion rounds."""
    if problem := compiler_problem("cpu"):
        pytest.skip(f"torch.compile does not work on this machine: {problem}")
    torch.manual_seed(0)
    torch._dynamo.reset()
    layers = [nn.Conv2d(1, 6, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(54, 8), nn.ReLU()]
    ann = nn.Sequential(*layers, nn.Linear(8, 5)).eval().requires_grad_(False)
    for parameter in ann.parameters():
        parameter.copy_(torch.randint(-8, 9, parameter.shape) / 16)
    images = torch.randint(0, 17, (32, 1, 8, 8)) / 16
    snn = convert(
        ann,
        images,
        neuron=lambda site: GroupNeuron(threshold=2.0, members=LEVELS, signed=signed),
        time_steps=time_steps,
        members=LEVELS,
    ).model
    eager = snn(images)
    assert torch.equal(torch.compile(snn, fullgraph=True)(images), eager)
    assert len(eager.unique()) > 20  # an answer that varies


@pytest.mark.parametrize("neuron", [IF, LIF, GroupNeuron])
def test_lifting_over_time_equals_lifting_each_step(neuron: type[nn.Module]) -> None:
    folded = OverTime(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 5))
    stepped = EachStep(*folded)
    x = torch.randn(6, 3, 2, 5, 5)
    assert torch.allclose(neuron()(folded(x)), neuron()(stepped(x)), atol=LOGIT_TOLERANCE)
    assert torch.allclose(folded(x), stepped(x), atol=LOGIT_TOLERANCE)


def test_lifting_differs_exactly_where_batch_statistics_exist() -> None:
    norm, x = nn.BatchNorm1d(4, affine=False), torch.randn(6, 8, 4) + torch.arange(6.0)[:, None, None]
    joint, per_step = OverTime(norm)(x), EachStep(norm)(x)
    assert torch.allclose(per_step.mean(1), torch.zeros(6, 4), atol=LOGIT_TOLERANCE)
    assert torch.allclose(joint.mean((0, 1)), torch.zeros(4), atol=LOGIT_TOLERANCE)
    assert not torch.allclose(joint, per_step, atol=0.1)


@pytest.mark.parametrize("is_training", [False, True])
def test_a_repeated_frame_is_computed_once_by_layers_that_cannot_tell(is_training: bool) -> None:
    seen: dict[int, tuple[int, ...]] = {}
    layers = [nn.Linear(3, 4), nn.ReLU(inplace=True), nn.BatchNorm1d(4), nn.Linear(4, 2)]
    for place, layer in enumerate(layers):
        layer.register_forward_hook(lambda _, inputs, __, place=place: seen.update({place: tuple(inputs[0].shape)}))
    OverTime(*layers).train(is_training)(Direct(time_steps=4).encode(torch.randn(5, 3)))
    rows = (5, 5, 20, 20) if is_training else (5, 5, 5, 5)
    assert [seen[place] for place in range(4)] == list(zip(rows, (3, 4, 4, 4), strict=True))


FIRST_LAYERS = {
    "one layer": lambda: (nn.Linear(6, 4),),
    "a norm inside": lambda: (nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4)),
    "a norm first": lambda: (nn.BatchNorm1d(6), nn.Linear(6, 4)),
    "in place first": lambda: (nn.ReLU(inplace=True), nn.Linear(6, 4)),
    "a group inside": lambda: (nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4)),),
    "nothing": lambda: (),
}


@pytest.mark.parametrize("is_training", [False, True])
@pytest.mark.parametrize("kind", FIRST_LAYERS)
def test_a_repeated_frame_gives_what_its_copies_give(kind: str, is_training: bool) -> None:
    once, copied = (OverTime(*FIRST_LAYERS[kind]()).double().train(is_training) for _ in range(2))
    copied.load_state_dict(once.state_dict())
    values = torch.randn(5, 6, dtype=torch.double)
    before = values.clone()
    train = Direct(time_steps=4).encode(values)
    found, expected = once(train), copied(train.clone())
    assert torch.equal(values, before)
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)
    weights = torch.randn_like(found)
    for output in (found, expected):
        if output.requires_grad:
            (weights * output).sum().backward()
    for one, other in zip(once.parameters(), copied.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None
        assert torch.allclose(one.grad, other.grad, rtol=1e-10, atol=1e-12)
    for name, statistic in once.named_buffers():
        assert torch.allclose(statistic.double(), copied.get_buffer(name).double(), rtol=1e-12), name


def test_a_repeated_frame_is_not_shared_by_layers_that_draw() -> None:
    lifted = OverTime(nn.Dropout(0.5)).eval()
    lifted[0].train()  # dropout at inference, as Monte Carlo dropout wants it
    train = lifted(Direct(time_steps=8).encode(torch.ones(1, 64)))
    assert not torch.equal(train[0], train[1])


def test_fold_and_unfold_are_inverse_and_refuse_a_remainder() -> None:
    x = torch.randn(3, 4, 5)
    assert torch.equal(unfold(fold(x), time_steps=3), x)
    with pytest.raises(ValueError, match=r"with time = 5; got shape \(12, 5\), whose leading axis is not a multiple"):
        unfold(fold(x), time_steps=5)
