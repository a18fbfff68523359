"""What holds for every code, over the whole catalogue."""

from __future__ import annotations

import copy
import math
import re

import pytest
import torch

from spikebridge import BitPlane, Direct, Encoder, Latency, Phase, Rate
from spikebridge.core.ranges import MEASURED, Bounds
from spikebridge.encoders import ENCODERS

from ..cases import ENCODER_CASES

ROUNDING = 1e-6
"""Relative error of a float32 sum of T terms, with room."""
SIGMAS = 5.0
"""A right stochastic code exceeds this many standard errors once in two million values."""


@pytest.fixture(params=ENCODER_CASES.values(), ids=ENCODER_CASES)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    """An encoder of the test's own: some learn a range."""
    return copy.deepcopy(request.param)


def ends_for(encoder: Encoder) -> tuple[float, float]:
    """Where the values lie: a measured range finds them there."""
    if isinstance(encoder.value_range, tuple):
        return encoder.value_range
    return (-5.0, 5.0) if encoder.value_range is None else (-2.0, 3.0)


def values_for(encoder: Encoder, count: int = 1001) -> torch.Tensor:
    """One channel of one sample, [1, 1, count + 256], whose values lie all over the range."""
    low, high = ends_for(encoder)
    grid = torch.linspace(low, high, count)
    bytes_ = low + (high - low) * torch.arange(256) / 255
    return torch.cat([grid, bytes_.clamp(low, high)])[None, None]


def decoded(encoder: Encoder, x: torch.Tensor) -> torch.Tensor:
    train = encoder.encode(x)
    return encoder.decode(train, bounds=encoder.bounds_of(x))


def worst_error(encoder: Encoder) -> float:
    """In the values' own units; a measured range states it in spans."""
    low, high = ends_for(encoder)
    return encoder.value_error * (1.0 if isinstance(encoder.value_range, tuple) else high - low)


def test_table_covers_catalogue() -> None:
    assert len(ENCODERS) >= 5
    assert {type(encoder) for encoder in ENCODER_CASES.values()} == set(ENCODERS.values())
    assert {encoder.value_range for encoder in ENCODER_CASES.values()} >= set(MEASURED)


def test_law_of_the_decoded_value(encoder: Encoder) -> None:
    x = values_for(encoder)
    low, high = ends_for(encoder)
    slack = ROUNDING * max(abs(low), abs(high))
    if encoder.is_stochastic:
        draws = torch.stack([decoded(encoder, x) for _ in range(400)])
        spread = (high - low) * math.sqrt(0.25 / encoder.time_steps / len(draws))
        assert ((draws.mean(0) - x).abs() <= SIGMAS * spread + slack).all()
    else:
        assert ((decoded(encoder, x) - x).abs() <= worst_error(encoder) + slack).all()


def test_stated_error_is_reached(encoder: Encoder) -> None:
    if encoder.value_error > 0:
        x = values_for(encoder, count=100_001)
        assert (decoded(encoder, x) - x).abs().max() >= 0.99 * worst_error(encoder)


def test_train_has_time_first_and_is_binary_when_it_says_so(encoder: Encoder) -> None:
    train = encoder.encode(values_for(encoder).expand(2, 3, -1))
    assert train.shape == (encoder.time_steps, 2, 3, 1257)
    assert encoder.step_weights.shape == (encoder.time_steps,)
    assert encoder.is_binary == bool(((train == 0) | (train == 1)).all())


