"""The operation counter against counts by hand, single connections one by one, and PyTorch's own counter."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode, flop_registry

import spikebridge as sb
from spikebridge.measure import LayerOperations, count_operations, record_spikes
from spikebridge.measure.counter import LAYERS as LAYER_TYPES
from spikebridge.measure.counter import MULTIPLIES
from spikebridge.measure.products import PRODUCTS


class Attention(nn.Module):
    """One head, as it is written by hand."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.query(x), self.key(x), self.value(x)
        return (q @ k.transpose(-2, -1) / 2.0).softmax(-1) @ v


class SelfAttention(nn.MultiheadAttention):
    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x, x, x)[0]


class Call(nn.Module):
    """A function of the input and of a weight."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], *shape: int) -> None:
        super().__init__()
        self.function, self.weight = function, nn.Parameter(torch.randn(shape))

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight)


class Deepening(nn.Module):
    """As many calls of a layer as the values ask for: no tracer could follow."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(int(x.sum())):
            x = self.layer(x)
        return x


ROWS = [4, 6, 4]  # taps per row of a padded 3x3 kernel on 3x3, of three: corner, edge, corner
BY_HAND: dict[str, tuple[nn.Module, tuple[int, ...], dict[str, int]]] = {
    "linear": (nn.Linear(5, 7), (5,), {"0": 5 * 7}),
    "linear on tokens": (nn.Linear(5, 7), (3, 5), {"0": 3 * 5 * 7}),
    "conv": (nn.Conv2d(2, 3, 3), (2, 6, 5), {"0": 4 * 3 * 9 * 2 * 3}),
    # On 3x3 with padding 1, corners meet 4 taps, edges 6, the centre 9.
    "padded": (nn.Conv2d(1, 1, 3, padding=1), (1, 3, 3), {"0": 4 * 4 + 4 * 6 + 9}),
    # Outputs at rows and columns 0 and 2 of 4: two taps inside for the first, three for the second.
    "strided": (nn.Conv2d(1, 1, 3, stride=2, padding=1), (1, 4, 4), {"0": (2 + 3) * (2 + 3)}),
    "stride that leaves a rest": (nn.Conv1d(1, 4, 2, stride=3), (1, 7), {"0": 2 * 2 * 4}),
    "dilated": (nn.Conv2d(1, 1, 3, dilation=2), (1, 5, 6), {"0": 1 * 2 * 9}),
    "grouped": (nn.Conv2d(4, 6, 1, groups=2), (4, 2, 2), {"0": 4 * 6 * 2}),
    "depthwise": (nn.Conv2d(4, 4, 3, groups=4), (4, 4, 4), {"0": 4 * 9 * 4}),
    "one axis": (nn.Conv1d(2, 3, 3), (2, 9), {"0": 7 * 3 * 2 * 3}),
    "three axes": (nn.Conv3d(1, 2, 2), (1, 3, 4, 3), {"0": 2 * 3 * 2 * 8 * 2}),
    # Four outputs of two taps; the last reaches one number into the padding.
    "even kernel, same size": (nn.Conv1d(1, 1, 2, padding="same"), (1, 4), {"0": 4 * 2 - 1}),
    "padded with copies": (nn.Conv1d(1, 1, 3, padding=1, padding_mode="replicate"), (1, 4), {"0": 4 * 3}),
    "padded around": (nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular"), (1, 4), {"0": 4 * 3}),
    "transposed": (nn.ConvTranspose2d(2, 3, 2, stride=2), (2, 3, 3), {"0": 9 * 2 * 4 * 3}),
    # Three inputs of three taps each; padding 1 crops the first tap of the first and the last tap of the last.
    "transposed and cropped": (nn.ConvTranspose1d(1, 1, 3, stride=2, padding=1), (1, 3), {"0": 3 * 3 - 2}),
    "transposed in groups": (nn.ConvTranspose1d(4, 6, 2, groups=2), (4, 5), {"0": 5 * 4 * 2 * 3}),
    "attention": (
        Attention(4),
        (3, 4),
        {"query": 3 * 16, "key": 3 * 16, "value": 3 * 16, "matmul": 3 * 3 * 4, "matmul#2": 3 * 3 * 4},
    ),
    # Three projections at once; two heads of width 4; the projection of the result.
    "multi-head attention": (
        nn.Sequential(SelfAttention(8, 2, batch_first=True)),
        (5, 8),
        {"0.linear": 5 * 8 * 24, "0.matmul": 2 * 25 * 4, "0.matmul#2": 2 * 25 * 4, "0.linear#2": 5 * 8 * 8},
    ),
    "scaled dot product": (
        Call(lambda x, _: F.scaled_dot_product_attention(x, x, x, is_causal=True), 1),
        (2, 5, 4),
        {"matmul": 2 * 5 * 5 * 4, "matmul#2": 2 * 5 * 5 * 4},
    ),
    "function": (Call(F.linear, 7, 5), (5,), {"linear": 5 * 7}),
    "convolution function": (Call(F.conv1d, 4, 2, 3), (2, 9), {"conv": 7 * 3 * 2 * 4}),
    "matrix product": (Call(torch.matmul, 5, 7), (3, 5), {"linear": 3 * 5 * 7}),
    "weight on the left": (Call(lambda x, w: w @ x, 7, 3), (3, 5), {"linear": 3 * 5 * 7}),
    "einsum": (Call(lambda x, w: torch.einsum("bnc,dc->bdn", x, w), 7, 5), (3, 5), {"linear": 3 * 5 * 7}),
    "outer einsum": (Call(lambda x, _: torch.einsum("bnc,bmc->bnm", x, x), 1), (3, 5), {"matmul": 3 * 3 * 5}),
    "vector": (Call(lambda x, w: x @ w, 5), (3, 5), {"linear": 3 * 5}),
    "added product": (
        Call(lambda x, w: torch.baddbmm(w, x, x.mT), 3),
        (3, 5),
        {"matmul": 3 * 5 * 3},
    ),
    "control flow": (Deepening(), (2,), {"layer": 4, "layer#2": 4}),
}


def counts(layers: list[LayerOperations]) -> dict[str, float]:
    return {layer.layer: sum(layer.per_step) for layer in layers}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", BY_HAND)
def test_dense_layers_cost_what_is_counted_by_hand(name: str) -> None:
    network, unit, expected = BY_HAND[name]
    x = torch.ones(1, *unit) if name == "control flow" else torch.rand(4, *unit)
    found = count_operations(network, x)
    assert {layer.kind for layer in found} == {"MAC"}
    assert counts(found) == expected
    assert [layer.connections for layer in found] == list(expected.values())
    assert all(len(layer.per_step) == 1 for layer in found)


# PyTorch's counter takes padding for numbers, and leaves out products of a matrix and a vector.
PADDED = {name for name in BY_HAND if "padded" in name} | {
    "strided",
    "even kernel, same size",
    "transposed and cropped",
}
UNPADDED = sorted(set(BY_HAND) - PADDED - {"vector", "control flow"})


@pytest.mark.parametrize("name", UNPADDED)
def test_dense_layers_without_padding_agree_with_pytorchs_own_counter(name: str) -> None:
    network, unit, _ = BY_HAND[name]
    x = torch.rand(4, *unit)
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    with FlopCounterMode(display=False) as flops, torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        network(x)
    torch.backends.mha.set_fastpath_enabled(fused)
    assert 4 * sum(counts(count_operations(network, x)).values()) == flops.get_total_flops() / 2


def test_whatever_pytorch_counts_is_counted_or_refused() -> None:
    names = {packet.__name__ for packet in flop_registry if hasattr(packet, "overloads")}
    forward = {name for name in names if "backward" not in name}
    assert len(forward) >= 10
    words = {name: name.strip("_").split("_") for name in forward}
    assert not [name for name in forward if name not in PRODUCTS and not any(map(MULTIPLIES.fullmatch, words[name]))]


LAYERS = {name: (case[0], case[1]) for name, case in BY_HAND.items() if isinstance(case[0], LAYER_TYPES)}


def reached_from_each_input(layer: nn.Module, unit: tuple[int, ...]) -> Tensor:
    """For each input, the number of outputs that it reaches: one input at a time, all weights 1."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(1.0)
        one_hot = torch.eye(int(torch.tensor(unit).prod())).reshape(-1, *unit)
        still = layer(torch.zeros(1, *unit))
        return (layer(one_hot) - still).flatten(1).sum(1).reshape(unit)


@pytest.mark.parametrize("name", LAYERS)
def test_every_spike_costs_one_accumulate_for_each_output_that_it_reaches(name: str) -> None:
    layer, unit = LAYERS[name]
    reached = reached_from_each_input(layer, unit)
    spikes = torch.randint(-2, 4, (4, *unit)).float()
    (found,) = count_operations(layer, spikes, values_are_spikes=True)
    assert (found.kind, found.connections) == ("AC", reached.sum().item())
    assert found.per_step == ((spikes.abs() * reached).sum().item() / 4,)


def test_steps_are_followed_where_attention_puts_tokens_before_samples() -> None:
    attention = sb.OverTime(SelfAttention(8, 2, batch_first=True))
    train = torch.randint(0, 2, (3, 3, 3, 8)).float()  # as many steps as samples and tokens
    train[1] *= 2
    projection, scores, *_ = count_operations(attention, train, values_are_spikes=True)
    assert (projection.layer, projection.kind) == ("0.linear", "AC")
    assert projection.per_step == tuple((24 * train.sum((1, 2, 3)).double() / 3).tolist())
    assert scores.per_step == (2 * 3 * 3 * 4.0,) * 3


def test_half_a_spike_is_no_spike() -> None:
    with pytest.raises(ValueError, match="the values are spikes, and expects whole numbers; got fractions"):
        count_operations(nn.Linear(2, 2), torch.full((1, 2), 0.5), values_are_spikes=True)


class SpikingAttention(nn.Module):
    """Attention between spike trains [time, batch, token, channel], without a softmax."""

    def __init__(self, width: int) -> None:
        super().__init__()
        lifted = (sb.OverTime(nn.Linear(width, width, bias=False)) for _ in range(3))
        self.query, self.key, self.value = lifted
        self.queries, self.keys, self.values = (sb.GroupNeuron(threshold=0.5, members=3) for _ in range(3))

    def forward(self, train: Tensor) -> Tensor:
        q = self.queries(self.query(train))
        k, v = self.keys(self.key(train)), self.values(self.value(train))
        return (q @ k.mT * 0.125) @ v


@torch.no_grad()
def test_attention_between_spikes_costs_one_accumulate_for_each_pair_that_meets() -> None:
    attention = SpikingAttention(4)
    train = torch.randint(0, 2, (3, 2, 5, 4)).float()  # three steps, two samples, five tokens
    with record_spikes(attention) as sent:
        attention(train)
    q, k, v = (sent[name] for name in ("queries", "keys", "values"))
    assert q.max() > 1  # several spikes at once
    pairs, heard = [0.0] * 3, [0.0] * 3
    for t, b, i, j, c in itertools.product(range(3), range(2), range(5), range(5), range(4)):
        pairs[t] += (q[t, b, i, c] * k[t, b, j, c]).item() / 2  # a query meets a key
        heard[t] += v[t, b, j, c].item() / 2  # a value is heard by every token: an analog score times spikes
    found = {layer.layer: layer for layer in count_operations(attention, train, values_are_spikes=True)}
    assert list(found) == ["query.0", "key.0", "value.0", "matmul", "matmul#2"]
    assert {layer.kind for layer in found.values()} == {"AC"}
    assert found["query.0"].per_step == tuple(4 * spikes / 2 for spikes in train.sum((1, 2, 3)).tolist())
    assert found["matmul"].per_step == pytest.approx(pairs, abs=0)
    assert found["matmul#2"].per_step == pytest.approx(heard, abs=0)
    assert [found[name].connections for name in ("matmul", "matmul#2")] == [5 * 5 * 4] * 2
    assert [found[name].weights for name in ("query.0", "matmul")] == [16, 0]


def small(lift: type[nn.Sequential], neuron: Callable[[], nn.Module]) -> nn.Sequential:
    first = lift(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4))
    second = lift(nn.AvgPool2d(2), nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6))
    return nn.Sequential(first, neuron(), second, neuron(), lift(nn.Flatten(), nn.Linear(24, 3)))


NEURONS: dict[str, Callable[[], nn.Module]] = {
    "IF": lambda: sb.IF(threshold=0.2),
    "LIF": lambda: sb.LIF(threshold=0.2),
    "Group Neuron": lambda: sb.GroupNeuron(threshold=0.5, members=4),
    "signed": lambda: sb.GroupNeuron(threshold=0.5, members=4, signed=True),
}


@pytest.mark.parametrize("neuron", NEURONS)
@torch.no_grad()
def test_a_directly_trained_network_costs_the_spikes_that_its_neurons_sent(neuron: str) -> None:
    torch.manual_seed(0)
    network = sb.SpikingNetwork(small(sb.OverTime, NEURONS[neuron]), encoder=sb.Direct(time_steps=5)).eval()
    x = torch.rand(5, 1, 8, 8)  # as many samples as steps
    with record_spikes(network) as sent:
        network(x)
    first, second, third = count_operations(network, x)
    # The image is the same at every step, so its layer runs once.
    assert (first.layer, first.kind, first.per_step) == ("0.0", "MAC", (4 * (6 * 6 * 9 + 4 * 6 * 6 + 4 * 4),))
    windows = reached_from_each_input(nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False), (4, 4, 4))
    reached = windows.repeat_interleave(2, 1).repeat_interleave(2, 2)  # each pooled number hands four on
    expected = (sent["1"].abs() * reached).sum((1, 2, 3, 4)).double() / 5
    assert (second.layer, second.kind, second.per_step) == ("2.1", "AC", tuple(expected.tolist()))
    expected = 3 * sent["3"].abs().sum((1, 2, 3, 4)).double() / 5
    assert (third.layer, third.kind, third.per_step) == ("4.1", "AC", tuple(expected.tolist()))
    assert sent["3"].abs().sum() > 0


@torch.no_grad()
def test_a_layer_called_step_by_step_is_one_layer_that_ran_at_every_step() -> None:
    torch.manual_seed(0)
    at_once, looped = small(sb.OverTime, NEURONS["LIF"]).eval(), small(sb.EachStep, NEURONS["LIF"]).eval()
    looped.load_state_dict(at_once.state_dict())
    train = torch.randint(0, 2, (3, 3, 1, 8, 8)).float()
    found = count_operations(looped, train, values_are_spikes=True)
    assert found == count_operations(at_once, train, values_are_spikes=True)
    assert [len(layer.per_step) for layer in found] == [3, 3, 3]
    encoded = [sb.SpikingNetwork(body, encoder=sb.Direct(time_steps=3)) for body in (at_once, looped)]
    x = torch.rand(2, 1, 8, 8)
    once, thrice = (count_operations(network, x) for network in encoded)
    # Only OverTime knows that the frame repeats.
    assert thrice[0].per_step == once[0].per_step * 3
    assert thrice[1:] == once[1:]
    assert thrice[0].connections == once[0].connections


@torch.no_grad()
def test_the_first_layer_behind_a_spike_code_accumulates() -> None:
    body = nn.Sequential(sb.OverTime(nn.Flatten(), nn.Linear(16, 8)), sb.LIF(), sb.OverTime(nn.Linear(8, 2)))
    network = sb.SpikingNetwork(body, encoder=sb.Latency(time_steps=4)).eval()
    x = torch.rand(4, 1, 4, 4)
    first, _ = count_operations(network, x)
    assert (first.kind, sum(first.per_step)) == ("AC", 16 * 8)  # every value spikes once
    assert first.per_step == tuple((8 * sb.Latency(time_steps=4)(x).sum((1, 2, 3, 4)).double() / 4).tolist())


@torch.no_grad()
@pytest.mark.parametrize("encode", ["forward", "encode"])
def test_steps_are_told_from_samples_where_both_are_as_many(encode: str) -> None:
    """The same network on values and on trains, with layers that know nothing of time before and after neurons."""

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.first, self.second = sb.Rate(time_steps=4), nn.Linear(6, 5), nn.Linear(5, 3)
            self.neuron = sb.IF()

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.neuron(self.first(getattr(self.encoder, encode)(x)))).mean(0)

    class OnTrains(Plain):
        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.neuron(self.first(x)))

    class BatchFirst(Plain):
        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.neuron(self.first(x).transpose(0, 1)))

    x = torch.rand(4, 6)
    torch.manual_seed(0)
    values = count_operations(Plain(), x)
    assert [len(layer.per_step) for layer in values] == [4, 4]
    train = torch.randint(0, 2, (4, 4, 6)).float()
    train[3] = 0.0
    (first, _), (swapped, _) = (
        count_operations(kind(), train, values_are_spikes=True) for kind in (OnTrains, BatchFirst)
    )
    assert first.per_step == tuple((5 * train.sum((1, 2)).double() / 4).tolist())
    assert swapped.per_step == (5 * train.sum().item() / 4,)  # before time came first, it was a batch


class Between(nn.Module):
    """Something between spikes and the layer that receives them."""

    def __init__(self, function: Callable[[Tensor], Tensor], width: int) -> None:
        super().__init__()
        self.function, self.layer = function, nn.Linear(width, 3)
        self.scale = nn.Parameter(torch.rand(2, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.function(x))


SPIKES = torch.tensor([[[[0, 1, 2, 0], [3, 0, 0, 1]], [[1, 1, 0, 0], [0, 2, 0, -1]]]]).float()  # [1, 2, 2, 4]
SENT = 12
PASSES: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "nothing": (lambda x: x, SENT),
    "identity": (nn.Identity(), SENT),
    "dropout": (nn.Dropout(0.5), SENT),
    "copy": (lambda x: x.clone().contiguous().detach(), SENT),
    "other type": (lambda x: x.to(torch.bfloat16).float(), SENT),
    "reshape": (lambda x: x.reshape(1, 2, 4, 2).transpose(2, 3), SENT),
    "flatten": (lambda x: x.flatten(1).view(1, 4, 4), SENT),
    "permute": (lambda x: x.permute(0, 2, 3, 1).movedim(-1, 1), SENT),
    "unsqueeze": (lambda x: x.unsqueeze(1).squeeze(0), SENT),
    "flip and roll": (lambda x: x.flip(-1).roll(1, -1), SENT),
    "channel": (lambda x: x[:, 1], 5),
    "indices": (lambda x: x[..., torch.tensor([0, 1, 2, 2])], 4 + 4 + 2 * 2),
    "halves": (lambda x: torch.cat(x.chunk(2, dim=1)), SENT),
    "steps": (lambda x: torch.stack(list(x.unbind(1))), SENT),
    "repeat": (lambda x: x.repeat(1, 3, 1, 1), 3 * SENT),
    "expand": (lambda x: x[:, :, None].expand(-1, -1, 3, -1, -1), 3 * SENT),
    "zeros beside": (lambda x: torch.cat([torch.zeros(1, 2, 2, 4), x], 1), SENT),
    "padding": (lambda x: F.pad(x, (0, 0, 1, 1)), SENT),
    # A row a b c d becomes b a b c d c.
    "reflection": (lambda x: F.pad(x, (1, 1, 0, 0), mode="reflect"), (2 + 4) + (3 + 1) + (1 + 2) + (4 + 1)),
    "upsampling": (lambda x: F.interpolate(x, scale_factor=2)[..., ::2], 2 * SENT),
    "pixel shuffle": (lambda x: F.pixel_unshuffle(x, 2), SENT),
    "scale": (lambda x: -x * 0.5 / 3, SENT),
    "sum": (lambda x: x + x.flip(1), 2 * SENT),
    "difference": (lambda x: x.sub(x), 2 * SENT),
    "pythons sum": (lambda x: sum([x, x]), 2 * SENT),
    "in place": (lambda x: x.clone().add_(x).mul_(2.0), 2 * SENT),
    "mean": (lambda x: x.mean(2), SENT),
    "sum over axis": (lambda x: x.sum(1, keepdim=True), SENT),
    "average pool": (lambda x: F.avg_pool2d(x, (2, 1)), SENT),
    # A window of three columns around every column: those at the edge are in two, the others in three.
    "overlapping pool": (lambda x: F.avg_pool2d(x, (1, 3), 1, (0, 1)), 3 * SENT - (3 + 1 + 1 + 1)),
    "pool that rounds up": (lambda x: F.avg_pool2d(x, (3, 1), ceil_mode=True), SENT),
    "one axis": (lambda x: F.avg_pool1d(x[0], 1), SENT),
    "adaptive pool": (lambda x: F.adaptive_avg_pool2d(x, (1, 4)), SENT),
    # The spikes of the largest entries: 3, 1, 2, 1 and 1, 2, 0, 0.
    "max pool": (lambda x: F.max_pool2d(x, (2, 1)), 3 + 1 + 2 + 1 + 1 + 2),
    "coincidence": (lambda x: x * x.flip(-1), 2 * (1 * 2) + 2 * (3 * 1)),
}


@pytest.mark.parametrize("name", PASSES)
@torch.no_grad()
def test_spikes_are_followed_through(name: str) -> None:
    function, expected = PASSES[name]
    network = Between(function, function(SPIKES).shape[-1])
    (found,) = count_operations(network, SPIKES, values_are_spikes=True)
    assert (found.kind, found.per_step) == ("AC", (3.0 * expected,))


LOSES: dict[str, Callable[[Tensor], Tensor]] = {
    "constant": lambda x: x + 1.0,
    "constant below": lambda x: 2.0 - x,
    "constant in place": lambda x: x.clone().add_(1.0),
    "constant through a view": lambda x: (y := x.clone(), y.view(-1).add_(1.0))[0],
    "part written": lambda x: (y := x.clone(), y[:, 0].fill_(0.5))[0],
    "frame of ones": lambda x: torch.cat([torch.ones(1, 2, 2, 4), x]),
    "position": lambda x: x * torch.rand(2, 2, 4),
    "reciprocal": lambda x: 1.0 / (x + 3.0),
    "analog numbers": lambda x: x * x.softmax(-1),
    "softmax": lambda x: x.softmax(-1),
    "layer norm": lambda x: F.layer_norm(x, (4,)),
    "batch statistics": lambda x: F.batch_norm(x, None, None, training=True),
    "padding that is not zero": lambda x: F.pad(x, (0, 0, 1, 1), value=1.0),
    "running dropout": lambda x: F.dropout(x, 0.5),
    "rounding": lambda x: torch.div(x, 2.0, rounding_mode="floor"),
    "whole numbers": lambda x: (x * 0.5).long().float(),
    "activation": lambda x: torch.sigmoid(x),
    "activation in place": lambda x: torch.sigmoid_(x.clone()),
}


@pytest.mark.parametrize("name", LOSES)
@torch.no_grad()
def test_what_is_no_spike_any_more_multiplies(name: str) -> None:
    function = LOSES[name]
    rows = function(SPIKES.clone()).flatten(0, -2).shape[0]
    (found,) = count_operations(Between(function, 4), SPIKES, values_are_spikes=True)
    assert (found.kind, found.per_step) == ("MAC", (rows * 4 * 3.0,))


@torch.no_grad()
def test_both_branches_of_a_residual_block_send_spikes() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.neuron = nn.Linear(4, 4, bias=False), sb.IF()
            self.outer = nn.Linear(4, 3)
            self.gain = nn.Parameter(torch.full((4,), 2.0))

        def forward(self, train: Tensor) -> Tensor:
            return self.outer(self.neuron(self.inner(train)) * self.gain + train)

    block = Block()
    block.inner.weight.copy_(torch.eye(4))
    train = torch.tensor([[1, 0, 0, 1], [0, 0, 1, 1]]).float()[:, None]
    # The identity repeats every spike, so the neurons send what came, and what came arrives a second time.
    inner, outer = count_operations(block, train, values_are_spikes=True)
    assert (inner.per_step, outer.per_step) == ((2.0 * 4, 2.0 * 4), (2 * 2.0 * 3, 2 * 2.0 * 3))


@torch.no_grad()
def test_padding_in_a_call_of_its_own_counts_nothing_either() -> None:
    inside, outside = nn.Conv2d(2, 3, 3, padding=1), nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(2, 3, 3))
    for spiking in (False, True):
        (first,), (second,) = (
            count_operations(network, SPIKES, values_are_spikes=spiking) for network in (inside, outside)
        )
        assert (first.per_step, first.connections) == (second.per_step, second.connections)
    assert first.kind == "AC"


@torch.no_grad()
def test_zero_inputs_and_zero_weights_are_not_effective() -> None:
    layer = nn.Linear(3, 2, bias=False)
    layer.weight.copy_(torch.tensor([[1.0, 0.0, 2.0], [3.0, 4.0, 0.0]]))
    x = torch.tensor([[1.0, 2.0, 0.0]])
    (analog,) = count_operations(layer, x)
    (spiking,) = count_operations(layer, x, values_are_spikes=True)
    # The first input meets two weights, the second one that is not zero, the third is zero itself.
    assert (analog.per_step, analog.effective) == ((6.0,), (2.0 + 1.0,))
    assert (spiking.per_step, spiking.effective) == (((1 + 2) * 2.0,), (1 * 2 + 2 * 1.0,))
    conv = nn.Conv1d(1, 2, 2, bias=False)
    conv.weight.copy_(torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]]]))
    # Inputs 1 0 2 of taps w0, w1: outputs (1 w0, 0 w1), (0 w0, 2 w1).
    (found,) = count_operations(conv, torch.tensor([[[1.0, 0.0, 2.0]]]))
    assert (found.per_step, found.effective) == ((8.0,), (2.0 + 1.0,))


@torch.no_grad()
def test_weights_are_all_numbers_that_a_layer_stores() -> None:
    network = nn.Sequential(
        nn.Conv1d(2, 4, 3),
        nn.ConvTranspose1d(4, 6, 2, bias=False),
        nn.utils.parametrizations.weight_norm(nn.Linear(4, 5)),
    )
    found = count_operations(network, torch.rand(3, 2, 5))
    assert [layer.weights for layer in found] == [2 * 4 * 3 + 4, 4 * 6 * 2, 4 * 5 + 5]
    (transposed,) = count_operations(Between(lambda x: x.transpose(0, 1), 4), torch.rand(2, 3, 4))
    assert transposed.weights == 4 * 3 + 3  # where PyTorch adds the bias in a call of its own


@torch.no_grad()
def test_parts_of_a_batch_are_one_layer_and_second_calls_are_another() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            parts = torch.cat([self.layer(part) for part in x.split(2)])
            return self.layer(parts)

    found = count_operations(Network(), torch.rand(6, 4))
    assert counts(found) == {"layer": 16, "layer#2": 16}


@torch.no_grad()
def test_spikes_are_followed_through_a_time_loop_written_by_hand() -> None:
    class Recurrent(nn.Module):
        """Feedback: a network that cannot run layer by layer."""

        def __init__(self) -> None:
            super().__init__()
            self.forth, self.back, self.neuron = nn.Linear(3, 4), nn.Linear(4, 4), sb.IF(threshold=0.1)

        def forward(self, train: Tensor) -> Tensor:
            spikes, state, sent = torch.zeros(train.shape[1], 4), None, []
            for step in range(len(train)):
                current = self.forth(train[step]) + self.back(spikes)
                state = state or self.neuron.initial_state(current)
                spikes, state = self.neuron.step(current, state)
                sent.append(spikes)
            return torch.stack(sent)

    network, train = Recurrent(), torch.rand(4, 2, 3)
    network.forth.weight.fill_(0.3)
    sent = network(train).sum((1, 2)).double()
    forth, back = count_operations(network, train)
    assert (forth.layer, forth.kind, forth.per_step) == ("forth", "MAC", (12.0,) * 4)
    # Counted at the step at which it was sent; what the last step sends, nobody hears.
    assert (back.layer, back.kind, back.per_step) == ("back", "AC", (*(4 * sent[:3] / 2).tolist(), 0.0))
    assert sent[:3].sum() > 0


class Hidden(nn.Module):
    """An operation that nobody can count, somewhere in a network."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@torch.library.custom_op("spikebridge_test::gram", mutates_args=())
def gram(x: Tensor) -> Tensor:
    return x @ x.mT


REFUSED: dict[str, tuple[nn.Module, str]] = {
    "recurrent": (nn.LSTM(4, 4), r"'1' \(LSTM\): it loops over time out of sight. Loop over its cell \(LSTMCell\)"),
    "bilinear": (
        Hidden(lambda x: F.bilinear(x, x, torch.rand(2, 4, 4))),
        r"'1._trilinear' \(aten._trilinear.default\)",
    ),
    "distances": (Hidden(lambda x: torch.cdist(x, x)), r"'1._cdist_forward' .* it multiplies, and there is no rule"),
    "fourier": (Hidden(lambda x: torch.fft.rfft(x).real), r"'1._fft_r2c' .* Write it with linear layers"),
    "solver": (Hidden(lambda x: torch.linalg.solve(x @ x.mT, x)), r"'1._linalg_solve_ex'"),
    "custom": (Hidden(gram), r"'1.gram' \(spikebridge_test.gram.default\): nobody can see into a custom operator"),
}


@pytest.mark.parametrize("name", REFUSED)
@torch.no_grad()
def test_what_cannot_be_counted_is_refused_by_name(name: str) -> None:
    module, message = REFUSED[name]
    with pytest.raises(ValueError, match="count_operations cannot count " + message):
        count_operations(nn.Sequential(nn.Linear(4, 4), module), torch.rand(2, 3, 4))


@torch.no_grad()
def test_products_of_constants_are_not_counted() -> None:
    merged = Call(lambda x, w: x @ (w @ w), 4, 4)
    assert counts(count_operations(merged, torch.rand(2, 4))) == {"linear": 16}


@torch.no_grad()
def test_a_number_of_steps_that_the_network_does_not_have_is_refused() -> None:
    network = sb.SpikingNetwork(nn.Sequential(sb.OverTime(nn.Linear(4, 2)), sb.IF()), encoder=sb.Direct(time_steps=3))
    assert count_operations(network, torch.rand(2, 4), time_steps=3) == count_operations(network, torch.rand(2, 4))
    with pytest.raises(ValueError, match="time_steps = 4, but SpikingNetwork ran with T = 3"):
        count_operations(network, torch.rand(2, 4), time_steps=4)
    with pytest.raises(ValueError, match="time_steps = 4, but Linear ran with T = 1"):
        count_operations(nn.Linear(4, 2), torch.rand(2, 4), time_steps=4)
    with pytest.raises(ValueError, match=r"at least one sample; got shape \(0, 4\)"):
        count_operations(network, torch.rand(0, 4))


def test_counting_leaves_nothing_behind() -> None:
    network = nn.Sequential(
        sb.Rate(time_steps=2), sb.OverTime(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)), sb.IF(), nn.Dropout(0.5)
    )
    network[1].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    count_operations(network, torch.rand(3, 1, 4, 4))
    with pytest.raises(RuntimeError):
        count_operations(network, torch.rand(3, 2, 4, 4))
    assert [module.training for module in network] == [True, False, True, True]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert not any({"step", "encode"} & set(vars(module)) for module in network.modules())
    assert torch.backends.mha.get_fastpath_enabled()


