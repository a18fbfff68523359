"""verify: equal networks are equal, and no fault of a converter gets past it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from spikebridge import IF, QCFS, GroupNeuron, convert, verify
from spikebridge.conversion import Conversion, ConvertedNetwork, Site
from spikebridge.conversion.verification.exact import ExactSums
from spikebridge.core.gradient import quantise
from spikebridge.core.neuron import at_rest
from spikebridge.core.reset import to_zero
from spikebridge.core.time import Folded
from spikebridge.models import resnet
from spikebridge.neurons.group import GroupState

from ..networks import NETWORKS

LEVELS = 4
NEURONS = ("group", "signed-group", "if")


class Everything(nn.Module):
    """Two convolutions of one shape, a shortcut, a shared activation, a pool, thresholds per channel."""

    def __init__(self, activation: Callable[[], nn.Module], pool: nn.Module) -> None:
        super().__init__()
        self.stem, self.stem_act = nn.Conv2d(1, 6, 3, padding=1), activation()
        self.conv1, self.norm1 = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv2, self.norm2 = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.act, self.pool = activation(), pool
        self.conv3, self.last = nn.Conv2d(6, 6, 3, 2), activation()
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        x = self.stem_act(self.stem(x))
        y = self.act(self.norm1(self.conv1(x)))
        x = self.act(self.norm2(self.conv2(y)) + x)
        return self.head(self.last(self.conv3(self.pool(x))).flatten(1))


def randomised(network: nn.Module) -> nn.Module:
    """As training leaves it: no setting of a batch norm is zero or one."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 2.0)
            for tensor in (module.bias, module.running_mean):
                nn.init.uniform_(tensor, -0.5, 0.5)
    return network.eval()


def everything(pool: nn.Module, activation: Callable[[], nn.Module] | None = None) -> nn.Module:
    torch.manual_seed(0)
    own = partial(QCFS, levels=LEVELS, threshold=torch.linspace(1.0, 2.0, 6))
    return randomised(Everything(activation or own, pool))


def images(count: int = 16) -> Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 4 - 2


def node_named(body: fx.GraphModule, name: str) -> fx.Node:
    return next(node for node in body.graph.nodes if str(node.target) == name or node.name == name)


# --- equal networks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("neuron", NEURONS)
def test_a_converted_qcfs_network_is_equal(kind: str, neuron: str) -> None:
    torch.manual_seed(0)
    ann = randomised(NETWORKS[kind](partial(QCFS, levels=1 if neuron == "if" else 8)))
    conversion = convert(ann, images(), neuron=neuron, members=8)
    for verdict in (verify(conversion, ann), verify(conversion.model, ann), verify(conversion, conversion.quantised)):
        assert verdict
        assert verdict.counts > 500
        assert len(verdict.sites) == len(conversion.report.neurons)
    if kind != "max-pool cnn":
        for time_steps in (2, 3):
            assert verify(conversion, ann, time_steps=time_steps)
            members, signed = 1 if neuron == "if" else None, neuron == "signed-group"
            assert verify(conversion.model, ann, time_steps=time_steps, members=members, signed=signed)


RISING = (nn.ReLU, nn.ReLU6, nn.Hardtanh)


@pytest.mark.parametrize(
    ("activation", "max_pool"),
    [*((kind, pool) for kind in RISING for pool in ("exact", "pre")), (nn.GELU, "exact"), (nn.SiLU, "exact")],
)
def test_a_converted_network_equals_its_quantised_twin(activation: type[nn.Module], max_pool: str) -> None:
    conversion = convert(everything(nn.MaxPool2d(2), activation), images(), calibrate="bias", max_pool=max_pool)
    verdict = verify(conversion, conversion.quantised)
    assert verdict
    assert verdict.sites == ("stem_act", "act", "act#2", "last")


def test_a_pool_moved_before_its_activation_is_equal_to_one_after_it() -> None:
    ann = everything(nn.MaxPool2d(2))
    assert verify(convert(ann, images(), members=LEVELS, max_pool="pre"), ann)


def test_the_twin_of_several_steps_is_equal_over_time() -> None:
    ann = everything(nn.AvgPool2d(2), nn.ReLU)
    for neuron in NEURONS:
        conversion = convert(ann, images(), neuron=neuron, time_steps=3, members=5)
        assert verify(conversion, conversion.quantised, time_steps=3)
        signed = neuron == "signed-group"
        assert verify(conversion.model, conversion.quantised, time_steps=3, signed=signed)


def test_a_deep_residual_network_is_equal() -> None:
    torch.manual_seed(0)
    ann = randomised(resnet(activation=partial(QCFS, levels=8)))
    verdict = verify(convert(ann, torch.randn(2, 3, 16, 16), members=8), ann, inputs=4)
    assert verdict
    assert len(verdict.sites) == 19