def test_gradient_reaches_the_values(encoder: Encoder) -> None:
    low, high = ends_for(encoder)
    # Half a grid step off, so that no value falls on the corner of two rectangles. The ends move a measured range.
    grid = low + (high - low) * (torch.arange(2000) + 0.5) / 2000
    x = torch.cat([torch.tensor([low]), grid, torch.tensor([high])])[None, None].requires_grad_()
    train = encoder.encode(x)
    bounds = Bounds(*(torch.as_tensor(end).detach() for end in encoder.bounds_of(x)))
    encoder.decode(train, bounds=bounds).sum().backward()
    assert torch.isfinite(x.grad).all()
    # Right on average: the mean slope is that of decode(encode(x)) from one end of the range to the other.
    ends = decoded(encoder, torch.tensor([[[low, high]]])).flatten()
    expected = ((ends[1] - ends[0]) / (high - low)).item()
    assert x.grad[0, 0, 1:-1].mean().item() == pytest.approx(expected, abs=2e-3)


def test_same_input_same_train(encoder: Encoder) -> None:
    x = values_for(encoder).expand(3, -1, -1)
    torch.manual_seed(3)
    first = encoder(x)
    torch.manual_seed(3)
    assert torch.equal(first, encoder(x))
    assert first[:, :1].shape == encoder(x[:1]).shape


# What is traced does not depend on T, nor a range's trace on the code.
TRACED = [name for name in ENCODER_CASES if "T=" not in name and ("of a" not in name or "BitPlane" in name)]


@pytest.mark.parametrize("name", TRACED)
def test_traces_for_the_compiler_without_a_break_and_keeps_the_gradient(name: str) -> None:
    torch._dynamo.reset()
    trains, gradients = [], []
    for is_compiled in (False, True):
        encoder = copy.deepcopy(ENCODER_CASES[name])
        module = torch.compile(encoder, fullgraph=True, backend="aot_eager") if is_compiled else encoder
        torch.manual_seed(3)
        x = values_for(encoder).requires_grad_()
        trains.append(module(x))
        (trains[-1] * encoder.step_weights.reshape(-1, 1, 1, 1)).sum().backward()
        gradients.append(x.grad)
    assert torch.equal(*trains)
    assert torch.allclose(*gradients, atol=1e-5)


@pytest.mark.parametrize("name", [*ENCODERS, "Latency on [-2, 3]", "Phase on [-2, 3]", "BitPlane of a running range"])
def test_compiled_code_emits_the_same_train_and_still_checks(name: str) -> None:
    torch._dynamo.reset()
    encoder = copy.deepcopy(ENCODER_CASES[name])
    x, compiled = values_for(encoder), torch.compile(encoder, fullgraph=True)
    if encoder.is_stochastic:
        assert compiled(x).mean().item() == pytest.approx(encoder(x).mean().item(), abs=0.05)
    else:
        assert torch.equal(compiled(x), encoder(x))
    with pytest.raises(ValueError, match=f"{type(encoder).__name__} expects finite values; got 1257 NaN or infinite"):
        compiled(x * float("nan"))


def test_bad_values_are_refused(encoder: Encoder) -> None:
    name = type(encoder).__name__
    with pytest.raises(ValueError, match=f"{name} expects finite values; got 1 NaN or infinite of 2"):
        encoder.encode(torch.tensor([0.5, float("nan")]))
    with pytest.raises(ValueError, match=f"{name} expects finite values; got 1 NaN or infinite of 2"):
        encoder.encode(torch.tensor([0.5, float("inf")]))
    with pytest.raises(TypeError, match=r"got torch.uint8. For bytes: values / 255"):
        encoder.encode(torch.zeros(3, dtype=torch.uint8))
    with pytest.raises(ValueError, match="not empty"):
        encoder.encode(torch.zeros(0, 3))
    if isinstance(encoder.value_range, tuple):
        low, high = encoder.value_range
        with pytest.raises(ValueError, match=rf"expects values in \[{low:g}, {high:g}\]; got minimum -7"):
            encoder.encode(torch.tensor([-7.0, low]))
        with pytest.raises(ValueError, match=rf"got maximum 9.* pass value_range=\({low:.4g}, 9\), or outside='clip'"):
            encoder.encode(torch.tensor([9.0, low]))


