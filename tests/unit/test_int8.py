"""Eight bits: the sums are exact, the weights are rounded and nothing else, and what cannot be in bytes stays."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import (
    IF,
    LIF,
    QCFS,
    Direct,
    GroupNeuron,
    Hybrid,
    Latency,
    OverTime,
    SpikingNetwork,
    adapt,
    convert,
    declare_time,
    to_int8,
)
from spikebridge.blocks.int8 import LARGEST_COUNT, Int8Conv2d, Int8Layer, Int8Linear, has_int8_kernels
from spikebridge.blocks.tracing import traced
from spikebridge.blocks.whole import whole_numbers
from spikebridge.conversion import ConversionError, Int8Conversion
from spikebridge.training import compiler_problem

from ..networks import NETWORKS, network
from .host_networks import SIDE, SPIKING, eager, settled

CONVOLUTIONS: dict[str, Callable[[], nn.Module]] = {
    "padded": lambda: nn.Conv2d(6, 5, 3, padding=1),
    "strided, without bias": lambda: nn.Conv2d(6, 5, 3, stride=2, padding=2, bias=False),
    "dilated": lambda: nn.Conv2d(6, 5, (3, 1), dilation=2),
    "in groups": lambda: nn.Conv2d(6, 9, 3, padding=1, groups=3),
    "depthwise": lambda: nn.Conv2d(6, 6, 3, padding=1, groups=6),
}
LINEARS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(6, 5),
    "linear, without bias": lambda: nn.Linear(6, 5, bias=False),
}
LAYERS = CONVOLUTIONS | LINEARS
LEVELS = {"one level": torch.tensor(0.3), "a level for each input": torch.linspace(0.1, 0.7, 6)}
FLOAT_TOLERANCE = 1e-5
"""Rounding of a product with the scale and of the sum with the bias; the sums before are whole."""


def counts_for(layer: nn.Module, *, low: int, high: int) -> Tensor:
    shape = (4, 6, 7, 5) if isinstance(layer, nn.Conv2d) else (4, 3, 6)
    return torch.randint(low, high + 1, shape).float()


def times_level(counts: Tensor, level: Tensor) -> Tensor:
    return counts * (level[:, None, None] if level.ndim and counts.ndim == 4 else level)


def in_int8(layer: nn.Module, level: Tensor, lowest: int = 0) -> Int8Layer:
    kind = Int8Conv2d if isinstance(layer, nn.Conv2d) else Int8Linear
    return kind(layer, level=level, lowest=lowest).ready().eval()


def without_kernel(module: nn.Module) -> nn.Module:
    copied = copy.deepcopy(module)
    for part in copied.modules():
        if isinstance(part, Int8Layer):
            part._packed = None
    return copied


def rounded(layer: nn.Module, small: Int8Layer, level: Tensor) -> nn.Module:
    """The layer with the weights that its eight bits stand for, in float64: another way to the same numbers."""
    copied = copy.deepcopy(layer).double()
    whole = small.weight.double() * small.scale.double().reshape(-1, *[1] * (small.weight.ndim - 1))
    copied.weight.data = whole / small.by_input(level.double())
    return copied


@pytest.mark.parametrize("lowest", [0, -5])
@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
@pytest.mark.parametrize("build", LAYERS.values(), ids=LAYERS)
@torch.no_grad()
def test_int8_layer_computes_the_layer_of_rounded_weights(build, level, lowest) -> None:
    torch.manual_seed(0)
    layer = build()
    small = in_int8(layer, level, lowest)
    values = times_level(counts_for(layer, low=lowest, high=16), level)
    expected = rounded(layer, small, level)(values.double())
    for module in (small, without_kernel(small)):
        assert torch.allclose(module(values).double(), expected, atol=FLOAT_TOLERANCE)


@pytest.mark.parametrize("build", LAYERS.values(), ids=LAYERS)
@torch.no_grad()
def test_int8_layer_differs_by_what_its_weights_were_rounded(build) -> None:
    torch.manual_seed(1)
    layer, level = build(), torch.tensor(0.25)
    small = in_int8(layer, level)
    counts = counts_for(layer, low=0, high=16)
    ones = copy.deepcopy(layer)
    ones.weight.data.fill_(1.0)
    ones.bias = None
    bound = ones(counts) * small._along_outputs(small.scale) / 2
    assert ((small(level * counts) - layer(level * counts)).abs() <= bound + FLOAT_TOLERANCE).all()
    assert not torch.equal(small(level * counts), layer(level * counts))


@torch.no_grad()
def test_the_largest_counts_do_not_saturate() -> None:
    layer = nn.Linear(1000, 2, bias=False)
    layer.weight.data.fill_(1.0)
    values = torch.full((1, 1000), float(LARGEST_COUNT))
    assert in_int8(layer, torch.tensor(1.0))(values).tolist() == [[128e3, 128e3]]


def test_a_channel_of_zeros_stays_zero() -> None:
    layer = nn.Linear(3, 2, bias=False)
    layer.weight.data[0] = 0
    found = in_int8(layer, torch.tensor(1.0))(torch.ones(1, 3))
    assert found[0, 0] == 0
    assert torch.isfinite(found).all()


def test_int8_layer_refuses_what_it_cannot_compute() -> None:
    with pytest.raises(ValueError, match=r"one for each of 6 input channels; got \(3,\)"):
        in_int8(nn.Conv2d(6, 2, 3), torch.ones(3))
    with pytest.raises(ValueError, match=r"one for each of 6 input channels; got \(3,\)"):
        in_int8(nn.Linear(6, 2), torch.ones(3))
    with pytest.raises(ValueError, match="padding_mode='circular'"):
        in_int8(nn.Conv2d(6, 2, 3, padding=1, padding_mode="circular"), torch.tensor(1.0))
    with pytest.raises(ValueError, match="32 bits; got 140000 inputs"):
        in_int8(nn.Linear(140_000, 1), torch.tensor(1.0))
    wrong = nn.Linear(6, 2)
    wrong.weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="expects finite weights; got NaN"):
        in_int8(wrong, torch.tensor(1.0))
    with pytest.raises(RuntimeError, match="is for inference"):
        in_int8(nn.Linear(6, 2), torch.tensor(1.0))(torch.ones(1, 6, requires_grad=True))


@pytest.mark.parametrize(
    "settings", [{}, {"neuron": "signed-group", "time_steps": 3}, {"neuron": "if", "time_steps": 4}]
)
@pytest.mark.parametrize("granularity", ["layer", "channel"])
@pytest.mark.parametrize("build", NETWORKS.values(), ids=NETWORKS)
@torch.no_grad()
def test_a_converted_network_in_int8_is_the_one_of_rounded_weights(build, granularity, settings) -> None:
    torch.manual_seed(0)
    images = torch.rand(24, 1, 8, 8)
    source = build(nn.ReLU).eval()
    snn = convert(source, images, members=8, granularity=granularity, max_pool="pre", **settings).model
    found = to_int8(snn)
    assert len(found.layers) >= 2
    assert set(found.kept.values()) == {"receives values, and not spikes"}
    by_hand = copy.deepcopy(snn)
    small = {name.removesuffix("_int8"): part for name, part in found.model.body.named_modules()}
    for name in found.layers:
        layer = by_hand.body.get_submodule(name)
        layer.weight.data = rounded(layer, small[name], small[name].level).weight.data.float()
    assert torch.allclose(found.model(images), by_hand(images), atol=FLOAT_TOLERANCE)
    assert torch.allclose(without_kernel(found.model)(images), found.model(images), atol=FLOAT_TOLERANCE)
    outputs, state = [], None
    for _ in range(snn.time_steps):
        output, state = found.model.step(images, state)
        outputs.append(output)
    assert torch.allclose(torch.stack(outputs), found.model.train_out(images), atol=FLOAT_TOLERANCE)


@pytest.fixture
def small() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    values = torch.randn(16, 6)
    ann = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    return convert(ann, values, members=8).model, values


@torch.no_grad()
def test_int8_network_survives_copies_and_files(small, tmp_path) -> None:
    found, values = to_int8(small[0]).model, small[1]
    expected = found(values)
    torch.save(found.state_dict(), tmp_path / "weights.pt")
    other = to_int8(small[0]).model
    for part in other.modules():
        if isinstance(part, Int8Layer):
            part.weight.zero_()
            part.ready()
    assert not torch.equal(other(values), expected)
    other.load_state_dict(torch.load(tmp_path / "weights.pt"))
    for copied in (copy.deepcopy(found), pickle.loads(pickle.dumps(found)), other):
        assert torch.equal(copied(values), expected)
    assert torch.allclose(found.double()(values.double()).float(), expected, atol=FLOAT_TOLERANCE)


@torch.no_grad()
def test_int8_network_leaves_its_source_alone(small) -> None:
    network, values = small
    before = network(values), [name for name, _ in network.named_modules()], network.body.code
    model = to_int8(network).model
    _, state = model.step(values)
    assert torch.equal(network(values), before[0])
    assert ([name for name, _ in network.named_modules()], network.body.code) == before[1:]
    assert not any(parameter.requires_grad for parameter in model.parameters())
    with pytest.raises(ValueError, match="another network"):
        network.step(values, state)


def test_int8_network_says_what_it_kept() -> None:
    def twice(net: nn.Module, x: Tensor) -> Tensor:
        x = F.relu(net.first(x))
        return net.last(F.relu(net.again(F.relu(net.again(x)))))

    torch.manual_seed(0)
    values = torch.randn(16, 6)
    ann = network(twice, first=nn.Linear(6, 6), again=nn.Linear(6, 6), last=nn.Linear(6, 2))
    snn = convert(ann, values).model
    found = to_int8(snn)
    assert str(found).splitlines() == [
        "3 of 4 layers in eight bits: again, again#2, last.",
        "Kept 'first': receives values, and not spikes",
    ]
    snn.body.last.register_forward_hook(lambda *_: None)
    assert to_int8(snn).kept["last"] == "has hooks"
    many = to_int8(convert(ann, values, members=129).model)
    assert many.kept["last"] == "receives up to 129 spikes in a step; bytes hold 128"

    class Other(IF):
        def step(self, current, state):
            return super().step(current, state)

    own = to_int8(convert(ann, values, neuron=lambda site: Other(threshold=site.threshold)).model)
    assert own.kept["last"] == "how many spikes a Other sends in a step is not known"

    def functional(net: nn.Module, x: Tensor) -> Tensor:
        return F.linear(net.first(x).relu(), net.last.weight)

    function = to_int8(convert(network(functional, first=nn.Linear(6, 6), last=nn.Linear(6, 2)), values).model)
    assert function.kept["linear"].startswith("is a function with weights") and len(function.kept) == 2
    with pytest.raises(ValueError, match=r"expects a spiking network; Sequential has no neuron\. Pass convert"):
        to_int8(nn.Sequential(nn.Linear(2, 2)))
    with pytest.raises(TypeError, match="expects a spiking network; got str"):
        to_int8("resnet18")


@torch.no_grad()
def test_tokens_have_a_level_for_each_channel() -> None:
    torch.manual_seed(0)
    tokens = torch.randn(8, 5, 6)
    ann = nn.Sequential(nn.Linear(6, 12), nn.GELU(), nn.Linear(12, 4)).eval()
    snn = convert(ann, tokens, members=16).model
    found = to_int8(snn)
    assert found.layers == ("2",)
    assert torch.allclose(found.model(tokens), snn(tokens), atol=0.02)


def test_signed_neurons_send_at_most_twice_their_members() -> None:
    torch.manual_seed(0)
    values = torch.randn(16, 6)
    ann = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    for members, layers in ((64, ("2",)), (65, ())):
        assert to_int8(convert(ann, values, members=members, neuron="signed-group").model).layers == layers


@torch.no_grad()
def test_a_maximum_of_running_means_is_no_count() -> None:
    images = torch.rand(8, 1, 8, 8)
    ann = NETWORKS["max-pool cnn"](nn.ReLU).eval()
    assert to_int8(convert(ann, images, max_pool="exact").model).layers == ()


@torch.no_grad()
def test_decide_agrees_with_the_full_run_in_int8() -> None:
    torch.manual_seed(0)
    images = torch.rand(8, 1, 8, 8)
    model = to_int8(convert(NETWORKS["residual cnn"](nn.ReLU).eval(), images, members=4, time_steps=4).model).model
    assert torch.equal(model.decide(images).prediction, model(images).argmax(1))
    spiking_end, values = (
        to_int8(
            convert(nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2)).eval(), torch.randn(8, 6)).model
        ).model,
        torch.randn(8, 6),
    )
    with pytest.raises(ConversionError, match="Int8Linear"):
        spiking_end.decide(values)


@pytest.mark.skipif(compiler_problem("cpu") is not None, reason="torch.compile has no compiler here")
@torch.no_grad()
def test_int8_network_compiles_whole(small) -> None:
    found, values = to_int8(small[0]).model, small[1]
    compiled = torch.compile(found, fullgraph=True)
    assert torch.allclose(compiled(values), found(values), atol=FLOAT_TOLERANCE)


@torch.no_grad()
def test_qcfs_networks_in_int8_answer_alike() -> None:
    torch.manual_seed(0)
    images = torch.rand(64, 1, 8, 8)
    ann = NETWORKS["residual cnn"](partial(QCFS, levels=16)).eval()
    snn = convert(ann, images, members=16).model
    assert isinstance(next(part for part in snn.modules() if isinstance(part, GroupNeuron)), GroupNeuron)
    difference = (to_int8(snn).model(images) - snn(images)).abs().mean() / snn(images).std()
    assert 0 < difference < 0.1


def test_kernels_are_there_where_the_suite_says_so() -> None:
    assert has_int8_kernels() == isinstance(in_int8(nn.Linear(2, 2), torch.tensor(1.0))._packed, Tensor)


# --- networks trained with neurons -------------------------------------------------------------------------


def trained_host(name: str) -> tuple[SpikingNetwork, Tensor]:
    torch.manual_seed(0)
    side = 64 if "pools" in name else SIDE
    network = SpikingNetwork(SPIKING[name](activation=eager), encoder=Direct(time_steps=3))
    values = torch.rand(4, 3, side, side)
    return settled(network, values), values


def with_rounded_weights(network: nn.Module, found: Int8Conversion) -> nn.Module:
    """The network with the weights that the bytes stand for, where it has them."""
    copied = copy.deepcopy(network)
    body = found.model.body
    for name in found.layers:
        owner, _, index = name.rpartition(".")
        small = body.get_submodule(f"{owner}_int8.{index}")
        layer = copied.body.get_submodule(name)
        layer.weight.data = rounded(layer, small, small.level).weight.data.float()
    return copied


@pytest.mark.parametrize("name", SPIKING)
@torch.no_grad()
def test_a_trained_network_in_int8_is_the_one_of_rounded_weights(name: str) -> None:
    network, values = trained_host(name)
    found = to_int8(network)
    assert len(found.layers) >= 4
    by_hand = with_rounded_weights(network, found)
    assert by_hand(values).std(0).max() > 0
    # A membrane at its threshold may fall on its other side; on these it does not.
    assert torch.allclose(found.model(values), by_hand(values), atol=1e-4)
    assert torch.allclose(without_kernel(found.model)(values), found.model(values), atol=1e-4)
    assert isinstance(found.model, SpikingNetwork)
    assert found.model.body.graph is not None


@torch.no_grad()
def test_sums_of_spikes_are_counts_and_sums_with_currents_are_not() -> None:
    stem, values = "is part of a Stem", "receives values, and not spikes"
    kept = {name: to_int8(trained_host(name)[0]).kept for name in ("sew-add", "sew-iand", "plain", "ms")}
    assert kept["sew-add"] == kept["sew-iand"] == kept["plain"] == {"stem.0": stem, "readout.2": values}
    assert kept["ms"] == kept["plain"] | {"blocks.1.shortcut.0": values}


@torch.no_grad()
def test_an_adapted_network_and_binary_codes_in_int8() -> None:
    torch.manual_seed(0)
    host, values = trained_host("sew-add")
    adapted = adapt(host, 3, encoder=Hybrid(time_steps=3))
    found = to_int8(adapted)
    assert found.layers
    assert "is part of a HybridStem" in found.kept.values()
    assert torch.allclose(found.model(values), with_rounded_weights(adapted, found)(values), atol=1e-4)
    body = nn.Sequential(OverTime(nn.Linear(6, 5)), LIF(), OverTime(nn.Linear(5, 2)))
    for code, layers in ((Latency(time_steps=3), ("0.0", "2.0")), (Direct(time_steps=3), ("2.0",))):
        assert to_int8(SpikingNetwork(body, encoder=code)).layers == layers
    small = to_int8(declare_time(body, time_steps=3))
    train = torch.rand(3, 4, 6)
    assert torch.allclose(small.model(train), body(train), atol=0.02)


def test_a_forward_that_cannot_be_traced_is_named() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.neuron = LIF()

        def forward(self, train: Tensor) -> Tensor:
            return self.neuron(train) if train.sum() > 0 else train

    with pytest.raises(ValueError, match=r"torch\.fx can trace; Branching is not"):
        to_int8(Branching())


def test_numbers_stay_whole_only_where_they_must() -> None:
    class Calls(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = LIF(), LIF()

        def forward(self, train: Tensor) -> tuple[Tensor, ...]:
            one, two = self.one(train), self.two(train)
            sums = one + two
            return (
                sums,
                one * two,
                1.0 - one,
                0.5 - one,
                one + 0.5,
                one.mean(0),
                F.dropout(one),
                torch.cat([sums, one]),
            )

    graph = traced(Calls(), owner="a test", advice="")
    known = whole_numbers(graph)
    returned = next(node for node in graph.graph.nodes if node.op == "output").args[0]
    assert [None if known.get(node) is None else known[node][1:3] for node in returned] == [
        *((0, 2), (0, 1), (0, 1), None, None, None, None, (0, 2))
    ]


class Changing(nn.Module):
    """Changes what its neuron sent, under a name that the change is not seen by."""

    def __init__(self, change: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.neuron, self.head, self.change = LIF(threshold=0.2), OverTime(nn.Linear(6, 3)), change

    def forward(self, train: Tensor) -> Tensor:
        spikes = self.neuron(train)
        self.change(spikes)
        return self.head(spikes)


@pytest.mark.parametrize("change", [lambda s: s.add_(0.5), lambda s: torch.relu_(s)])
@torch.no_grad()
def test_what_is_changed_in_place_is_not_taken_for_spikes(change: Callable[[Tensor], object]) -> None:
    torch.manual_seed(0)
    network, train = Changing(change), torch.rand(3, 4, 6)
    found = to_int8(network)
    assert found.kept == {"head.0": "receives values, and not spikes"}
    assert torch.allclose(found.model(train), network(train))


@torch.no_grad()
def test_an_int8_network_made_narrow_or_wide_computes_the_same() -> None:
    torch.manual_seed(0)
    body = nn.Sequential(OverTime(nn.Linear(6, 5)), LIF(threshold=0.3), OverTime(nn.Linear(5, 2))).eval()
    small, train = to_int8(body).model, torch.rand(3, 4, 6)
    expected = small(train)
    assert torch.allclose(copy.deepcopy(small).double()(train.double()).float(), expected, atol=FLOAT_TOLERANCE)
    assert copy.deepcopy(small).bfloat16()(train.bfloat16()).shape == expected.shape


# --- what must not be taken for counts, and what must not be lost --------------------------------------------


def equal_to_source(network: nn.Module, values: Tensor, **settings: object) -> Int8Conversion:
    """The difference from the source is that of rounded weights, a share of the outputs' spread."""
    found = to_int8(network)
    with torch.no_grad():
        source, small = network.eval()(values), found.model(values)
    assert (small - source).abs().max() <= 0.06 * source.std(), (found, (small - source).abs().max())
    return found


