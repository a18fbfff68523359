"""What holds for every surrogate: the forward is the step, the backward is the stand-in's derivative."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from spikebridge import Strict, Surrogate, straight_through
from spikebridge.core import SURROGATES, quantise, substitute

from ..cases import SURROGATE_CASES

STEP = 1e-6
every_surrogate = pytest.mark.parametrize("surrogate", SURROGATE_CASES.values(), ids=SURROGATE_CASES)


def test_table_covers_catalogue() -> None:
    assert set(SURROGATES) == {"Sigmoid", "ATan", "Triangle", "Rectangular", "Strict"} == set(SURROGATE_CASES)


@every_surrogate
@pytest.mark.parametrize("requires_grad", [False, True])
def test_forward_is_the_step_and_reaching_the_threshold_fires(surrogate: Surrogate, requires_grad: bool) -> None:
    at = 0.0 if isinstance(surrogate, Strict) else 1.0
    tiny = torch.finfo(torch.float32).tiny
    x = torch.tensor([-3.0, -tiny, -0.0, 0.0, tiny, 3.0], requires_grad=requires_grad)
    assert surrogate(x).tolist() == [0.0, 0.0, at, at, 1.0, 1.0]


@every_surrogate
def test_nan_is_not_taken_for_silence(surrogate: Surrogate) -> None:
    assert surrogate(torch.tensor([float("nan")])).isnan().all()


@every_surrogate
def test_forward_mode_differentiation_sees_the_stand_in(surrogate: Surrogate) -> None:
    x = torch.tensor([0.1])
    _, slope = torch.func.jvp(surrogate, (x,), (torch.ones(1),))
    x.requires_grad_()
    surrogate(x).backward()
    assert torch.allclose(slope, x.grad)


@every_surrogate
def test_gradient_equals_finite_differences_of_the_stand_in(surrogate: Surrogate) -> None:
    # An even number of points, so that none falls on a corner of a piecewise stand-in.
    x = torch.linspace(-1.7, 1.7, 1000, dtype=torch.float64).requires_grad_()
    surrogate(x).sum().backward()
    with torch.no_grad():
        differences = (surrogate.soft(x + STEP) - surrogate.soft(x - STEP)) / (2 * STEP)
    assert torch.allclose(x.grad, differences, atol=1e-6)


@every_surrogate
def test_closed_form_is_the_derivative_of_the_stand_in(surrogate: Surrogate) -> None:
    x = torch.linspace(-1.7, 1.7, 1000, dtype=torch.float64)
    assert torch.allclose(surrogate.derivative(x), Surrogate.derivative(surrogate, x), rtol=1e-12, atol=1e-12)


@every_surrogate
def test_the_membrane_is_all_that_is_kept_for_the_backward_pass(surrogate: Surrogate) -> None:
    kept: list[int] = []
    x = torch.randn(10, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda part: kept.append(part.data_ptr()) or part, lambda part: part):
        surrogate(x)
    assert set(kept) == {x.data_ptr()}


@dataclass(frozen=True)
class Softsign(Surrogate):
    """As a user writes one: the stand-in alone."""

    def soft(self, x: Tensor) -> Tensor:
        return 0.5 + 0.5 * x / (1.0 + x.abs())


def test_the_stand_in_alone_is_enough_also_in_a_compiled_graph() -> None:
    x = torch.randn(100, dtype=torch.float64)
    expected = 0.5 / (1.0 + x.abs()).square()
    for call in (Softsign(), torch.compile(Softsign(), fullgraph=True, backend="aot_eager")):
        leaf = x.clone().requires_grad_()
        spikes = call(leaf)
        spikes.sum().backward()
        assert torch.equal(spikes, (x >= 0).double())
        assert torch.allclose(leaf.grad, expected)


def test_a_substitution_differentiates_twice_and_sample_by_sample() -> None:
    x = torch.randn(5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: substitute(x, torch.floor, torch.sin), x)
    slopes = torch.func.vmap(torch.func.grad(lambda x: substitute(x, torch.floor, torch.sin)))(x.detach())
    assert torch.allclose(slopes, x.detach().sin())


def test_leading_axes_that_the_value_has_more_are_summed_in_the_gradient() -> None:
    x, weight = torch.randn(3, requires_grad=True), torch.tensor([[1.0], [2.0]])
    substitute(x, lambda x: (x * weight).floor(), lambda x: x * weight).sum().backward()
    assert torch.equal(x.grad, 3.0 * x.detach())


@every_surrogate
def test_stand_in_rises_from_zero_to_one(surrogate: Surrogate) -> None:
    soft = surrogate.soft(torch.linspace(-1e6, 1e6, 100_001, dtype=torch.float64))
    assert (soft.diff() >= 0).all()
    assert soft[0].item() == pytest.approx(0.0, abs=1e-6)
    assert soft[-1].item() == pytest.approx(1.0, abs=1e-6)
    assert surrogate.soft(torch.zeros(1)).item() == pytest.approx(0.5)


@every_surrogate
def test_surrogates_compare_and_print(surrogate: Surrogate) -> None:
    assert surrogate == type(surrogate)()
    assert type(surrogate).__name__ in repr(surrogate)


@pytest.mark.parametrize(("name", "peak"), [("Sigmoid", 1.0), ("ATan", 1.0), ("Triangle", 1.0), ("Rectangular", 1.0)])
def test_slope_at_threshold_is_the_documented_one(name: str, peak: float) -> None:
    x = torch.zeros(1, requires_grad=True)
    SURROGATE_CASES[name](x).backward()
    assert x.grad.item() == pytest.approx(peak)


def test_straight_through_keeps_every_bit_of_the_forward() -> None:
    hard = torch.randn(10_000) * 1e-6
    soft = torch.randn(10_000) * 1e6
    assert torch.equal(straight_through(hard, soft), hard)


def test_quantise_gradient_is_one_inside_and_zero_outside() -> None:
    x = torch.tensor([-0.1, 0.0, 0.5, 4.0, 4.9, 5.0], requires_grad=True)
    quantise(x, high=4).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 1.0, 0.0]


def test_quantise_does_not_depend_on_whether_a_gradient_is_asked_for() -> None:
    x = torch.randn(10_000) * 5
    assert torch.equal(quantise(x, low=-3.0, high=7), quantise(x.clone().requires_grad_(), low=-3.0, high=7))


def test_quantise_saturates_on_what_is_out_of_any_range() -> None:
    x = torch.tensor([1e38, float("inf"), -float("inf"), float("nan")], requires_grad=True)
    levels = quantise(x, high=4)
    assert levels[:3].tolist() == [4.0, 4.0, 0.0]
    assert levels[3].isnan()
