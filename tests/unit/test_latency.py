"""The latency code against whole numbers, and the thresholds and intervals it rests on."""

from __future__ import annotations

import copy
import re
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from spikebridge import Encoder, Latency
from spikebridge.encoders import BinaryLevel, Hybrid
from spikebridge.encoders.thresholds import IntervalCode, equal_mass, uniform

from ..cases import ENCODER_CASES

PIXELS = torch.tensor([0.0, 0.1, 0.25, 0.3, 0.5, 0.74, 0.75, 1.0])
BYTES = torch.arange(256)
ROUNDING = 1e-6
"""Relative error of mapping a value to [0, 1] and back in float32, with room."""
SIGMAS = 4.0
INTERVALS = [name for name, encoder in ENCODER_CASES.items() if isinstance(encoder, IntervalCode)]


def rows(train: Tensor) -> list[list[float]]:
    return [frame.tolist() for frame in train]


def first_steps(time_steps: int) -> Tensor:
    """The first step with k T >= 255 (T - 1 - t), for every byte k, in whole numbers."""
    reached = BYTES * time_steps >= 255 * (time_steps - 1 - torch.arange(time_steps)[:, None])
    return reached.int().argmax(0)


def test_frames_of_four_steps() -> None:
    frames = rows(Latency(time_steps=4).encode(PIXELS))
    assert frames[0] == [0, 0, 0, 0, 0, 0, 1, 1]
    assert frames[1] == [0, 0, 0, 0, 1, 1, 0, 0]
    assert frames[2] == [0, 0, 1, 1, 0, 0, 0, 0]
    assert frames[3] == [1, 1, 0, 0, 0, 0, 0, 0]
    assert rows(Latency(time_steps=4, last_frame="reference").encode(PIXELS)) == [*frames[:3], [1] * 8]
    assert rows(Latency(time_steps=4, last_frame="silent").encode(PIXELS)) == [*frames[:3], [0] * 8]


