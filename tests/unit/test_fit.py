"""Thresholds by least squares, by Lloyd's iteration, and what they assume beyond the largest sample."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from spikebridge.conversion.fit import Fit, Seen, by_correlation, least_squares, lloyd, sent
from spikebridge.conversion.rule import Activation

RELU = Activation()


def gaussians(samples: int = 100_000) -> Tensor:
    """Currents of five channels: [5, samples]."""
    generator = torch.Generator().manual_seed(0)
    size = torch.tensor([0.1, 1.0, 1.0, 1.0, 3.0])[:, None]
    return torch.randn(5, samples, generator=generator) * size + torch.tensor([0.0, 0.0, -1.0, 1.0, 0.0])[:, None]


def squared_error(currents: Tensor, targets: Tensor, fit: Fit, levels: int, negative: bool = False) -> Tensor:
    """[channels] from the samples themselves, without a histogram."""
    level = (fit.thresholds / levels)[:, None]
    out = sent(currents.double() + fit.bias[:, None], level, levels, negative=negative)
    return (out - targets).square().sum(1)


@pytest.mark.parametrize("levels", [1, 3, 8, 16, 64])
def test_least_squares_finds_what_a_fine_search_over_all_samples_finds(levels: int) -> None:
    currents = gaussians()
    targets = currents.relu().double()
    found = squared_error(
        currents, targets, least_squares(Seen.of([currents], [targets]), levels, RELU, with_bias=False), levels
    )
    reach = targets.amax(1)
    best = torch.full((5,), math.inf, dtype=torch.float64)
    for share in torch.linspace(0.02, 1.2, 300):
        fit = Fit(reach * share, torch.zeros(5), torch.zeros(5))
        best = torch.minimum(best, squared_error(currents, targets, fit, levels))
    assert bool((found <= 1.02 * best).all())


@pytest.mark.parametrize("levels", [2, 4, 8, 16])
def test_the_fixed_point_of_lloyd_is_the_least_squared_error(levels: int) -> None:
    currents = gaussians()
    targets = currents.relu()
    seen = Seen.of([currents], [targets])
    fixed, best = lloyd(seen, levels, RELU, with_bias=False), least_squares(seen, levels, RELU, with_bias=False)
    assert bool(
        (squared_error(currents, targets, fixed, levels) <= 1.01 * squared_error(currents, targets, best, levels)).all()
    )
    out = sent(currents.double(), fixed.thresholds[:, None] / levels, levels, negative=False)
    scale = (out * targets).sum(1) / out.square().sum(1)
    assert torch.allclose(scale, torch.ones(5, dtype=torch.float64), atol=0.02)  # the best scale for its own cells is 1


def test_the_bias_makes_means_equal() -> None:
    currents = gaussians()
    targets = (currents + 0.3 * currents.std(1, keepdim=True)).relu()  # what arrives is too low
    fit = least_squares(Seen.of([currents], [targets]), 8, RELU, with_bias=True)
    out = sent(currents.double() + fit.bias[:, None], fit.thresholds[:, None] / 8, 8, negative=False)
    assert torch.allclose(out.mean(1), targets.double().mean(1), rtol=0.05)
    without = least_squares(Seen.of([currents], [targets]), 8, RELU, with_bias=False)
    assert bool((squared_error(currents, targets, fit, 8) < squared_error(currents, targets, without, 8)).all())


def test_batches_and_their_order_change_nothing() -> None:
    currents = gaussians(5000)
    ways = [[currents], list(currents.split(700, 1)), list(currents.split(700, 1))[::-1]]
    fits = [least_squares(Seen.of(way, [part.relu() for part in way]), 8, RELU, with_bias=True) for way in ways]
    assert torch.allclose(fits[0].thresholds, fits[1].thresholds) and torch.allclose(fits[0].bias, fits[2].bias)


def test_a_ceiling_is_never_exceeded() -> None:
    currents = 10 * gaussians()
    six = Activation(ceiling=6.0)
    for policy in (least_squares, lloyd):
        fit = policy(Seen.of([currents], [currents.clamp(0, 6)]), 255, six, with_bias=False)
        assert bool((fit.thresholds <= 6.0).all())
        assert fit.thresholds[4] > 5.9


def test_activations_that_fall_below_zero_are_fitted_on_both_sides() -> None:
    currents = torch.nn.functional.silu(gaussians())
    both = Activation(negative=True, analog=True)
    fit = least_squares(Seen.of([currents], [currents], negative=True), 64, both, with_bias=False)
    error = squared_error(currents, currents.double(), fit, 64, negative=True).sum() / currents.double().square().sum()
    assert error < 1e-3


def test_few_samples_do_not_set_the_threshold_at_the_largest() -> None:
    """With fine levels, what 200 samples have not shown matters more than rounding: unseen values are clipped less."""
    generator = torch.Generator().manual_seed(1)
    few, many = (torch.randn(64, count, generator=generator) for count in (200, 100_000))
    fit = least_squares(Seen.of([few], [few.relu()]), 255, RELU, with_bias=False)
    at_largest = Fit(few.amax(1).double(), torch.zeros(64, dtype=torch.float64), torch.zeros(64))
    unseen = [squared_error(many, many.relu(), each, 255).sum() for each in (fit, at_largest)]
    assert unseen[0] < 0.5 * unseen[1]
    plenty = least_squares(Seen.of([many], [many.relu()]), 16, RELU, with_bias=False)
    assert bool((plenty.thresholds < many.amax(1)).all())


def test_levels_by_correlation_tell_at_least_as_much_whatever_offset_and_scale() -> None:
    currents = gaussians()
    targets = currents.relu().double()
    seen = Seen.of([currents], [targets])

    def told(fit: Fit) -> Tensor:
        out = sent(currents.double() + fit.bias[:, None], fit.thresholds[:, None] / 4, 4, negative=False)
        out, wanted = out - out.mean(1, keepdim=True), targets - targets.mean(1, keepdim=True)
        return (out * wanted).sum(1).square() / (out.square().sum(1) * wanted.square().sum(1))

    correlated, squared = by_correlation(seen, 4, RELU), least_squares(seen, 4, RELU, with_bias=True)
    assert bool((told(correlated) >= told(squared) - 2e-3).all())
    assert told(correlated).mean() > told(squared).mean()


def test_silence_is_a_threshold_of_zero() -> None:
    currents = -gaussians().abs()
    for policy in (least_squares, lloyd):
        assert policy(Seen.of([currents], [currents.relu()]), 8, RELU, with_bias=True).thresholds.tolist() == [0.0] * 5