def test_the_networks_are_left_as_they_were() -> None:
    ann = everything(nn.MaxPool2d(2))
    snn = convert(ann, images(), members=LEVELS).model
    before, answers = copy.deepcopy(ann.state_dict()), snn(images())
    assert verify(snn, ann)
    assert all(torch.equal(before[name], tensor) for name, tensor in ann.state_dict().items())
    assert torch.equal(snn(images()), answers)
    assert type(snn.body.get_submodule("last").module) is GroupNeuron


# --- every fault is found, and its layer named -----------------------------------------------------------------


class AtZero(GroupNeuron):
    def initial_state(self, current: Tensor) -> GroupState:
        return GroupState(at_rest(current), at_rest(current))


class Altered(GroupNeuron):
    """A Group Neuron that counts in its own way."""

    def fired(self, membrane: Tensor) -> Tensor:
        raise NotImplementedError

    def step(self, current: Tensor, state: GroupState) -> tuple[Tensor, GroupState]:
        level = self.spike_value.reshape(-1, *[1] * (current.ndim - 2))
        membrane = state.membrane + current / level
        fired = self.fired(membrane)
        return fired * level, GroupState(membrane - fired, state.emitted + fired)


class Strict(Altered):
    def fired(self, membrane: Tensor) -> Tensor:
        return quantise(membrane.ceil() - 1, high=self.members)


class Capped(Altered):
    def fired(self, membrane: Tensor) -> Tensor:
        return quantise(membrane, high=self.members - 1)


class Uncapped(Altered):
    def fired(self, membrane: Tensor) -> Tensor:
        return quantise(membrane, high=self.members + 1)


class Forgetful(GroupNeuron):
    def step(self, current: Tensor, state: GroupState) -> tuple[Tensor, GroupState]:
        return super().step(current, self.initial_state(current))


class NoNeuron(nn.Module):
    def forward(self, folded: Tensor, time_steps: int) -> Tensor:
        return folded


class BatchFirst(Folded):
    def forward(self, folded: Tensor, time_steps: int) -> Tensor:
        train = folded.unflatten(0, (-1, time_steps)).transpose(0, 1)
        return self.module(train.contiguous()).transpose(0, 1).flatten(0, 1)


class BiasOnce(nn.Conv2d):
    def forward(self, values: Tensor) -> Tensor:
        first = len(values) // 3
        bare = self._conv_forward(values, self.weight, None)
        return torch.cat([self._conv_forward(values[:first], self.weight, self.bias), bare[first:]])


class Sums(ConvertedNetwork):
    def forward(self, values: Tensor, *, time_steps: int | None = None) -> Tensor:
        return self.train_out(values, time_steps=time_steps).sum(0)


class LosesAStep(ConvertedNetwork):
    def forward(self, values: Tensor, *, time_steps: int | None = None) -> Tensor:
        return self.train_out(values, time_steps=time_steps)[1:].mean(0)


def neuron(snn: ConvertedNetwork, name: str) -> GroupNeuron:
    return next(m for m in snn.body.modules() if isinstance(m, GroupNeuron) and m.label == name)


def becomes(kind: type[nn.Module], name: str, **settings: object) -> Callable[[ConvertedNetwork], None]:
    def fault(snn: ConvertedNetwork) -> None:
        module = neuron(snn, name) if issubclass(kind, GroupNeuron) else snn.body.get_submodule(name)
        module.__class__ = kind
        for setting, value in settings.items():
            setattr(module, setting, value)

    return fault


def assign(path: str, change: Callable[[Tensor], Tensor]) -> Callable[[ConvertedNetwork], None]:
    def fault(snn: ConvertedNetwork) -> None:
        owner, _, name = path.rpartition(".")
        holder = neuron(snn, owner) if name == "threshold" else snn.body.get_submodule(owner)
        getattr(holder, name).data.copy_(change(getattr(holder, name).data))

    return fault


def put(name: str, module: nn.Module) -> Callable[[ConvertedNetwork], None]:
    return lambda snn: snn.body.set_submodule(name, module)


def swap_layers(snn: ConvertedNetwork) -> None:
    first, second = snn.body.conv1, snn.body.conv2
    snn.body.conv1, snn.body.conv2 = second, first


def fold_norm_twice(snn: ConvertedNetwork) -> None:
    norm, conv = snn.body.norm1, snn.body.conv1
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    conv.weight.data *= scale.reshape(-1, 1, 1, 1)
    conv.bias.data = (conv.bias - norm.running_mean) * scale + norm.bias