@pytest.mark.parametrize("time_steps", range(2, 17))
def test_bytes_spike_at_the_step_that_whole_numbers_say(time_steps: int) -> None:
    expected = first_steps(time_steps)
    encoder = Latency(time_steps=time_steps)
    for dtype in (torch.float32, torch.float64):
        train = encoder.encode(BYTES.to(dtype) / 255)
        assert torch.equal(train.argmax(0), expected)
        assert torch.equal(train.sum(0), torch.ones(256, dtype=dtype))
    unscaled = Latency(time_steps=time_steps, value_range=(0.0, 255.0)).encode(BYTES.float())
    assert torch.equal(unscaled.argmax(0), expected)
    # The same as a formula: max(0, ceil(T (1 - x)) - 1).
    assert torch.equal((-((BYTES - 255) * time_steps // 255) - 1).clamp(min=0), expected)


@pytest.mark.parametrize("time_steps", range(2, 17))
def test_published_last_frame_spikes_for_everything_again(time_steps: int) -> None:
    x = BYTES / 255
    spikes = Latency(time_steps=time_steps, last_frame="reference").encode(x).sum(0)
    assert torch.equal(spikes, torch.where(BYTES * time_steps >= 255, 2.0, 1.0))


@pytest.mark.parametrize("last_frame", ["strict", "reference", "silent"])
def test_what_is_decoded_does_not_depend_on_the_last_frame(last_frame: str) -> None:
    x = BYTES / 255
    encoder, plain = Latency(time_steps=7, last_frame=last_frame), Latency(time_steps=7)
    assert torch.equal(encoder.decode(encoder.encode(x)), plain.decode(plain.encode(x)))
    for found, expected in zip(encoder.interval(encoder(x)), plain.interval(plain(x)), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (4, [0.6625, 0.5, 0.3375, 0]),
        (7, [0.7441, 0.6378, 0.5449, 0.4551, 0.3622, 0.2559, 0]),
        (8, [0.7596, 0.6625, 0.5790, 0.5, 0.4210, 0.3375, 0.2404, 0]),
    ],
)
def test_equal_mass_thresholds(levels: int, expected: list[float]) -> None:
    assert Latency(time_steps=levels, thresholds="equal-mass").thresholds == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("time_steps", [4, 7, 8])
def test_equal_mass_gives_every_step_the_same_share(time_steps: int) -> None:
    count, share = 200_000, 1.0 / time_steps
    normal = torch.randn(count, generator=torch.Generator().manual_seed(0))
    rates = Latency(time_steps=time_steps, thresholds="equal-mass").encode(torch.sigmoid(normal)).mean(1)
    assert ((rates - share).abs() <= SIGMAS * (share * (1 - share) / count) ** 0.5).all()


@pytest.mark.parametrize("time_steps", [4, 7, 8])
def test_standardised_values_of_any_mean_and_spread_have_the_same_share(time_steps: int) -> None:
    count, share = 200_000, 1.0 / time_steps
    dark = 0.3 + 0.05 * torch.randn(1, count, generator=torch.Generator().manual_seed(0))
    within = SIGMAS * (share * (1 - share) / count) ** 0.5
    kinds = ("standardised", "equal-mass")
    rates = [Latency(time_steps=time_steps, thresholds=kind).encode(dark).mean((1, 2)) for kind in kinds]
    assert ((rates[0] - share).abs() <= within).all()
    assert ((rates[1] - share).abs() > within).any()


def test_standardised_is_equal_mass_behind_stock_layers_on_each_sample_alone() -> None:
    images = torch.rand(3, 2, 5, 5) * torch.tensor([1.0, 0.2, 0.5]).reshape(3, 1, 1, 1)
    code, stock = (Latency(time_steps=7, thresholds=kind) for kind in ("standardised", "equal-mass"))
    layers = nn.Sequential(nn.LayerNorm((2, 5, 5), elementwise_affine=False), nn.Sigmoid())
    train = code.encode(images)
    assert torch.equal(train, stock.encode(layers(images)))
    assert torch.equal(code.encode(images[1:2]), train[:, 1:2])
    assert torch.equal(code.encode(0.5 * images + 0.25)[:, 0], train[:, 0])  # whatever its brightness and contrast
    assert torch.equal(code.decode(train), stock.decode(train))


def test_standardised_spikes_tell_nothing_of_the_value_alone_and_an_analog_frame_does() -> None:
    images, rest = torch.rand(3, 2, 5, 5), Latency(time_steps=3, levels=4, thresholds="standardised")
    assert rest.value_error == 1.0
    assert (rest.decode(rest.encode(images)) - images).abs().max() > 0.25
    low, high = rest.interval(rest.encode(images))
    assert (low.unique().tolist(), high.unique().tolist()) == ([0.0], [1.0])
    code = Hybrid(rest=rest)
    train = code.encode(images)
    assert torch.equal(train[0], images)
    assert torch.equal(train[1:], rest.encode(images))
    assert code.value_error == 0.0
    assert all(torch.equal(found, images) for found in (code.decode(train), *code.interval(train)))


def test_a_gradient_reaches_values_through_their_standardising() -> None:
    images = torch.rand(2, 30, requires_grad=True)
    code = Latency(time_steps=6, thresholds="standardised")
    code.decode(code.encode(images)).square().sum().backward()
    assert images.grad.abs().sum() > 0.1
    assert images.grad.sum(1).abs().max() < 1e-5  # as much brighter all over is the same train


def test_a_sample_of_one_value_has_nothing_to_be_standardised_by() -> None:
    for values in (torch.rand(5), torch.rand(5, 1)):
        with pytest.raises(ValueError, match=r"expects samples of several values, such as images; got shape \(5"):
            Latency(thresholds="standardised").encode(values)


def test_thresholds_descend_from_below_one_to_zero() -> None:
    for kind in (uniform, equal_mass):
        for levels in range(1, 65):
            row = kind(levels)
            assert len(row) == levels
            assert row[-1] == 0.0
            assert all(later < earlier for earlier, later in pairwise((1.0, *row)))


@pytest.mark.parametrize("thresholds", ["uniform", "equal-mass", tuple(torch.linspace(0.97, 0.03, 8).tolist())])
def test_brighter_values_never_spike_later(thresholds: str) -> None:
    train = Latency(time_steps=8, thresholds=thresholds).encode(torch.linspace(0, 1, 1001))
    steps = torch.where(train.any(0), train.argmax(0), 8)
    assert (steps.diff() <= 0).all()


def test_one_more_level_leaves_the_dark_silent() -> None:
    train = Latency(time_steps=3, levels=4).encode(PIXELS)
    assert rows(train) == rows(Latency(time_steps=4).encode(PIXELS)[:3])
    assert Latency(time_steps=3, levels=4, thresholds="equal-mass").thresholds == equal_mass(4)[:3]


@pytest.mark.parametrize("name", INTERVALS)
def test_interval_holds_the_value(name: str) -> None:
    encoder = copy.deepcopy(ENCODER_CASES[name])
    low, high = encoder.value_range if isinstance(encoder.value_range, tuple) else (-2.0, 3.0)
    x = torch.cat([torch.linspace(low, high, 1001), (low + (high - low) * BYTES / 255).clamp(low, high)])[None, None]
    train = encoder.encode(x)
    lower, upper = encoder.interval(train, bounds=encoder.bounds_of(x))
    slack = 0.0 if (low, high) == (0.0, 1.0) else ROUNDING * max(abs(low), abs(high))
    assert ((lower - slack <= x) & (x <= upper + slack)).all()
    # Of a code that has no intervals of its own, what is known is that it errs by at most so much, to both sides.
    widest = 2 * encoder.unit_error if name == "Hybrid of spikes" else encoder.unit_error
    assert (upper - lower <= widest * (high - low) + 2 * slack + ROUNDING).all()


@pytest.mark.parametrize("encoder", [Latency(time_steps=5), Latency(thresholds=(0.9, 0.3, 0.2)), BinaryLevel(bits=3)])
def test_intervals_tile_the_range_and_start_with_what_is_decoded(encoder: IntervalCode) -> None:
    train = encoder.encode(torch.linspace(0, 1, 1001))
    found = {(low, high) for low, high in zip(*map(Tensor.tolist, encoder.interval(train)), strict=True)}
    tiles = sorted(found)
    assert tiles[0][0] == 0.0
    assert tiles[-1][1] == 1.0
    assert all(low[1] == high[0] for low, high in pairwise(tiles))
    assert torch.equal(encoder.interval(train).low, encoder.decode(train))


def test_interval_is_in_the_values_own_units() -> None:
    encoder = Latency(time_steps=4, value_range=(-1.0, 3.0))
    low, high = encoder.interval(encoder.encode(torch.tensor([-0.5, 1.5, 3.0])))
    assert low.tolist() == [-1.0, 1.0, 2.0]
    assert high.tolist() == [0.0, 2.0, 3.0]
    with pytest.raises(ValueError, match=r"Latency.decode expects a train \[time=4, batch, \*unit\]"):
        encoder.interval(torch.zeros(3, 2))


@pytest.mark.parametrize(
    "encoder",
    [Latency(time_steps=6), Latency(thresholds=(0.9, 0.6, 0.5, 0.05)), Latency(time_steps=7, thresholds="equal-mass")],
)
def test_gradients_tile_the_range(encoder: Encoder) -> None:
    """Each threshold has a rectangle of area 1 to itself: what a step has spiked by then rises from 0 to 1."""
    x = ((torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000).requires_grad_()
    by_now = encoder.encode(x).cumsum(0)
    slopes = torch.stack([torch.autograd.grad(step.sum(), x, retain_graph=True)[0] for step in by_now])
    whole = slopes if encoder.thresholds[-1] > 0.0 else slopes[:-1]
    assert whole.mean(1).tolist() == pytest.approx([1.0] * len(whole), abs=1e-3)
    assert ((slopes > 0).sum(0) <= 1).all()
    assert (slopes > 0).any(0)[x <= (1 + encoder.thresholds[0]) / 2].all() or encoder.thresholds[-1] > 0.0


def test_gradient_of_uniform_thresholds_is_one_rectangle_of_height_t_each() -> None:
    x = torch.tensor([0.2, 0.26, 0.74, 0.9]).requires_grad_()
    train = Latency(time_steps=4).encode(x)
    (slope,) = torch.autograd.grad(Latency(time_steps=4).decode(train).sum(), x, retain_graph=True)
    assert slope.tolist() == [1.0, 1.0, 1.0, 0.0]
    (first,) = torch.autograd.grad(train[0].sum(), x)
    assert first.tolist() == [0.0, 0.0, 4.0, 0.0]


def test_encoding_leaves_the_image_as_it_was() -> None:
    x = PIXELS.clone()
    for encoder in (Latency(last_frame="reference"), Hybrid(), BinaryLevel()):
        encoder.encode(x)
        assert torch.equal(x, PIXELS)


@pytest.mark.parametrize("kind", [Latency, Hybrid, BinaryLevel])
def test_images_that_are_normalised_already_are_told_so(kind: type[Encoder]) -> None:
    with pytest.raises(ValueError, match=r"minimum -0.43. It looks normalised: pass the un-normalised image or pass"):
        kind().encode(torch.tensor([-0.43, 2.1]))
    with pytest.raises(ValueError, match=r"got maximum 255. Normalise the input or pass value_range=\(0, 255\)"):
        kind().encode(torch.tensor([0.0, 255.0]))


@pytest.mark.parametrize("wrong", [(0.8, 0.5, 0.5), torch.tensor([0.8, 0.5, 0.6, 0.7])])
def test_thresholds_that_do_not_descend_are_refused_by_the_first_pair(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"thresholds that descend.*got 0.5 at step 1 and 0.[56] at step 2. Sort them"):
        Latency(thresholds=wrong)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"thresholds": (1.5, 0.5)},
            ValueError,
            "expects thresholds in [0, 1], to which value_range is mapped; got 0.5",
        ),
        ({"thresholds": (0.5, -0.5)}, ValueError, "got -0.5 to 0.5. For thresholds in the values' own units"),
        ({"thresholds": (0.5, float("nan"))}, ValueError, "got 0.5 at step 0 and nan at step 1"),
        ({"thresholds": float("nan")}, TypeError, "or a row of numbers, such as (0.75, 0.5, 0.25); got nan"),
        ({"thresholds": ("a", "b")}, TypeError, "or a row of numbers, such as (0.75, 0.5, 0.25); got ('a', 'b')"),
        ({"thresholds": ()}, TypeError, "got ()"),
        ({"thresholds": (0.5,), "time_steps": 2}, ValueError, "= 2; got 1. Pass 2 thresholds, or time_steps=1."),
        ({"thresholds": (0.5,), "levels": 2}, ValueError, "levels for named thresholds only; got 2 beside 1 given"),
        ({"thresholds": "even"}, ValueError, "'uniform', 'equal-mass', 'standardised', or T numbers; got 'even'"),
        ({"time_steps": 3, "levels": 6}, ValueError, "got 6 levels and time_steps = 3. Pass levels=3 or levels=4"),
        ({"last_frame": "none"}, ValueError, "last_frame to be 'strict', 'reference' or 'silent'; got 'none'"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        Latency(**settings)


def test_settings_are_shown() -> None:
    assert "thresholds=equal-mass, last_frame=strict" in repr(Latency(thresholds="equal-mass"))
    assert "thresholds=0.9, 0.25, last_frame=silent" in repr(Latency(thresholds=(0.9, 0.25), last_frame="silent"))
