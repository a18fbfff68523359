"""What hybridize refuses, and what it says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import LIF, BitPlane
from spikebridge.blocks import RateDecoder
from spikebridge.hybrid import hybridize
from spikebridge.hybrid.runs import runs_of
from tests.unit.hybrid_blocks import images, network


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else F.relu(x)


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return F.relu(x + y)


class ByModeOnly(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x.exp() if self.training else x)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return F.relu(x), x


class OwnWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x * self.scale)


@pytest.mark.parametrize(
    ("bad", "settings", "message"),
    [
        (
            Branching(),
            {},
            r"'1' \(Branching\): symbolically traced .*\(at .*test_hybridize_refusals.py:\d+\)\. Its forward must",
        ),
        (TwoInputs(), {}, r"'1' \(TwoInputs\): .*missing 1 required .*'y' \(at .*test_hybridize_refusals.py:\d+\)"),
        (
            ByModeOnly(),
            {},
            r"it makes other calls in training than in eval mode \(at .*test_hybridize_refusals.py:\d+\)",
        ),
        (Pair(), {}, r"'1' \(Pair\): it gives no single tensor \(at .*test_hybridize_refusals.py:\d+\)"),
        (nn.ModuleList([nn.Linear(4, 4)]), {}, r"'1' \(ModuleList\): it has no forward\. Choose the modules in it"),
        (nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), {}, r"'1' \(TransformerEncoderLayer\): symbolically"),
        (nn.MultiheadAttention(4, 2), {}, r"MultiheadAttention, at .*, has batch_first=False.*batch_first=True"),
        (
            nn.MultiheadAttention(4, 2, batch_first=True),
            {},
            r"a MultiheadAttention gives more than one tensor, or",
        ),
        (nn.GRU(4, 4, batch_first=True), {}, r"a GRU gives more than one tensor, .* Choose a module around it"),
        (nn.Sequential(LIF()), {}, r"it has spikes already, of '0' \(LIF\), at .*lif.py:\d+, which is told T"),
        (nn.ReLU(), {}, r"'1' \(ReLU\): it has no weights, .*never bring the default neuron .*LIF\(threshold=0.5\)"),
        (OwnWeights(), {"weights": "fresh"}, r"fresh weights for '1' \(OwnWeights\): OwnWeights, at .*py:\d+, has wei"),
        (nn.Linear(4, 4), {"weights": "old"}, r"weights to be 'copy' or 'fresh'; got 'old'"),
        (nn.Linear(4, 4), {"mode": "both"}, r"mode to be one of serial, add, gated; got 'both'"),
        (nn.Linear(4, 4), {"encoder": BitPlane()}, r"encoder to make one for each .*lambda: BitPlane.*; got BitPlane"),
        (nn.Linear(4, 4), {"encoder": nn.ReLU}, r"encoder to make one, such as .*; it made ReLU\(\)"),
        (nn.Linear(4, 4), {"neuron": LIF()}, r"neuron to make neurons, one for each .*lambda: LIF.*; got LIF"),
        (nn.Linear(4, 4), {"neuron": nn.ReLU}, r"neuron to make neurons, .*; it made ReLU\(\)"),
        (nn.Linear(4, 4), {"decoder": RateDecoder()}, r"decoder to make one .*RateDecoder; got RateDecoder"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_what_has_no_twin_is_refused(bad: nn.Module, settings: dict[str, Any], message: str) -> None:
    net = nn.Sequential(nn.Linear(4, 4), bad)
    before = repr(net)
    with pytest.raises((ValueError, TypeError), match=message):
        hybridize(net, "1", **settings)
    assert repr(net) == before


class Timed(nn.Module):
    """A block that is told more than its values, as those of diffusion models are."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor, t: Tensor | None = None) -> Tensor:
        return F.relu(self.layer(x) + (0.0 if t is None else t))


class Around(nn.Module):
    def __init__(self, *, by_name: bool) -> None:
        super().__init__()
        self.block, self.by_name = Timed(), by_name

    def forward(self, x: Tensor) -> Tensor:
        t = x.mean()
        return self.block(x, t=t) if self.by_name else self.block(x, t)