def test_the_callers_surroundings_make_no_difference() -> None:
    network = nn.Sequential(
        nn.Linear(4, 8), nn.ReLU(inplace=True), nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    )
    x = torch.rand(2, 3, 4)
    expected = count_operations(network, x)
    with torch.inference_mode():
        assert count_operations(network, torch.rand(2, 3, 4))[0] == expected[0]

    class Inferring(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        @torch.inference_mode()
        def forward(self, x: Tensor) -> Tensor:
            return self.network(x)

    inside = count_operations(Inferring(), x)
    assert [layer.layer for layer in inside] == [f"network.{layer.layer}" for layer in expected]
    assert [layer.weights for layer in inside] == [layer.weights for layer in expected]
    assert counts(count_operations(torch.compile(network), x)) == counts(expected)


class ByHand(nn.Module):
    """The loop over time as one writes it elsewhere; the image meets its layer once, or at every step."""

    def __init__(self, body: nn.Sequential, *, time_steps: int, once: bool) -> None:
        super().__init__()
        self.lift_in, self.neuron, self.lift_out = body
        self.time_steps, self.once = time_steps, once

    def forward(self, x: Tensor) -> Tensor:
        current, state, total = None, None, 0.0
        for _ in range(self.time_steps):
            current = current if self.once and current is not None else self.lift_in.layers(x)
            state = self.neuron.initial_state(current) if state is None else state
            spikes, state = self.neuron.step(current, state)
            total = total + self.lift_out.layers(spikes)
        return total / self.time_steps


@pytest.mark.parametrize("once", [True, False])
def test_a_loop_over_time_written_by_hand_counts_as_the_library_does(once: bool) -> None:
    x = torch.rand(3, 1, 6, 6)
    first = sb.OverTime(nn.Conv2d(1, 4, 3, bias=False))
    body = nn.Sequential(first, sb.LIF(threshold=0.1), sb.OverTime(nn.Flatten(), nn.Linear(64, 5)))
    library = count_operations(sb.SpikingNetwork(body, encoder=sb.Direct(time_steps=4)).eval(), x)
    hand = count_operations(ByHand(body, time_steps=4, once=once).eval(), x)
    assert len(hand) == len(library) == 2
    assert (hand[1].kind, hand[1].connections, hand[1].per_step) == ("AC", 320.0, library[1].per_step)
    assert sum(hand[1].per_step) > 0
    assert hand[0].connections == library[0].connections
    assert hand[0].per_step == library[0].per_step * (1 if once else 4)
