"""QCFS: its values, and its gradients against finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spikebridge import QCFS

STEP = 1e-6


def threshold_gradient(quantised: QCFS, z: Tensor) -> float:
    """d qcfs(z) / d threshold, by dividing out the softplus."""
    quantised.zero_grad()
    quantised(z).sum().backward()
    slope = torch.sigmoid(quantised.raw_threshold.detach())
    return (quantised.raw_threshold.grad / slope).item()


@pytest.mark.parametrize("levels", [1, 2, 4, 8])
def test_values_are_the_definition(levels: int) -> None:
    quantised, z = QCFS(levels=levels, threshold=2.0).double(), torch.linspace(-1, 4, 5001, dtype=torch.float64)
    lam = quantised.threshold
    expected = lam * torch.clamp(torch.floor(z * levels / lam + 0.5) / levels, 0, 1)
    # The definition multiplies before it divides; at the edge of a cell the two may round to neighbouring levels.
    off = (quantised(z) - expected).abs()
    assert (off < 1e-9).double().mean() > 0.999
    assert off.max() <= lam / levels + 1e-9


@pytest.mark.parametrize("levels", [1, 4, 8])
def test_input_gradient_is_a_window_half_a_level_wider_than_the_range(levels: int) -> None:
    lam, unit = 2.0, 2.0 / levels
    inside = torch.tensor([-unit / 2 + 1e-4, 0.0, lam / 2, lam, lam + unit / 2 - 1e-4])
    outside = torch.tensor([-unit / 2 - 1e-4, -5.0, lam + unit / 2 + 1e-4, 9.0])
    for z, expected in ((inside, 1.0), (outside, 0.0)):
        z = z.requires_grad_()
        QCFS(levels=levels, threshold=lam)(z).sum().backward()
        assert z.grad.tolist() == [expected] * len(z)


@pytest.mark.parametrize("z", [0.05, 0.3, 0.77, 1.4, 1.9, 2.1])
def test_gradients_inside_equal_finite_differences_with_the_rounding_frozen(z: float) -> None:
    """Straight-through means: the distance to the level below is a constant. So freeze it, and difference."""
    levels = 4
    quantised = QCFS(levels=levels, threshold=2.0).double()
    lam = quantised.threshold.item()
    frozen = torch.floor(torch.tensor(z / (lam / levels) + 0.5)).item() - (z / (lam / levels) + 0.5)

    def smooth(value: float, threshold: float) -> float:
        return (value / (threshold / levels) + 0.5 + frozen) * threshold / levels

    point = torch.tensor([z], dtype=torch.float64)
    by_threshold = (smooth(z, lam + STEP) - smooth(z, lam - STEP)) / (2 * STEP)
    by_value = (smooth(z + STEP, lam) - smooth(z - STEP, lam)) / (2 * STEP)
    assert threshold_gradient(quantised, point) == pytest.approx(by_threshold, abs=1e-8)
    assert threshold_gradient(quantised, point) == pytest.approx((quantised(point).item() - z) / lam, abs=1e-8)
    point.requires_grad_()
    quantised(point).backward()
    assert point.grad.item() == pytest.approx(by_value, abs=1e-8)


@pytest.mark.parametrize(("z", "expected"), [(5.0, 1.0), (-1.0, 0.0)])
def test_threshold_gradient_outside_equals_true_finite_differences(z: float, expected: float) -> None:
    point = torch.tensor([z], dtype=torch.float64)
    quantised = QCFS(levels=4, threshold=2.0).double()
    above, below = (QCFS(levels=4, threshold=torch.tensor(2.0 + d, dtype=torch.float64)) for d in (STEP, -STEP))
    difference = ((above(point) - below(point)) / (2 * STEP)).item()
    assert difference == pytest.approx(expected, abs=1e-6)
    assert threshold_gradient(quantised, point) == pytest.approx(difference, abs=1e-6)


def test_no_step_of_an_optimiser_makes_the_threshold_negative() -> None:
    quantised = QCFS(levels=4, threshold=1.0)
    optimiser = torch.optim.SGD(quantised.parameters(), lr=10.0)
    for _ in range(50):
        optimiser.zero_grad()
        quantised(torch.full((8,), 3.0)).sum().backward()  # pushes the threshold down, hard
        optimiser.step()
        assert quantised.threshold.item() > 0.0
        assert torch.isfinite(quantised(torch.ones(3))).all()


@pytest.mark.parametrize("threshold", [1e-3, 0.1, 1.0, 8.0, 200.0])
def test_initial_threshold_is_the_one_asked_for(threshold: float) -> None:
    assert QCFS(levels=4, threshold=threshold).threshold.item() == pytest.approx(threshold, rel=1e-5)


def test_autocast_computes_in_float32() -> None:
    quantised, z = QCFS(levels=100, threshold=50.0), torch.linspace(0, 60, 500)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(quantised(z.bfloat16()), quantised(z.bfloat16().float()))
        assert quantised(z.bfloat16()).dtype == torch.float32


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="QCFS expects levels >= 1, a whole number; got 0"):
        QCFS(levels=0)
    with pytest.raises(ValueError, match="QCFS expects threshold > 0 and finite; got -1"):
        QCFS(threshold=-1.0)
