"""Hybrid blocks: what they compute, what learns through them, and how they join an analog branch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikebridge import LIF, BitPlane, Direct, Fusion, HybridBlock, Latency, OverTime, Phase, Rate, RateDecoder, run
from spikebridge.core.planes import PLANE_SURROGATES

SPIKING = [name for name in PLANE_SURROGATES if name != "none"]


def convolved(channels: int = 3, *, surrogate: str = "sig_sine", value_range: Any = "running") -> HybridBlock:
    convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False)  # a bias is nothing before a norm
    core = nn.Sequential(OverTime(convolution, nn.BatchNorm2d(channels)), LIF())
    return HybridBlock(core, BitPlane(bits=4, surrogate=surrogate, value_range=value_range))


def serial_network(surrogate: str) -> nn.Sequential:
    """conv, block, conv, block, head:  what is before the first block learns through both codes."""
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.ReLU(),
        convolved(surrogate=surrogate),
        nn.Conv2d(3, 3, 3, padding=1),
        convolved(surrogate=surrogate),
        nn.Flatten(),
        nn.Linear(75, 4),
    )


def gradients(network: nn.Module, x: Tensor) -> dict[str, Tensor | None]:
    network.zero_grad(set_to_none=True)
    torch.nn.functional.cross_entropy(network(x), torch.arange(len(x)) % 4).backward()
    return {name: parameter.grad for name, parameter in network.named_parameters()}


def test_a_block_is_encode_core_decode() -> None:
    block, values = convolved(), torch.randn(4, 3, 5, 5)
    block(values)
    block.eval()
    train = block.core(block.encoder.encode(values))
    assert torch.equal(block.train_out(values), train)
    weights = torch.tensor([1.0, 2.0, 4.0, 8.0]).reshape(-1, 1, 1, 1, 1) / 15
    assert torch.allclose(block(values), (weights * train).sum(0))


def test_a_core_that_does_nothing_passes_the_value_on_its_way_to_the_unit_interval() -> None:
    values = torch.arange(256)[:, None] / 255 * 6 - 2
    for order in ("lsb", "msb"):
        found = HybridBlock(nn.Identity(), BitPlane(order=order, value_range=(-2.0, 4.0)))(values)
        assert torch.equal(found * 255, torch.arange(256.0)[:, None])


def test_the_decoder_is_the_encoders_unless_another_is_given() -> None:
    values, core = torch.rand(4, 6), nn.Identity()
    train = BitPlane(bits=8)(values)
    assert torch.equal(HybridBlock(core, BitPlane(bits=8), RateDecoder())(values), train.mean(0))
    learned = HybridBlock(core, BitPlane(bits=8, weights="learned"))
    learned(values).sum().backward()
    assert torch.equal(learned(values), HybridBlock(core, BitPlane(bits=8))(values))
    assert torch.allclose(learned.encoder.plane_weights.grad, train.sum((1, 2)) / 255)


@pytest.mark.parametrize(
    "encoder",
    [
        Direct(time_steps=5),
        Latency(time_steps=5),
        Phase(time_steps=5),
        Rate(time_steps=5),
        BitPlane(time_steps=5),
    ],
    ids=lambda encoder: type(encoder).__name__,
)
def test_every_code_serves(encoder: Any) -> None:
    block = HybridBlock(nn.Sequential(OverTime(nn.Linear(6, 7)), LIF()), copy.deepcopy(encoder))
    values = torch.rand(4, 6, requires_grad=True)
    found = block(values)
    assert found.shape == (4, 7)
    found.sum().backward()
    assert torch.isfinite(values.grad).all()
    assert all(parameter.grad is not None for parameter in block.parameters())


@pytest.mark.parametrize("value_range", ["running", "sample", "channel", (-6.0, 6.0), "batch", "reference"])
def test_in_eval_mode_forwards_are_equal_and_samples_apart(value_range: Any) -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 3), convolved(value_range=value_range)).double()
    values = torch.randn(6, 1, 7, 7, dtype=torch.float64)
    network(values)
    network.eval()
    whole = network(values)
    assert torch.equal(whole, network(values))
    alone = torch.cat([network(each) for each in values.split(1)])
    # A range of the batch is the documented exception.
    assert torch.allclose(alone, whole) is (value_range not in ("batch", "reference"))


def test_in_train_mode_forwards_are_equal_once_the_range_is_still() -> None:
    block, values = convolved(value_range="sample"), torch.randn(4, 3, 5, 5)
    assert torch.equal(block(values), block(values))


@pytest.mark.parametrize("surrogate", SPIKING)
def test_every_layer_before_a_code_learns_through_it(surrogate: str) -> None:
    found = gradients(serial_network(surrogate), torch.randn(8, 1, 5, 5))
    convolutions = [name for name in found if name.endswith("weight")]
    assert len(convolutions) == 7
    for name in convolutions:
        assert torch.isfinite(found[name]).all(), name
        assert found[name].abs().max() > 0, name


def test_nothing_before_a_code_learns_without_a_stand_in() -> None:
    found = gradients(serial_network("none"), torch.randn(8, 1, 5, 5))
    before = [name for name in found if name.startswith(("0.", "2.", "3."))]
    assert len(before) == 7
    assert all(found[name] is None for name in before)
    assert all(found[name].abs().max() > 0 for name in ("4.core.0.0.weight", "6.weight"))


def test_autocast_reaches_the_core_and_not_the_code() -> None:
    block, values = convolved(), torch.randn(4, 3, 5, 5)
    block(values)
    block.eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = block(values.bfloat16())
        train = block.encoder(values.bfloat16())
        fused = Fusion(nn.Conv2d(3, 3, 3, padding=1), block)(values)
    assert found.dtype == torch.float32
    assert fused.dtype == torch.bfloat16
    assert torch.equal(train, block.encoder(values.bfloat16()))


def analog_network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3), nn.LeakyReLU())


@pytest.mark.parametrize("is_training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("is_narrow", [True, False], ids=["bfloat16 autocast", "float32"])
def test_a_gated_fusion_starts_as_its_analog_branch_bit_for_bit(is_training: bool, is_narrow: bool) -> None:
    analog, values = analog_network(), torch.randn(4, 3, 5, 5)
    fused = Fusion(copy.deepcopy(analog), convolved(), mode="gated")
    for module in (analog, fused):
        module.train(is_training)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_narrow):
        found, expected = fused(values), analog(values)
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)
    torch.nn.functional.mse_loss(found.float(), torch.randn(4, 3, 5, 5)).backward()
    assert fused.gate.grad.abs() > 0
    assert fused.gate.item() == 0.0


def test_a_gated_fusion_learns_behind_its_gate_once_it_is_open() -> None:
    values = torch.randn(4, 3, 5, 5)
    fused = Fusion(analog_network(), convolved())
    assert fused.mode == "gated"
    for gate, is_learning in ((0.0, False), (0.5, True)):
        fused.zero_grad()
        with torch.no_grad():
            fused.gate.fill_(gate)
        fused(values).square().sum().backward()
        assert bool(fused.spiking.core[0][0].weight.grad.abs().max() > 0) is is_learning
        assert fused.analog[0].weight.grad.abs().max() > 0


def test_serial_drops_the_analog_branch_and_add_keeps_both() -> None:
    analog, block, values = analog_network().eval(), convolved(), torch.randn(4, 3, 5, 5)
    block(values)
    block.eval()
    serial = Fusion(analog, block, mode="serial")
    assert torch.equal(serial(values), block(values))
    assert not [name for name in serial.state_dict() if not name.startswith("spiking.")]
    added = Fusion(analog, block, mode="add")
    assert torch.equal(added(values), analog(values) + block(values))
    assert "gate" not in added.state_dict()
    assert repr(added).startswith("Fusion(\n  mode=add\n")


@pytest.mark.parametrize("kind", ["encoder", "block", "fusion"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_compiles_whole_and_learns_the_same_range_trains_and_gradients(kind: str, dtype: torch.dtype) -> None:
    torch._dynamo.reset()
    # Some sums run in another order; a last bit of float32, or of bfloat16.
    rounding = 1e-5 if dtype == torch.float32 else 1e-2
    plain = {
        "encoder": lambda: BitPlane(value_range="running"),
        "block": convolved,
        "fusion": lambda: Fusion(analog_network(), convolved(), mode="add"),
    }[kind]()
    twin = copy.deepcopy(plain)
    compiled = torch.compile(twin, fullgraph=True, backend="aot_eager")
    batches = [torch.randn(4, 3, 5, 5) * size for size in (1.0, 3.0)]
    for batch in batches:
        found = []
        for module in (plain, compiled):
            values = batch.to(dtype).requires_grad_()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
                sent = module(values)
            (sent.float() * torch.linspace(-1, 1, sent.numel()).reshape(sent.shape)).sum().backward()
            found.append((sent, values.grad))
        (sent, gradient), (sent_compiled, gradient_compiled) = found
        assert torch.equal(sent, sent_compiled)
        assert apart(gradient, gradient_compiled) < rounding
    for (name, ours), (_, theirs) in zip(plain.named_parameters(), twin.named_parameters(), strict=True):
        assert apart(ours.grad, theirs.grad) < rounding, name
    for (name, ours), (_, theirs) in zip(plain.named_buffers(), twin.named_buffers(), strict=True):
        assert torch.equal(ours, theirs), name


def apart(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


class Through(nn.Module):
    """A core made of a function."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, train: Tensor) -> Any:
        return self.function(train)


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (lambda train: train[:-1], ValueError, r"\[time=4, batch=2, \*unit\]; it gave shape \(3, 2, 6\). Lift"),
        (lambda train: train.mean(0), ValueError, r"keeps time and batch, .*; it gave shape \(2, 6\). Lift its"),
        (lambda train: train.flatten(0, 1), ValueError, r"it gave shape \(8, 6\). Lift its stateless layers: OverTime"),
        (lambda train: train.transpose(0, 1), ValueError, r"it gave shape \(2, 4, 6\)"),
        (lambda train: train.sum(), ValueError, r"it gave shape \(\)"),
        (
            lambda train: run(LIF(), train),
            TypeError,
            "expects a core from a train to a train; it gave tuple. Return the",
        ),
        (lambda train: None, TypeError, "it gave NoneType"),
    ],
    ids=["shorter", "decoded", "folded", "batch first", "number", "tuple", "nothing"],
)
def test_a_core_that_gives_no_train_is_refused(function: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        HybridBlock(Through(function), BitPlane(bits=4))(torch.rand(2, 6))


def test_what_a_block_is_made_of_is_checked() -> None:
    core: Any = nn.Identity()
    for wrong in (None, "bit_plane", nn.Linear(2, 2), BitPlane):
        with pytest.raises(TypeError, match=r"HybridBlock expects encoder to be one, such as BitPlane\(bits=8\); got"):
            HybridBlock(core, wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="HybridBlock expects core to be a module, from trains to trains; got None"):
        HybridBlock(None, BitPlane())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"decoder to be None or a module, such as RateDecoder\(\); got 'rate'"):
        HybridBlock(core, BitPlane(), "rate")  # type: ignore[arg-type]


