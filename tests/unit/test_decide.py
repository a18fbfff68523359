"""decide: the class of the full run, proved before its end."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from spikebridge import IF, LIF, ConversionError, GroupNeuron, convert, to_zero
from spikebridge.conversion import ConvertedNetwork
from spikebridge.conversion.stopping.forecast import Forecaster
from spikebridge.core.neuron import Neuron
from spikebridge.core.time import Folded
from spikebridge.data import digits
from spikebridge.training import Batches, Learner, fit

from ..networks import NETWORKS

NEURONS: dict[str, object] = {
    "group": "group",
    "signed-group": "signed-group",
    "if": "if",
    "negative": lambda site: GroupNeuron(threshold=site.threshold, members=4, negative=True),
    "lif": lambda site: LIF(threshold=site.threshold),
    "if of other spikes": lambda site: IF(threshold=site.threshold, spike_value=0.5, rest=0.25),
    "if hard reset": lambda site: IF(threshold=site.threshold, reset=to_zero),
}
ROUNDING = 1e-4
"""Of a level: bounds are added up in float32."""


class TwoWays(nn.Module):
    """Neurons of two layers and the input itself reach the output; a shape is asked for on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.norm = nn.Linear(64, 24), nn.Linear(24, 24), nn.BatchNorm1d(24)
        self.skip, self.head = nn.Linear(64, 5), nn.Linear(48, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = x.view(x.size(0), -1)
        one = torch.relu(self.first(x))
        two = torch.relu(self.norm(self.second(one)) - 0.5 * one.chunk(1, 1)[0])
        return self.head(torch.cat([one, two], 1).view(x.size(0), -1)) * 0.7 + self.skip(x)


class ThroughMeans(nn.Module):
    """A layer that is not linear between neurons: nothing is known of what comes after it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Linear(64, 24), nn.LayerNorm(24), nn.Linear(24, 24)
        self.head = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.norm(torch.relu(self.first(x.flatten(1)))))
        return self.head(torch.relu(x))


SOURCES = {
    "mlp": partial(NETWORKS["mlp"], nn.ReLU),
    "residual cnn": partial(NETWORKS["residual cnn"], nn.ReLU),
    "two ways": TwoWays,
    "through means": ThroughMeans,
}


def converted(source: str, neuron: object, *, members: int = 4, seed: int = 0) -> ConvertedNetwork:
    torch.manual_seed(seed)
    network = SOURCES[source]().eval()
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            norm.running_mean.normal_()
            norm.weight.data.normal_()
    return convert(network, torch.randn(32, 1, 8, 8), neuron=neuron, members=members).model


@torch.no_grad()
def assert_decides_as_the_full_run(network: ConvertedNetwork, values: Tensor, time_steps: int) -> Tensor:
    found = network.decide(values, time_steps=time_steps)
    assert torch.equal(found.prediction, network(values, time_steps=time_steps).argmax(1))
    readouts = network.readouts(values, time_steps=time_steps)
    assert torch.allclose(found.readout, readouts[found.steps - 1, torch.arange(len(values))], atol=1e-5)
    assert found.steps.min() >= 1
    assert found.steps.max() <= time_steps
    return found.steps.float().mean()


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("source", SOURCES)
def test_predictions_are_those_of_the_full_run(source: str, neuron: str) -> None:
    for time_steps in (1, 2, 5, 16):
        network = converted(source, NEURONS[neuron], members=16 // time_steps, seed=time_steps)
        assert_decides_as_the_full_run(network, torch.randn(40, 1, 8, 8), time_steps)


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("source", SOURCES)
@torch.no_grad()
def test_no_neuron_leaves_its_forecast(source: str, neuron: str) -> None:
    """The whole proof, neuron by neuron, after every step and for every number of further steps."""
    time_steps, values = 12, torch.randn(20, 1, 8, 8) * 2
    network = converted(source, NEURONS[neuron], members=2)
    names = {n: m.module for n, m in network.body.named_modules() if isinstance(m, Folded)}
    names = {n: m for n, m in names.items() if isinstance(m, Neuron)}
    forecasts, state = [], None
    for taken in range(1, time_steps):
        _, state = network.step(values, state)
        forecasts.append(Forecaster(network.body, state, left=time_steps - taken, wanted=names).forecasts())
    trains = _trains(network, names, values, time_steps)
    for taken, forecast in enumerate(forecasts, start=1):
        for name, bounds in forecast.items():
            sums = trains[name][taken:].double().cumsum(0)
            slack = ROUNDING * bounds.size.max()
            for k, total in enumerate(sums, start=1):
                assert (total >= k * bounds.rate - bounds.below - slack).all()
                assert (total <= k * bounds.rate + bounds.above + slack).all()
            low, high = bounds.range(time_steps - taken)
            assert (sums[-1] >= low - slack).all()
            assert (sums[-1] <= high + slack).all()


def _trains(network: ConvertedNetwork, names: dict[str, Neuron], values: Tensor, time_steps: int) -> dict[str, Tensor]:
    trains: dict[str, Tensor] = {}
    handles = [
        neuron.register_forward_hook(lambda _, __, train, name=name: trains.update({name: train}))
        for name, neuron in names.items()
    ]
    network(values, time_steps=time_steps)
    for handle in handles:
        handle.remove()
    return trains


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    torch.manual_seed(0)
    learner = Learner(NETWORKS["mlp"](nn.ReLU), optimiser=partial(torch.optim.AdamW, lr=5e-3), warm_up=1)
    batches = Batches(digits(seed=0).train, batch_size=64, seed=0)
    return fit(learner, batches, epochs=5, show_progress=False).network


@pytest.mark.parametrize("neuron", ["group", "signed-group", "if"])
def test_a_small_trained_network_stops_early(trained: nn.Module, neuron: str) -> None:
    split = digits(seed=0)
    network = convert(trained, split.train.tensors[0][:300], neuron=neuron, members=4).model
    for time_steps, most in ((4, 4.0), (16, 8.0)):
        mean = assert_decides_as_the_full_run(network, split.test.tensors[0], time_steps)
        assert mean < most


def readout_network(weight: Tensor, bias: Tensor, *, members: int = 1) -> ConvertedNetwork:
    """Inputs are the currents of neurons with threshold 1, read out by the weights."""
    head = nn.Linear(weight.shape[1], weight.shape[0])
    head.weight.data, head.bias.data = weight, bias
    network, neuron = nn.Sequential(nn.ReLU(), head).eval(), GroupNeuron(threshold=1.0, members=members)
    return convert(network, torch.rand(8, weight.shape[1]), neuron=lambda site: neuron).model


@pytest.mark.parametrize("time_steps", [2, 3, 8, 16])
def test_two_classes_within_one_spike_wait_for_it(time_steps: int) -> None:
    """Class 1 overtakes by the only spike of the last step; or exactly ties, and then the first one wins."""
    current = 0.5 / time_steps  # from a membrane of 1/2 at rest: fires once, in the last step, if nothing rounds
    weight = torch.tensor([[0.0], [1.0]])
    for lead, expected in ((0.5, 1), (1.0, 0), (1.5, 0)):
        bias = torch.tensor([lead / time_steps, 0.0])
        network = readout_network(weight, bias)
        if time_steps in (2, 8, 16):  # dyadic: sums are exact, so this really is a tie
            assert network.decide(torch.tensor([[current]]), time_steps=time_steps).prediction.item() == expected
        assert_decides_as_the_full_run(network, torch.tensor([[current], [0.9 * current], [1.1 * current]]), time_steps)


def test_classes_that_tie_at_every_step_run_to_the_end_and_the_first_wins() -> None:
    network = readout_network(torch.ones(3, 4), torch.zeros(3), members=4)
    found = network.decide(torch.rand(5, 4), time_steps=6)
    assert found.prediction.tolist() == [0] * 5
    assert found.steps.tolist() == [6] * 5


def test_adversarial_inputs_near_the_boundary(trained: nn.Module) -> None:
    """Mixtures of two images, bisected until the two classes are as close as floats allow."""
    images = digits(seed=0).test.tensors[0][:60]
    network = convert(trained, images, neuron="signed-group", members=2).model
    one, other = images[:30], images[30:]
    low, high = torch.zeros(30, 1, 1, 1), torch.ones(30, 1, 1, 1)
    with torch.no_grad():
        first = network(one, time_steps=8).argmax(1)
        for _ in range(20):
            middle = (low + high) / 2
            same = (network(one + middle * (other - one), time_steps=8).argmax(1) == first)[:, None, None, None]
            low, high = torch.where(same, middle, low), torch.where(same, high, middle)
    for at in (low, high):
        assert_decides_as_the_full_run(network, one + at * (other - one), 8)


def test_samples_that_have_stopped_leave_the_batch(trained: nn.Module) -> None:
    split, sizes = digits(seed=0), []
    network = convert(trained, split.train.tensors[0][:300], members=4).model
    head = network.body.get_submodule("5")
    handle = head.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    found = network.decide(split.test.tensors[0], time_steps=16)
    handle.remove()
    taken = [int((found.steps >= step).sum()) for step in range(1, 17)]
    # One sample alone shows how outputs depend on spikes.
    assert sizes == [1, 1, *[size for size in taken if size]]


def test_decide_works_in_inference_mode_and_leaves_no_gradient(trained: nn.Module) -> None:
    images = digits(seed=0).test.tensors[0][:20]
    network = convert(trained, images, members=4).model
    expected = network.decide(images, time_steps=4)
    with torch.inference_mode():
        found = network.decide(images * 1.0, time_steps=4)
    assert torch.equal(found.steps, expected.steps)
    assert torch.equal(found.prediction, expected.prediction)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_t_is_the_networks_own_unless_said(trained: nn.Module) -> None:
    images = digits(seed=0).test.tensors[0][:20]
    network = convert(trained, images, members=4, time_steps=3).model
    assert torch.equal(network.decide(images).prediction, network.decide(images, time_steps=3).prediction)
    with pytest.raises(ValueError, match="expects time_steps >= 1"):
        network.decide(images, time_steps=0)


def test_one_class_is_settled_at_once() -> None:
    found = readout_network(torch.ones(1, 4), torch.zeros(1)).decide(torch.rand(5, 4), time_steps=6)
    assert found.steps.tolist() == [1] * 5


def test_outputs_that_are_not_numbers_are_never_settled_early() -> None:
    network = readout_network(torch.eye(2), torch.zeros(2))
    network.body.get_submodule("1").bias.data[1] = float("nan")
    assert network.decide(torch.rand(3, 2), time_steps=4).steps.tolist() == [4] * 3


# --- what it cannot prove, it refuses ------------------------------------------------------------------------


def refuses(network: nn.Module, reason: str, *, unit: tuple[int, ...] = (6,), **settings: object) -> None:
    snn = convert(network.eval(), torch.randn(8, *unit), **settings).model
    with pytest.raises(ConversionError, match=reason):
        snn.decide(torch.randn(4, *unit), time_steps=4)


def test_tails_that_are_not_linear_are_refused() -> None:
    pooled = nn.Sequential(nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(3, 2))
    refuses(pooled, r"linear after their last neurons; got '.*' \(Increments\).*max_pool='pre'", unit=(1, 6))
    refuses(nn.Sequential(nn.ReLU(), nn.Softmax(1)), "linear after their last neurons")
    refuses(nn.Sequential(nn.ReLU(), nn.Softmin(1)), r"got 'softmin|got '1' \(Softmin\)", unsupported="keep")


def test_max_pools_before_the_activation_or_replaced_are_accepted() -> None:
    for max_pool in ("pre", "average"):
        network = nn.Sequential(nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(3, 2)).eval()
        snn = convert(network, torch.randn(8, 1, 6), max_pool=max_pool).model
        assert_decides_as_the_full_run(snn, torch.randn(10, 1, 6), 6)


def test_outputs_that_are_no_classes_are_refused() -> None:
    refuses(nn.Sequential(nn.ReLU()), r"outputs \[batch, classes\]; got an output of shape \(1, 2, 3\)", unit=(2, 3))


def test_training_mode_is_refused() -> None:
    snn = convert(nn.Sequential(nn.ReLU()).eval(), torch.randn(8, 6)).model
    with pytest.raises(ConversionError, match="expects a network in eval mode"):
        snn.train().decide(torch.randn(4, 6))


def test_neurons_of_unknown_reach_are_refused_and_subclasses_accepted() -> None:
    class Louder(IF):
        def step(self, current, state):
            spikes, state = super().step(current, state)
            return 100 * spikes, state

    class Renamed(IF):
        pass

    refuses(
        nn.Sequential(nn.ReLU()), "can send in a step; got Louder, with a step of its own", neuron=lambda site: Louder()
    )
    snn = convert(nn.Sequential(nn.ReLU()).eval(), torch.randn(8, 6), neuron=lambda site: Renamed()).model
    assert_decides_as_the_full_run(snn, torch.randn(10, 6), 6)