def lose_shortcut(snn: ConvertedNetwork) -> None:
    node = node_named(snn.body, "add")
    node.replace_all_uses_with(node.args[0])
    snn.body.graph.erase_node(node)
    snn.body.recompile()


def share_threshold(snn: ConvertedNetwork) -> None:
    neuron(snn, "act#2").threshold.copy_(neuron(snn, "act").threshold * 1.25)


def apply_norm_again(snn: ConvertedNetwork) -> None:
    node = node_named(snn.body, "norm1")
    with snn.body.graph.inserting_after(node):
        again = snn.body.graph.call_module("norm1", (node,))
    node.replace_all_uses_with(again, delete_user_cb=lambda user: user is not again)
    snn.body.recompile()


FAULTS = {
    "lost bias": (assign("conv2.bias", torch.zeros_like), "conv2", "output"),
    "weight off by 1e-5 of the largest": (assign("conv3.weight", lambda w: w * (1 + 1e-5)), "conv3", "output"),
    "two layers of one shape swapped": (swap_layers, "conv1", "output"),
    "batch norm folded and kept": (fold_norm_twice, "conv1", "output"),
    "batch norm applied twice": (apply_norm_again, "act", "current"),
    "epsilon of another library": (becomes(nn.BatchNorm2d, "norm2", eps=1e-3), "norm2", "output"),
    "threshold off by one level": (assign("last.threshold", lambda t: t * (1 + 1 / LEVELS)), "last", "level"),
    "thresholds of channels exchanged": (assign("act.threshold", lambda t: t.flip(0)), "act", "level"),
    "threshold of another call": (share_threshold, "act#2", "level"),
    "members off by one": (becomes(GroupNeuron, "act", members=LEVELS + 1), "act", "level"),
    "one member too few, level kept": (becomes(Capped, "act#2"), "act#2", "count"),
    "one member too many, level kept": (becomes(Uncapped, "act"), "act", "count"),
    "rest 0": (becomes(AtZero, "stem_act"), "stem_act", "count"),
    "> instead of >=": (becomes(Strict, "last"), "last", "count"),
    "neuron of both signs": (becomes(GroupNeuron, "act", negative=True), "act", "count"),
    "neuron missing": (put("last", NoNeuron()), "last", "neuron"),
    "shortcut lost": (lose_shortcut, "act#2", "current"),
    "maximum becomes average": (put("pool", nn.AvgPool2d(2)), "pool", "output"),
    "pool of another size": (becomes(nn.MaxPool2d, "pool", padding=1), "pool", "shape"),
    "padding of another kind": (
        becomes(nn.Conv2d, "conv1", padding_mode="circular", _reversed_padding_repeated_twice=[1] * 4),
        "conv1",
        "output",
    ),
    "stride lost": (becomes(nn.Conv2d, "conv3", stride=(1, 1)), "conv3", "shape"),
    "readout transposed": (assign("head.weight", lambda w: w.flip(1)), "head", "output"),
    "readout without bias": (assign("head.bias", torch.zeros_like), "head", "output"),
}

FAULTS_OVER_TIME = {
    "sum instead of mean": (lambda snn: setattr(snn, "__class__", Sums), "output", "mean output"),
    "first step missing": (lambda snn: setattr(snn, "__class__", LosesAStep), "output", "mean output"),
    "bias at the first step only": (becomes(BiasOnce, "conv2"), "conv2", "output"),
    "signed instead of not": (becomes(GroupNeuron, "act", signed=True), "act", "count"),
    "time and batch exchanged": (becomes(BatchFirst, "last"), "last", "current"),
    "membrane forgotten": (becomes(Forgetful, "act#2"), "act#2", "count"),
    "lost bias": (assign("conv1.bias", torch.zeros_like), "conv1", "output"),
    "rest 0": (becomes(AtZero, "act"), "act", "count"),
}


def check_found(conversion: Conversion, ann: nn.Module, fault: str, table: dict, **settings: int) -> None:
    apply, layer, quantity = table[fault]
    assert verify(conversion, ann, **settings)
    apply(conversion.model)
    verdict = verify(conversion, ann, **settings)
    assert not verdict
    difference = verdict.difference
    assert (difference.layer, difference.quantity.removesuffix(", alone")) == (layer, quantity), verdict
    assert f"'{layer}'" in repr(verdict)


@torch.no_grad()
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_of_a_converter_is_found_and_its_layer_named(fault: str) -> None:
    ann = everything(nn.MaxPool2d(2))
    check_found(convert(ann, images(), members=LEVELS), ann, fault, FAULTS)


@torch.no_grad()
@pytest.mark.parametrize("fault", FAULTS_OVER_TIME)
def test_every_fault_over_time_is_found_and_its_layer_named(fault: str) -> None:
    ann = everything(nn.AvgPool2d(2))
    conversion = convert(ann, images(), members=LEVELS, time_steps=3)
    check_found(conversion, ann, fault, FAULTS_OVER_TIME, time_steps=3)