def test_layers_that_occur_twice_in_a_lifted_sequence_stay() -> None:
    torch.manual_seed(0)
    relu, linear = nn.ReLU(), nn.Linear(6, 6)
    body = nn.Sequential(LIF(threshold=0.3), OverTime(linear, relu, linear, relu, nn.Linear(6, 3)))
    assert equal_to_source(body, torch.rand(3, 16, 6)).layers == ("1.0",)


class Rows(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.reshape(values.shape[0], -1)


@pytest.mark.parametrize("flatten", [nn.Flatten(), Rows()])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.GELU])
def test_levels_of_tokens_do_not_survive_flattening(activation: type[nn.Module], flatten: nn.Module) -> None:
    torch.manual_seed(0)
    tokens = torch.randn(16, 5, 6) * torch.tensor([1.0, 1, 9, 1, 1, 4])
    ann = nn.Sequential(nn.Linear(6, 6), activation(), flatten, nn.Linear(30, 4)).eval()
    equal_to_source(convert(ann, tokens, members=16).model, tokens)


def test_levels_of_channels_are_not_those_of_another_axis() -> None:
    torch.manual_seed(0)
    images = torch.randn(16, 6, 5, 6)
    ann = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(), nn.Linear(6, 3)).eval()
    found = to_int8(convert(ann, images, members=16).model)
    if found.layers:
        with pytest.raises(ValueError, match="expects rows"):
            found.model(images)