def test_a_core_is_told_how_long_a_train_is() -> None:
    block = HybridBlock(nn.Sequential(OverTime(nn.Linear(6, 6)), LIF()), BitPlane(bits=4))
    with pytest.raises(
        ValueError, match=r"OverTime '0' expects a train \[time=4, batch, \*unit\]; got shape \(5, 2, 6\)"
    ):
        block.core(torch.rand(5, 2, 6))


@pytest.mark.parametrize("mode", ["add", "gated"])
def test_branches_of_two_shapes_are_refused(mode: Any) -> None:
    fused = Fusion(nn.Linear(6, 1), HybridBlock(nn.Identity(), BitPlane(bits=4)), mode=mode)
    with pytest.raises(
        ValueError,
        match=r"one shape; the analog one gave \(2, 1\) and the spiking one \(2, 6\). Give the core the strides",
    ):
        fused(torch.rand(2, 6))


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="Fusion expects mode to be one of serial, add, gated; got 'parallel'"):
        Fusion(nn.Identity(), nn.Identity(), mode="parallel")  # type: ignore[arg-type]


def test_narrow_weights_are_refused_outside_of_autocast() -> None:
    block = HybridBlock(nn.Sequential(OverTime(nn.Linear(4, 4)), LIF()), BitPlane(bits=4)).bfloat16()
    values = torch.rand(3, 4)
    with pytest.raises(ValueError, match=r"weights of float32 or wider.*got torch.bfloat16.*torch.autocast"):
        block(values)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert block(values).shape == (3, 4)