@torch.no_grad()
@pytest.mark.parametrize(
    ("fault", "quantity"), [({"reset": to_zero}, "count"), ({"spike_value": 1.0}, "level"), ({"rest": 0.25}, "count")]
)
def test_faults_of_an_if_are_found(fault: dict[str, object], quantity: str) -> None:
    ann = everything(nn.AvgPool2d(2), partial(QCFS, levels=1, threshold=1.5))

    def build(site: Site, **settings: object) -> IF:
        return IF(**{"threshold": site.threshold, "spike_value": site.threshold, "rest": 0.5, **settings})

    assert verify(convert(ann, images(), neuron=build).model, ann, time_steps=4, members=1)
    snn = convert(ann, images(), neuron=partial(build, **fault)).model
    difference = verify(snn, ann, time_steps=4, members=1).difference
    assert (difference.layer, difference.quantity) == ("stem_act", quantity)


@torch.no_grad()
def test_a_lost_calibration_is_found() -> None:
    conversion = convert(everything(nn.MaxPool2d(2), nn.ReLU), images(), calibrate="bias")
    conversion.model.body.get_submodule("last_bias").bias.zero_()
    difference = verify(conversion, conversion.quantised).difference
    assert (difference.layer, difference.quantity) == ("last", "current")


@torch.no_grad()
def test_a_fault_behind_a_silent_site_is_found() -> None:
    ann = everything(nn.MaxPool2d(2))
    ann.stem.bias.fill_(-100.0)
    conversion = convert(ann, images(), members=LEVELS)
    assert verify(conversion, ann)
    conversion.model.body.get_submodule("conv1").weight[2, 3] *= 2
    difference = verify(conversion, ann).difference
    assert (difference.layer, difference.index[1]) == ("conv1", 2)


@torch.no_grad()
def test_a_fault_of_a_neuron_that_the_inputs_never_reach_is_found() -> None:
    ann = everything(nn.MaxPool2d(2))
    conversion = convert(ann, images(), members=LEVELS)
    becomes(Capped, "stem_act")(conversion.model)
    difference = verify(conversion, ann, inputs=torch.zeros(1, 1, 8, 8)).difference
    assert (difference.layer, difference.quantity) == ("stem_act", "count, alone")
    assert (difference.expected, difference.found) == (LEVELS, LEVELS - 1)


@torch.no_grad()
def test_what_stopped_the_converted_network_is_named() -> None:
    ann = everything(nn.MaxPool2d(2))
    conversion = convert(ann, images(), members=LEVELS)
    conversion.model.body.set_submodule("head", nn.Linear(7, 5))
    difference = verify(conversion, ann).difference
    assert (difference.layer, difference.quantity) == ("output", "error")
    assert "RuntimeError" in difference.found


# --- rounding neither makes nor hides a difference -------------------------------------------------------------


class Backwards(nn.Conv2d):
    """The same convolution; its products are added in another order."""

    def forward(self, values: Tensor) -> Tensor:
        return self._conv_forward(values.flip(1), self.weight.flip(1), None) + self.bias.reshape(-1, 1, 1)


@torch.no_grad()
def test_the_order_of_a_sum_makes_no_difference() -> None:
    ann = randomised(resnet(depth=8, activation=partial(QCFS, levels=LEVELS)))
    for module in ann.modules():
        if isinstance(module, nn.Conv2d):
            module.bias = nn.Parameter(torch.randn(module.out_channels))
    conversion = convert(ann, torch.randn(4, 3, 8, 8), members=LEVELS)
    for module in conversion.model.body.modules():
        if isinstance(module, nn.Conv2d):
            module.__class__ = Backwards
    assert verify(conversion, ann)
    assert verify(conversion, ann, time_steps=2)


@torch.no_grad()
def test_exact_sums_do_not_depend_on_the_batch() -> None:
    ann, x = everything(nn.AvgPool2d(2), nn.ReLU).double(), images(9).double()
    with ExactSums():
        together, apart = ann(x), torch.cat([ann(x[:2]), ann(x[2:])])
    assert torch.equal(together, apart)
    assert torch.allclose(together, ann(x), atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("terms", [1, 9, 1000, 70000])
def test_exact_sums_are_those_of_whole_numbers(terms: int) -> None:
    draw = torch.Generator().manual_seed(terms)
    left, right = (torch.randint(-9, 10, (terms,), generator=draw) for _ in range(2))
    with ExactSums():
        found = F.linear(left[None].double(), right[None].double())
    assert found.item() == (left * right).sum().item()