def test_decoding_a_foreign_train_is_refused(encoder: Encoder) -> None:
    with pytest.raises(ValueError, match=rf"decode expects a train \[time={encoder.time_steps}, batch, \*unit\]"):
        encoder.decode(torch.zeros(encoder.time_steps + 1, 2))


@pytest.mark.parametrize("kind", ENCODERS.values(), ids=ENCODERS)
def test_bad_settings_are_refused(kind: type[Encoder]) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__} expects time_steps >= 1; got 0"):
        kind(time_steps=0)
    with pytest.raises(TypeError, match=r"expects time_steps to be an int; got 2.5"):
        kind(time_steps=2.5)
    if kind is not Direct:
        with pytest.raises(
            ValueError, match=r"expects value_range = \(low, high\), finite and low < high; got \(1.0, 1.0\)"
        ):
            kind(time_steps=2, value_range=(1.0, 1.0))
        with pytest.raises(ValueError, match=r"finite and low < high; got \(0.0, inf\)"):
            kind(time_steps=2, value_range=(0.0, float("inf")))
        with pytest.raises(ValueError, match=r"expects value_range = \(low, high\), finite; got None"):
            kind(time_steps=2, value_range=None)
        with pytest.raises(ValueError, match=r"got 'runing'. Or pass one that is measured: running, sample, channel"):
            kind(time_steps=2, value_range="runing")
        for wrong in (3, (0.0, 0.5, 1.0)):
            with pytest.raises(ValueError, match=rf"finite and low < high; got {re.escape(str(wrong))}"):
                kind(time_steps=2, value_range=wrong)
        with pytest.raises(ValueError, match=r"expects outside to be 'error' or 'clip'; got 'wrap'"):
            kind(time_steps=2, outside="wrap")


@pytest.mark.parametrize("kind", [Rate, Latency, Phase, BitPlane])
def test_bounds_are_rounded_as_the_values_are(kind: type[Encoder]) -> None:
    """-0.43 in float32 lies below -0.43 in float64; and scaling may round to a little over 1."""
    for low in range(-100, 0, 7):
        for high in range(1, 100, 7):
            bounds = (low / 100, high / 100)
            kind(time_steps=4, value_range=bounds).encode(torch.tensor(bounds))


def test_advice_holds_when_it_is_followed() -> None:
    x = torch.tensor([-0.43127, 1.0000012])
    with pytest.raises(ValueError, match="pass value_range=") as caught:
        Latency().encode(x)
    low, high = re.findall(r"[-\d.]+\d", str(caught.value).partition("value_range=")[2])
    Latency(value_range=(float(low), float(high))).encode(x)


def test_latency_spikes_exactly_once_and_ties_are_exact() -> None:
    train = Latency(time_steps=5).encode(torch.tensor([0.8, 0.6, 0.4, 0.2, 0.0, 1.0]))
    assert torch.equal(train.sum(0), torch.ones(6))
    assert train.argmax(0).tolist() == [0, 1, 2, 3, 4, 0]


def test_phase_emits_binary_digits() -> None:
    train = Phase(time_steps=8).encode(torch.arange(256) / 256)
    digits = torch.stack([(torch.arange(256) >> (7 - t)) & 1 for t in range(8)]).float()
    assert torch.equal(train, digits)


def test_direct_shares_memory_between_steps() -> None:
    x = torch.randn(2, 3)
    assert Direct(time_steps=7).encode(x).untyped_storage().data_ptr() == x.untyped_storage().data_ptr()


def test_rate_generator_is_the_callers() -> None:
    x = torch.full((100,), 0.5)
    first, second = (Rate(time_steps=4, generator=torch.Generator().manual_seed(s)) for s in (1, 1))
    once = first.encode(x)
    assert torch.equal(once, second.encode(x))
    assert not torch.equal(once, first.encode(x))
    copied = copy.deepcopy(first)
    assert torch.equal(copied.encode(x), first.encode(x))
