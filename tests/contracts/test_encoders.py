"""What holds for every code, over the whole catalogue."""

from __future__ import annotations

import copy
import math
import re

import pytest
import torch

from spikebridge import Direct, Encoder, Latency, Phase, Rate
from spikebridge.encoders import ENCODERS

from ..cases import ENCODER_CASES

ROUNDING = 1e-6
"""Relative error of a float32 sum of T terms, with room."""
SIGMAS = 5.0
"""A right stochastic code exceeds this many standard errors once in two million values."""

every_encoder = pytest.mark.parametrize("encoder", ENCODER_CASES.values(), ids=ENCODER_CASES)


def values_for(encoder: Encoder, count: int = 1001) -> torch.Tensor:
    low, high = encoder.value_range or (-5.0, 5.0)
    grid = torch.linspace(low, high, count)
    bytes_ = low + (high - low) * torch.arange(256) / 255
    return torch.cat([grid, bytes_.clamp(low, high)])[:, None]


def test_table_covers_catalogue() -> None:
    assert len(ENCODERS) >= 4
    assert {type(encoder) for encoder in ENCODER_CASES.values()} == set(ENCODERS.values())


@every_encoder
def test_law_of_the_decoded_value(encoder: Encoder) -> None:
    x = values_for(encoder)
    low, high = encoder.value_range or (-5.0, 5.0)
    slack = ROUNDING * max(abs(low), abs(high))
    if encoder.is_stochastic:
        draws = torch.stack([encoder.decode(encoder.encode(x)) for _ in range(400)])
        spread = (high - low) * math.sqrt(0.25 / encoder.time_steps / len(draws))
        assert ((draws.mean(0) - x).abs() <= SIGMAS * spread + slack).all()
    else:
        assert ((encoder.decode(encoder.encode(x)) - x).abs() <= encoder.value_error + slack).all()


@every_encoder
def test_stated_error_is_reached(encoder: Encoder) -> None:
    if encoder.value_error > 0:
        x = values_for(encoder, count=100_001)
        worst = (encoder.decode(encoder.encode(x)) - x).abs().max()
        assert worst >= 0.99 * encoder.value_error


@every_encoder
def test_train_has_time_first_and_is_binary_when_it_says_so(encoder: Encoder) -> None:
    train = encoder.encode(values_for(encoder).reshape(-1, 1, 1).expand(-1, 2, 3))
    assert train.shape == (encoder.time_steps, 1257, 2, 3)
    assert encoder.step_weights.shape == (encoder.time_steps,)
    assert encoder.is_binary == bool(((train == 0) | (train == 1)).all())


@every_encoder
def test_gradient_reaches_the_values(encoder: Encoder) -> None:
    low, high = encoder.value_range or (-5.0, 5.0)
    # Half a grid step off, so that no value falls on the corner of two rectangles.
    x = (low + (high - low) * (torch.arange(2000) + 0.5) / 2000)[:, None].requires_grad_()
    encoder.decode(encoder.encode(x)).sum().backward()
    assert torch.isfinite(x.grad).all()
    # Right on average: the mean slope is that of decode(encode(x)) from one end of the range to the other.
    ends = encoder.decode(encoder.encode(torch.tensor([[low], [high]]))).flatten()
    expected = ((ends[1] - ends[0]) / (high - low)).item()
    assert x.grad.mean().item() == pytest.approx(expected, abs=2e-3)


@every_encoder
def test_same_input_same_train(encoder: Encoder) -> None:
    x = values_for(encoder)
    torch.manual_seed(3)
    first = encoder(x)
    torch.manual_seed(3)
    assert torch.equal(first, encoder(x))
    assert first[:, :1].shape == encoder(x[:1]).shape


@every_encoder
def test_traces_for_the_compiler_without_a_break_and_keeps_the_gradient(encoder: Encoder) -> None:
    torch._dynamo.reset()
    trains, gradients = [], []
    for module in (encoder, torch.compile(encoder, fullgraph=True, backend="aot_eager")):
        torch.manual_seed(3)
        x = values_for(encoder).requires_grad_()
        trains.append(module(x))
        (trains[-1] * encoder.step_weights[:, None, None]).sum().backward()
        gradients.append(x.grad)
    assert torch.equal(*trains)
    assert torch.allclose(*gradients, atol=1e-5)


@pytest.mark.parametrize("name", [*ENCODERS, "Latency on [-2, 3]", "Phase on [-2, 3]"])
def test_compiled_code_emits_the_same_train_and_still_checks(name: str) -> None:
    torch._dynamo.reset()
    encoder = ENCODER_CASES[name]
    x, compiled = values_for(encoder), torch.compile(encoder, fullgraph=True)
    if encoder.is_stochastic:
        assert compiled(x).mean().item() == pytest.approx(encoder(x).mean().item(), abs=0.05)
    else:
        assert torch.equal(compiled(x), encoder(x))
    with pytest.raises(ValueError, match=f"{type(encoder).__name__} expects finite values; got 1257 NaN or infinite"):
        compiled(x * float("nan"))


@every_encoder
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
    if encoder.value_range is not None:
        low, high = encoder.value_range
        with pytest.raises(ValueError, match=rf"expects values in \[{low:g}, {high:g}\]; got minimum -7"):
            encoder.encode(torch.tensor([-7.0, low]))
        with pytest.raises(ValueError, match=rf"got maximum 9.* pass value_range=\({low:.4g}, 9\)"):
            encoder.encode(torch.tensor([9.0, low]))


@every_encoder
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


@pytest.mark.parametrize("kind", [Rate, Latency, Phase])
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
