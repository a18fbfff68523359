"""Ranges that are given or measured: what is kept, what passes a gradient, what stays finite."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from spikebridge import BitPlane, Encoder, Latency, Phase, Rate
from spikebridge.core.ranges import MEASURED, Bounds, MeasuredRange

CODES = [BitPlane, Latency, Phase, Rate]
CODED_EACH_ALONE = ["running", "sample", "channel", (-3.0, 3.0)]

every_code = pytest.mark.parametrize("kind", CODES)
every_range = pytest.mark.parametrize("of", MEASURED)


def pair(bounds: Bounds) -> list[float]:
    return [float(torch.as_tensor(end)) for end in bounds]


def decoded(encoder: Encoder, values: Tensor) -> Tensor:
    train = encoder(values)
    return encoder.decode(train, bounds=encoder.bounds_of(values))


@every_code
@every_range
def test_every_code_holds_its_law_on_every_range(kind: type[Encoder], of: Any) -> None:
    values = 4 * torch.randn(5, 3, 40, dtype=torch.float64) - 1
    encoder = kind(time_steps=8, value_range=of)
    draws = torch.stack([decoded(encoder, values) for _ in range(1 if not encoder.is_stochastic else 400)])
    # A double, as float32 keeps the ends of the running range; five standard errors, of a stochastic code.
    chance = 5 * 0.5 / (8 * len(draws)) ** 0.5 if encoder.is_stochastic else 0.0
    bounds = encoder.bounds_of(values)
    error = (draws.mean(0) - values).abs() / bounds.span
    assert (error <= encoder.value_error + chance + 1e-6).all()


@every_code
@pytest.mark.parametrize("of", [each for each in MEASURED if each != "reference"])
def test_the_ends_of_a_measured_range_are_the_ends_of_the_code(kind: type[Encoder], of: Any) -> None:
    values = torch.tensor([[[0.1, -7.3, 5.7]]])
    train = kind(time_steps=7, value_range=of)(values)
    assert torch.equal(train[..., 1], kind(time_steps=7)(torch.zeros(1, 1)))
    assert torch.equal(train[..., 2], kind(time_steps=7)(torch.ones(1, 1)))


def test_a_running_range_averages_batches_and_is_frozen_in_eval_mode() -> None:
    encoder = BitPlane(value_range="running")
    assert pair(encoder.bounds_of(torch.zeros(1))) == [0.0, 1.0]
    encoder(torch.tensor([[-2.0, 4.0]]))
    assert pair(encoder.bounds_of(torch.zeros(1))) == [-2.0, 4.0]
    encoder(torch.tensor([[-12.0, 4.0]]))
    assert pair(encoder.bounds_of(torch.zeros(1))) == [-3.0, 4.0]
    encoder.eval()(torch.tensor([[-99.0, 99.0]]))
    encoder.bounds_of(torch.tensor([[-99.0, 99.0]]))
    assert pair(encoder.bounds_of(torch.zeros(1))) == [-3.0, 4.0]


def test_a_running_range_clips_what_it_has_not_seen() -> None:
    encoder = BitPlane(value_range="running", surrogate="straight_through")
    encoder(torch.tensor([[-2.0, 6.0]]))
    values = torch.tensor([[-9.0, -2.0, 1.0, 6.0, 60.0]], requires_grad=True)
    found = encoder.eval().decode(encoder(values))
    assert found[0].tolist() == pytest.approx([-2.0, -2.0, 1.0, 6.0, 6.0], abs=8 * encoder.value_error)
    found.sum().backward()
    assert values.grad[0].tolist() == pytest.approx([0.0, 1.0, 1.0, 1.0, 0.0])


def test_a_running_range_before_any_batch_is_the_unit_interval() -> None:
    encoder = BitPlane(value_range="running").eval()
    values = torch.tensor([[-1.0, 0.0, 0.2, 1.0, 3.0]])
    assert torch.equal(encoder(values), BitPlane()(values.clamp(0, 1)))


def test_a_running_range_travels_with_the_state_and_with_copies() -> None:
    encoder = BitPlane(value_range="running")
    encoder(torch.tensor([[-2.0, 6.0]]))
    again = BitPlane(value_range="running")
    again.load_state_dict(encoder.state_dict())
    copied = copy.deepcopy(encoder)
    assert pair(again.bounds_of(torch.zeros(1))) == pair(copied.bounds_of(torch.zeros(1))) == [-2.0, 6.0]
    again(torch.tensor([[-12.0, 6.0]]))  # goes on averaging, as the number of batches came along
    assert pair(again.bounds_of(torch.zeros(1))) == [-3.0, 6.0]
    assert pair(encoder.bounds_of(torch.zeros(1))) == [-2.0, 6.0]
    assert list(encoder.state_dict()) == ["measured.low", "measured.high", "measured.batches"]
    assert not BitPlane(value_range="batch").state_dict()


def test_a_later_batch_does_not_disturb_an_earlier_gradient() -> None:
    encoder = BitPlane(value_range="running")
    first, second = (torch.randn(2, 5, requires_grad=True) for _ in range(2))
    loss = encoder.decode(encoder(first)).sum()
    loss = loss + encoder.decode(encoder(second)).sum()
    loss.backward()
    assert torch.isfinite(first.grad).all()
    assert torch.isfinite(second.grad).all()


def test_values_that_are_refused_leave_no_trace() -> None:
    encoder = BitPlane(value_range="running")
    with pytest.raises(ValueError, match="expects finite values; got 1 NaN or infinite of 2"):
        encoder(torch.tensor([[float("nan"), 9.0]]))
    assert pair(encoder.bounds_of(torch.zeros(1))) == [0.0, 1.0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_a_running_range_follows_its_module_to_another_dtype(dtype: torch.dtype) -> None:
    encoder = BitPlane(value_range="running").to(dtype)
    for _ in range(2):
        encoder(torch.tensor([[-2.0, 6.0]], dtype=dtype))
    assert pair(encoder.bounds_of(torch.zeros(1, dtype=dtype))) == [-2.0, 6.0]


def test_a_range_of_ones_own_settings() -> None:
    encoder = BitPlane(value_range=MeasuredRange("running", momentum=0.5))
    assert encoder.value_range == "running"
    assert repr(encoder.measured) == "MeasuredRange(running, momentum=0.5)"
    for batch in ([[0.0, 1.0]], [[-2.0, 4.0]]):
        encoder(torch.tensor(batch))
    assert pair(encoder.bounds_of(torch.zeros(1))) == [-1.0, 2.5]


def test_sample_channel_and_batch_measure_what_they_say() -> None:
    values = torch.randn(2, 3, 4, 5)
    for of, axes in (("sample", (1, 2, 3)), ("channel", (2, 3)), ("batch", (0, 1, 2, 3))):
        bounds = MeasuredRange(of).look(values)
        assert torch.equal(bounds.low, values.amin(axes, keepdim=True))
        assert torch.equal(bounds.high, values.amax(axes, keepdim=True))


def test_reference_leaves_unit_values_and_sends_other_constants_as_ones() -> None:
    look = MeasuredRange("reference").look
    assert torch.equal(BitPlane(value_range="reference")(x := torch.rand(3, 4) / 2), BitPlane()(x))
    for constant in (0.0, 0.3, 1.0):
        assert pair(Bounds(*(end.mean() for end in look(torch.full((2, 2), constant))))) == [0.0, 1.0]
    spread = torch.tensor([[0.2, 1.2]])
    assert torch.equal(BitPlane(value_range="reference")(spread), BitPlane(value_range="batch")(spread))
    for constant in (-1e-3, -7.3, 1.5, 1e9, -1e30):
        for kind in CODES[:3]:
            values = torch.full((2, 2), constant)
            assert torch.equal(kind(value_range="reference")(values), kind()(torch.ones(2, 2)))


def test_a_measured_range_passes_its_gradient_to_its_ends() -> None:
    """Affine changes of the values change nothing, so the gradient has no part along them."""
    for of, axes in (("sample", (1, 2)), ("channel", (2,)), ("batch", (0, 1, 2))):
        values = torch.randn(3, 2, 6, dtype=torch.float64, requires_grad=True)
        train = BitPlane(value_range=of)(values)
        (train * torch.randn_like(train)).sum().backward()
        assert values.grad.abs().max() > 1
        scale = values.grad.abs().sum(axes)
        assert (values.grad.sum(axes).abs() <= 1e-12 * scale).all()
        assert ((values.grad * values).sum(axes).abs() <= 1e-12 * scale).all()


@every_code
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-0.43, 0.71), [-2, 3]])
def test_a_given_range_clips_only_on_request(kind: type[Encoder], bounds: Any) -> None:
    low, high = bounds
    values = torch.tensor([low - 1.0, low, (low + high) / 2, high, high + 1.0], requires_grad=True)
    with pytest.raises(
        ValueError, match=r"got minimum .*(the input|-normalised image) or pass value_range=.*or outside='clip'"
    ):
        kind(value_range=bounds)(values)
    encoder = kind(value_range=bounds, outside="clip")
    assert encoder.value_range == (float(low), float(high))
    torch.manual_seed(0)
    train = encoder(values)
    torch.manual_seed(0)
    assert torch.equal(train, encoder(values.detach().clamp(low, high)))
    encoder.decode(train).sum().backward()
    assert values.grad[0] == values.grad[-1] == 0.0
    assert values.grad[2] != 0.0 or kind is BitPlane  # the middle may lie between two edges


def test_the_ends_of_a_given_range_are_inside_it() -> None:
    for low in range(-100, 0, 7):
        for high in range(1, 100, 7):
            bounds = (low / 100, high / 100)
            values = torch.tensor(bounds, requires_grad=True)
            encoder = BitPlane(value_range=bounds, outside="clip", surrogate="straight_through", rounding="floor")
            train = encoder(values)
            assert train.sum(0).tolist() == [0.0, 8.0]
            encoder.decode(train).sum().backward()
            assert values.grad.tolist() == pytest.approx([1.0, 1.0])


@every_code
@pytest.mark.parametrize("of", [*MEASURED, (-1e4, 1e4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_constants_and_tiny_spans_stay_finite(kind: type[Encoder], of: Any, dtype: torch.dtype) -> None:
    spans = [1e-45, 1e-40, 1e-25, 1e-10, 1e-5, 1.0]
    for constant in (0.0, 1.0, -3.0, 255.0, 6e3):
        for span in (0.0, *spans):
            values = (constant + span * torch.rand(2, 2, 5)).to(dtype).requires_grad_()
            encoder = kind(value_range=of)
            # Two gradients in float16 may be finite, and their sum not: only that of the code.
            train = encoder(values)
            result = encoder.decode(train, bounds=encoder.bounds_of(values.detach()))
            result.square().sum().backward()
            assert torch.isfinite(result).all()
            assert torch.isfinite(values.grad).all()


@pytest.mark.parametrize("of", ["running", "sample", "channel", "batch"])
def test_a_constant_comes_back_exact(of: Any) -> None:
    for constant in (0.0, -3.1, 255.0, 1e9):
        values = torch.full((2, 3, 4), constant)
        assert torch.equal(decoded(BitPlane(value_range=of), values), values)


@every_code
@pytest.mark.parametrize("of", CODED_EACH_ALONE)
def test_in_eval_mode_a_samples_code_is_its_own(kind: type[Encoder], of: Any) -> None:
    encoder = kind(value_range=of, outside="clip")
    values = torch.randn(6, 3, 4)
    encoder(values)
    encoder.eval()
    if not encoder.is_stochastic:
        assert torch.equal(torch.cat([encoder(each) for each in values.split(1)], dim=1), encoder(values))


@pytest.mark.parametrize("of", ["batch", "reference"])
def test_a_range_of_the_batch_couples_its_samples(of: Any) -> None:
    encoder = BitPlane(value_range=of).eval()
    values = torch.randn(6, 3, 4)
    assert not torch.equal(torch.cat([encoder(each) for each in values.split(1)], dim=1), encoder(values))


def test_wrong_ranges_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"MeasuredRange expects one of running, sample, channel, batch, .*; got 'layer'"
    ):
        MeasuredRange("layer")  # type: ignore[arg-type]
    for momentum in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match=rf"expects momentum in \(0, 1\]; got {momentum}. Pass 0.1"):
            MeasuredRange("running", momentum=momentum)
    with pytest.raises(
        ValueError,
        match=r"'sample' expects a sample to have several .*\[batch, \*unit\]; got shape \(4,\), .*Pass 'running'",
    ):
        BitPlane(value_range="sample")(torch.rand(4))
    for shape in ((4, 3), (4, 3, 1, 1)):
        with pytest.raises(
            ValueError, match=r"'channel' expects .*\[batch, channel, \*unit\]; got shape .* Pass 'running' or 'sample'"
        ):
            BitPlane(value_range="channel")(torch.rand(shape))