@pytest.mark.parametrize("by_name", [False, True])
def test_a_module_that_is_given_more_than_one_tensor_is_refused(by_name: bool) -> None:
    with pytest.raises(ValueError, match=r"one tensor; Timed at .*py:\d+ is given Tensor, Tensor\. Choose modules"):
        hybridize(Around(by_name=by_name), "block", batches=[torch.randn(5, 4)])


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("2.conv3", r"no module '2.conv3' in Sequential. The nearest are '2.conv2', '2.conv1', "),
        ("%", r"no module '%' in Sequential. There are '0', '1', '2', '2.conv1', .* and 5 more"),
        (["2", "norm*"], r"no module 'norm\*' in Sequential"),
        (["2", "2.conv1"], r"was given '2.conv1', which lies within '2'. Leave one of them out"),
        (nn.Conv3d, r"no Conv3d in Sequential. There are AdaptiveAvgPool2d \(1\), BatchNorm2d \(5\), Conv2d \(5\)"),
        ((nn.Conv3d, nn.GRU), r"no Conv3d or GRU in Sequential"),
        (nn.Sequential, r"no Sequential in Sequential. The model itself is one: wrap it, nn.Sequential\(model\)"),
        (lambda name, module: False, r"where to be true of a module; it is of none of 17 in Sequential. There are A"),
        ([], r"where to be a name or names, such as 'layer2.\*', .*; got \[\]"),
        (nn.ReLU(), r"where to be a name or names, .*; got ReLU\(\)"),
    ],
)
def test_a_choice_of_nothing_is_refused_with_what_there_is(where: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        hybridize(network(), where)


def test_a_network_that_cannot_be_copied_faithfully_is_refused() -> None:
    patched = network()
    patched[2].forward = lambda x: x
    bad: list[tuple[Any, str]] = [
        (patched, r"forward of '2' was put into the object"),
        (torch.compile(network(), backend="eager"), r"compiled; hybridize the original \(model._orig_mod\)"),
        (network().bfloat16(), r"float32 or float64 weights; got torch.bfloat16. Pass model.float\(\)"),
        ("network", r"expects an nn.Module; got str"),
    ]
    for net, message in bad:
        with pytest.raises((ValueError, TypeError), match=message):
            hybridize(net, "2")


def test_weights_that_are_read_and_not_called_are_refused() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.MultiheadAttention(4, 2, batch_first=True))
    with pytest.raises(ValueError, match=r"cannot replace '1.out_proj': MultiheadAttention reads its weights and does"):
        hybridize(net, nn.Linear)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("0:1.conv1", r"no module '0:1.conv1' in Sequential"),
        ("2.conv1:2", r"no module '2.conv1:2'"),
        ("2.0:2", r"'2.0:2' to be places in an nn.Sequential; '2' is Residual. Name the module that calls these"),
        ("9.0:2", r"places in an nn.Sequential; '9' is no module"),
        ("2:2", r"places in '2:2' to be start:stop with start < stop <= 7, as 'Sequential' has 7 modules"),
        ("5:8", r"start < stop <= 7"),
        (["0:2", "1"], r"was given '1', which lies within '0:2'"),
        (["0:2", "1:3"], r"was given '0:2' and '1:3', which share '1'. Leave one out"),
        (["2:4", "2"], r"was given '2', which lies within '2:4'"),
    ],
)
def test_a_run_that_is_none_is_refused(where: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hybridize(network(), where)


def test_runs_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no Conv2d, ReLU directly behind one another in an nn.Sequential of Sequent"):
        runs_of(network(), nn.Conv2d, nn.ReLU)
    with pytest.raises(TypeError, match=r"expects types, such as nn.Conv2d, nn.BatchNorm2d, nn.ReLU; got \('0',\)"):
        runs_of(network(), "0")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], r"got no batch: batches is empty. Pass at least one"),
        (
            [{"images": 1}],
            r"batches of inputs \[batch, \*unit\], or of \(inputs, ...\).*; got dict. For one batch with",
        ),
        (images(), None),
        ((images(), torch.zeros(5)), r"got shape \(5,\)"),
        (3, r"batches of inputs .* got int"),
        (
            [images()[:, :1]],
            r"could not run the network on a batch of shape \(5, 1, 6, 6\).*Pass batches as the network",
        ),
    ],
)
def test_batches_that_are_none_are_refused(batches: Any, message: str | None) -> None:
    if message is None:
        hybridize(network(), "2", batches=batches)
        return
    with pytest.raises((TypeError, ValueError), match=message):
        hybridize(network(), "2", batches=batches)
