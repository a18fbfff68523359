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


@pytest.mark.parametrize("name", BY_HAND)
def test_dense_layers_cost_what_is_counted_by_hand(name: str) -> None:
    network, unit, expected = BY_HAND[name]
    x = torch.ones(1, *unit) if name == "control flow" else torch.rand(4, *unit)
    found = count_operations(network, x)
    assert {layer.kind for layer in found} == {"MAC"}
    assert counts(found) == expected
    assert [layer.connections for layer in found] == list(expected.values())
    assert all(len(layer.per_step) == 1 for layer in found)


UNPADDED = [name for name, (layer, *_) in BY_HAND.items() if "pad" not in name and name not in ("strided", "control flow")]
UNPADDED = [name for name in UNPADDED if name not in ("even kernel, same size", "transposed and cropped")]


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