def test_pools_over_channels_end_what_is_known() -> None:
    torch.manual_seed(0)
    threshold = torch.linspace(0.2, 3.0, 6)
    for level, layers in ((threshold, ()), (1.0, ("1.1",))):
        body = nn.Sequential(GroupNeuron(threshold=level), OverTime(nn.MaxPool1d(3, 1, 1), nn.Linear(6, 3)))
        assert equal_to_source(body, torch.rand(3, 16, 6)).layers == layers


def test_counts_far_from_zero_do_not_fit() -> None:
    class Far(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.neuron, self.head = LIF(), OverTime(nn.Linear(6, 3))

        def forward(self, train: Tensor) -> Tensor:
            return self.head(300 - self.neuron(train))

    assert to_int8(Far()).kept == {"head.0": "receives up to 300 spikes in a step; bytes hold 128"}


@pytest.mark.parametrize("place", ["0", "1", "2.0"])
def test_hooks_before_a_layer_end_what_is_known(place: str) -> None:
    body = nn.Sequential(LIF(threshold=0.3), nn.Identity(), OverTime(nn.Identity(), nn.Linear(6, 3)))
    body.get_submodule(place).register_forward_hook(lambda module, args, output: 0.3 * output)
    assert equal_to_source(body, torch.rand(3, 16, 6)).layers == ()


def test_hooks_on_the_whole_network_are_refused() -> None:
    body = nn.Sequential(LIF(), OverTime(nn.Linear(6, 3)))
    body.register_forward_hook(lambda module, args, output: 0.3 * output)
    for hooked in (body, SpikingNetwork(body, encoder=Direct(time_steps=3))):
        with pytest.raises(ValueError, match="without hooks on the whole of it"):
            to_int8(hooked)


def test_a_network_class_of_ones_own_keeps_its_forward() -> None:
    class Softened(SpikingNetwork):
        def forward(self, values: Tensor) -> Tensor:
            return super().forward(values).softmax(-1)

    torch.manual_seed(0)
    body = nn.Sequential(OverTime(nn.Linear(6, 8)), LIF(threshold=0.3), OverTime(nn.Linear(8, 3)))
    found = equal_to_source(Softened(body, encoder=Direct(time_steps=3)), torch.rand(16, 6))
    assert type(found.model) is Softened
    with pytest.raises(ValueError, match=r"whose leading axis is 2"):
        found.model.body(torch.rand(2, 4, 6))


def test_a_second_name_of_what_is_changed_is_seen() -> None:
    class Aliased(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.neuron, self.head = LIF(threshold=0.2), OverTime(nn.Linear(6, 3))

        def forward(self, train: Tensor) -> Tensor:
            spikes = self.neuron(train)
            alias = spikes
            alias *= 0.3
            return self.head(spikes)

    torch.manual_seed(0)
    assert equal_to_source(Aliased(), torch.rand(3, 16, 6)).layers == ()


def test_nan_stays_nan_in_its_sample_alone() -> None:
    small = in_int8(nn.Linear(6, 2), torch.tensor(1.0))
    values = torch.ones(3, 6)
    values[1, 2] = torch.nan
    assert small(values).isnan().any(1).tolist() == [False, True, False]
    assert small(torch.ones(6)).shape == (2,)  # one sample, without a batch


def test_int8_layers_refuse_training_and_take_empty_batches() -> None:
    small = in_int8(nn.Linear(6, 2), torch.tensor(1.0))
    assert small(torch.ones(0, 4, 6)).shape == (0, 4, 2)
    with pytest.raises(RuntimeError, match=r"training mode\. Call \.eval"):
        small.train()(torch.ones(1, 6))


def test_looking_for_kernels_leaves_random_numbers_alone() -> None:
    torch.manual_seed(0)
    has_int8_kernels.cache_clear()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = has_int8_kernels()
    drawn = torch.rand(3)
    torch.manual_seed(0)
    has_int8_kernels.cache_clear()
    assert torch.equal(torch.rand(3), drawn)
    assert has_int8_kernels() == found
