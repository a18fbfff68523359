"""Bit planes against integer arithmetic, and their gradients against the equations of the paper."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from spikebridge import LIF, BitPlane, Phase, reference_parity, run
from spikebridge.core.planes import (
    PLANE_SURROGATES,
    FourierSine,
    NoGradient,
    PlaneSurrogate,
    SigSine,
    StraightThrough,
    TanhSine,
)

SINE = "sig_sine"
EVERY_BITS = range(1, 9)
DOUBLE = 1e-9
"""Relative error of a slope in double precision, with room for the sine of a large angle."""
BYTES = torch.arange(256)


def shifted(level: Tensor, bits: int) -> Tensor:
    """The digits of whole numbers, lowest first, by integer shift and mask."""
    return torch.stack([(level >> k) & 1 for k in range(bits)])


def slopes(surrogate: PlaneSurrogate, x: Tensor, *, bits: int = 8) -> Tensor:
    """f_k'(x) of every plane, [plane, *x.shape], lowest first."""
    weight = (2.0 ** torch.arange(bits, dtype=x.dtype)).reshape(-1, *[1] * x.ndim)
    return surrogate.derivative(x, weight, bits=bits)


def probed(encoder: BitPlane, values: Tensor) -> Tensor:
    """The slope of every plane of the code in units of x, by one upstream gradient at a time."""
    values = values.detach().requires_grad_()
    train = encoder(values)
    found = [torch.autograd.grad(plane.sum(), values, retain_graph=True)[0] for plane in train]
    return torch.stack(found) / encoder.levels


def sig_slope(x: float, k: int, *, alpha: float = -10.0) -> float:
    angle = math.pi * x / 2**k
    s = 1.0 / (1.0 + math.exp(-alpha * math.sin(angle)))
    return s * (1.0 - s) * alpha * math.pi / 2**k * math.cos(angle)


def tanh_slope(x: float, k: int, *, alpha: float = -10.0) -> float:
    angle = math.pi * x / 2**k
    return 0.5 / math.cosh(alpha * math.sin(angle)) ** 2 * alpha * math.pi / 2**k * math.cos(angle)


def fourier_slope(x: float, k: int, *, constant: float = 0.0) -> float:
    angle = math.pi * x / 2**k
    return constant - 2.0 / 2**k * sum(math.cos(q * angle) for q in (1, 3, 5, 7, 9))


CLOSED_FORMS: dict[str, tuple[PlaneSurrogate, Any]] = {
    "sig_sine": (SigSine(), sig_slope),
    "tanh_sine": (TanhSine(), tanh_slope),
    "fourier_sine": (FourierSine(), fourier_slope),
    "fourier with a constant": (FourierSine(constant=0.5), lambda x, k: fourier_slope(x, k, constant=0.5)),
    "straight_through": (StraightThrough(), lambda x, k: 1.0 / 255.0),
}


@pytest.mark.parametrize("bits", EVERY_BITS)
@pytest.mark.parametrize("rounding", ["round", "floor"])
@pytest.mark.parametrize("order", ["lsb", "msb"])
def test_every_whole_number_comes_back_and_its_planes_are_its_digits(bits: int, rounding: Any, order: Any) -> None:
    encoder = BitPlane(bits=bits, order=order, rounding=rounding)
    level = torch.arange(2**bits)
    train = encoder(level / encoder.levels)
    digits = shifted(level, bits)
    assert torch.equal(train, (digits if order == "lsb" else digits.flip(0)).float())
    assert torch.equal(encoder.decode(train) * encoder.levels, level.float())


def test_bytes_come_back_in_double_and_however_they_were_scaled() -> None:
    for values in (BYTES.double() / 255, BYTES.float() * (1.0 / 255.0)):
        encoder = BitPlane(bits=8)
        assert torch.equal(encoder.decode(encoder(values)) * 255, BYTES.to(values))


@pytest.mark.parametrize("bits", EVERY_BITS)
def test_between_whole_numbers_a_value_is_rounded_or_floored(bits: int) -> None:
    x = torch.rand(2000, dtype=torch.float64)
    for rounding, level in (("round", torch.floor(x * (2**bits - 1) + 0.5)), ("floor", torch.floor(x * (2**bits - 1)))):
        train = BitPlane(bits=bits, rounding=rounding)(x)
        assert torch.equal(train, shifted(level.long(), bits).double())


def test_a_graded_code_carries_all_of_the_value() -> None:
    encoder = BitPlane(bits=8, graded=True)
    r = torch.rand(1000, dtype=torch.float64)
    train = encoder(r)
    assert torch.allclose(torch.tensor(encoder.powers).double() @ train, 255 * r, rtol=1e-14)
    assert torch.equal(train[0], torch.remainder(255 * r, 2.0))
    assert torch.equal(train[1:], shifted((255 * r).long(), 8)[1:].double())
    assert not encoder.is_binary


def test_reversed_weights_decode_the_mirrored_byte() -> None:
    encoder = BitPlane(bits=8, weights="reversed")
    found = (encoder.decode(encoder(BYTES / 255)) * 255).long()
    assert found.tolist() == [int(f"{v:08b}"[::-1], 2) for v in range(256)]
    assert int((found == BYTES).sum()) == 16


def test_a_leaky_membrane_weighs_the_planes_by_itself() -> None:
    neuron = LIF(decay=0.5, decay_input=True, threshold=1e9)
    train, state = run(neuron, BitPlane(bits=8)(BYTES[:, None] / 255))
    assert torch.equal(state.membrane[:, 0], BYTES / 256)
    assert not train.any()


@pytest.mark.parametrize("bits", EVERY_BITS)
@pytest.mark.parametrize("unit", [(), (3,), (2, 3), (2, 3, 2), (2, 3, 2, 2)], ids=len)
def test_planes_are_a_leading_axis_whatever_the_rank(bits: int, unit: tuple[int, ...]) -> None:
    values = torch.rand(4, *unit)
    encoder = BitPlane(bits=bits)
    train = encoder(values)
    assert train.shape == (bits, 4, *unit)
    assert torch.equal(train.flatten(1), encoder(values.flatten()))
    assert encoder.decode(train).shape == values.shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_changes_no_bit(dtype: torch.dtype) -> None:
    values = (BYTES / 255).to(dtype).requires_grad_()
    encoder = BitPlane(bits=8, weights="learned")
    train = encoder(values)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = encoder(values)
        decoded = encoder.decode(inside)
    assert inside.dtype == decoded.dtype == torch.float32
    assert torch.equal(inside, train)
    assert torch.equal(decoded, encoder.decode(train))
    assert torch.equal(
        *(torch.autograd.grad(planes.square().sum(), values, retain_graph=True)[0] for planes in (inside, train))
    )


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_slope_is_the_closed_form(name: str) -> None:
    surrogate, closed = CLOSED_FORMS[name]
    x = 256 * torch.rand(200, dtype=torch.float64)
    expected = torch.tensor([[closed(value, k) for value in x.tolist()] for k in range(8)], dtype=torch.float64)
    # Between its edges a slope underflows, or is the small difference of large terms: exact to the peak's last bits.
    slack = 1e-12 * expected.abs().amax(1, keepdim=True)
    assert ((slopes(surrogate, x) - expected).abs() <= DOUBLE * expected.abs() + slack).all()


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_slope_is_the_limit_of_differences(name: str) -> None:
    surrogate, _ = CLOSED_FORMS[name]
    x, step = 256 * torch.rand(200, dtype=torch.float64), 1e-6
    weight = 2.0 ** torch.arange(8, dtype=torch.float64)[:, None]
    rise = surrogate.soft(x + step, weight, bits=8) - surrogate.soft(x - step, weight, bits=8)
    assert torch.allclose(rise / (2 * step), slopes(surrogate, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("surrogate", PLANE_SURROGATES.values(), ids=PLANE_SURROGATES)
def test_slope_is_what_differentiating_the_stand_in_gives(surrogate: PlaneSurrogate) -> None:
    x = 256 * torch.rand(200, dtype=torch.float64)
    weight = 2.0 ** torch.arange(8, dtype=torch.float64)[:, None]
    expected = PlaneSurrogate.derivative(surrogate, x, weight, bits=8)
    assert expected.shape == (8, 200)
    assert torch.allclose(surrogate.derivative(x, weight, bits=8), expected, rtol=1e-10, atol=1e-12)


FIXTURES = [
    (SigSine(), 3, 8.0, 0.98175),
    (SigSine(), 3, 0.0, -0.98175),
    (SigSine(), 7, 128.0, 0.061359),
    (SigSine(), 3, 200.3, 0.70291),
    (SigSine(), 2, 200.3, -0.61486),
    (FourierSine(), 3, 8.0, 1.25),
    (FourierSine(), 3, 0.0, -1.25),
    (FourierSine(), 1, 200.3, 1.1013),
    (FourierSine(), 3, 200.3, 0.98254),
]


@pytest.mark.parametrize(("surrogate", "k", "x", "slope"), FIXTURES)
def test_slope_at_points_worked_out_by_hand(surrogate: PlaneSurrogate, k: int, x: float, slope: float) -> None:
    assert slopes(surrogate, torch.tensor([x], dtype=torch.float64))[k].item() == pytest.approx(slope, rel=5e-5)


def test_tanh_is_sigmoid_of_twice_the_steepness() -> None:
    x = 256 * torch.rand(500, dtype=torch.float64)
    weight = 2.0 ** torch.arange(8, dtype=torch.float64)[:, None]
    assert torch.equal(TanhSine(-3.0).soft(x, weight, bits=8), SigSine(-6.0).soft(x, weight, bits=8))
    assert torch.equal(slopes(TanhSine(-3.0), x), slopes(SigSine(-6.0), x))


def test_scales_of_the_paper_make_the_planes_a_ramp() -> None:
    scales = BitPlane(bits=8, rescale="paper").scales
    assert list(scales) == [0, 1 / 64, 1 / 16, 3 / 16, 1 / 2, 5 / 4, 3, 7]
    assert [scale / 2**k for k, scale in enumerate(scales)] == [k / 128 for k in range(8)]
    assert BitPlane(bits=3, rescale="paper", order="msb").scales == (2, 0.5, 0)


def test_flat_scales_make_every_plane_equally_steep() -> None:
    code = BitPlane(bits=8, rescale="flat")
    # The highest slope of plane k is alpha pi / 4 2^k, before scales.
    assert [s / p for s, p in zip(code.scales, code.powers, strict=True)] == pytest.approx([1 / 255] * 8)


@pytest.mark.parametrize("order", ["lsb", "msb"])
@pytest.mark.parametrize("shape", [(5,), (4, 5), (3, 2, 4, 4), (2, 2, 3, 2, 2)], ids=len)
def test_a_gradient_on_one_plane_comes_back_scaled_by_its_own_slope(order: Any, shape: tuple[int, ...]) -> None:
    rescale = [0.5, 2.0, 3.0, 0.25, 1.0, 7.0, -1.0, 4.0]
    encoder = BitPlane(bits=8, surrogate=SINE, order=order, rounding="floor", edge="wrap", rescale=rescale)
    r = torch.rand(shape, dtype=torch.float64)
    expected = slopes(SigSine(), 255 * r) * torch.tensor(rescale, dtype=torch.float64).reshape(-1, *[1] * r.ndim)
    upstream = torch.randn(shape, dtype=torch.float64)
    for step, k in enumerate(range(8) if order == "lsb" else range(7, -1, -1)):
        values = r.clone().requires_grad_()
        (encoder(values)[step] * upstream).sum().backward()
        assert torch.allclose(values.grad, 255 * expected[k] * upstream, rtol=DOUBLE, atol=1e-15)


@pytest.mark.parametrize(("edge", "mean"), [("wrap", 0.0), ("mask", 0.99600)])
def test_the_mask_makes_the_slope_of_the_value_one_on_average(edge: Any, mean: float) -> None:
    encoder = BitPlane(bits=8, surrogate=SINE, rounding="floor", edge=edge)
    # The grid ends at 256, beyond the highest level: taken where the planes are made.
    x = ((torch.arange(2**14) + 0.5) * (256 / 2**14)).double().requires_grad_()
    (torch.tensor(encoder.powers).double() @ encoder.emit(x / 255)).sum().backward()
    assert x.grad.mean().item() == pytest.approx(mean, abs=1e-4)


def test_at_zero_the_wrapped_slopes_fall_and_the_masked_are_none() -> None:
    zero = torch.zeros(1, 1, dtype=torch.float64)
    assert (probed(BitPlane(surrogate=SINE, rounding="floor", edge="wrap"), zero) < 0).all()
    assert torch.equal(
        probed(BitPlane(surrogate=SINE, rounding="floor", edge="mask"), zero).flatten(), torch.zeros(8).double()
    )


@pytest.mark.parametrize("bits", EVERY_BITS)
def test_the_stand_in_rises_and_falls_where_the_bits_do(bits: int) -> None:
    """By the signs of the slope at every flip of every bit, whether levels are rounded or floored."""
    for rounding, flip in (("floor", 0.0), ("round", -0.5)):
        encoder = BitPlane(bits=bits, surrogate=SINE, rounding=rounding)
        level = torch.arange(1, 2**bits)
        before, after = shifted(level - 1, bits), shifted(level, bits)
        found = probed(encoder, (level.double() + flip) / encoder.levels)
        peak = 10 * math.pi / 4 / torch.tensor(encoder.powers).double()[:, None]
        # Where a bit does not flip, the stand-in of a high plane may still slope a little.
        flips = before != after
        assert torch.allclose(found[flips], ((after - before) * peak)[flips], rtol=1e-6)


def test_half_a_level_of_phase_takes_whole_levels_off_the_edges() -> None:
    levels = torch.arange(1, 255).double() / 255
    on, off = (probed(BitPlane(surrogate=SINE, rounding="floor", phase=phase), levels)[0].abs() for phase in (0.0, 0.5))
    assert torch.allclose(on, torch.full_like(on, 10 * math.pi / 4))
    assert (off < 1e-9).all()
    assert (probed(BitPlane(surrogate=SINE, rounding="round"), levels)[0].abs() < 1e-9).all()


def test_a_graded_code_has_its_edges_where_it_floors() -> None:
    values = torch.rand(2, 50, dtype=torch.float64)
    found = [probed(BitPlane(graded=True, rounding=rounding), values) for rounding in ("round", "floor")]
    assert torch.equal(*found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "surrogate",
    [*PLANE_SURROGATES.values(), SigSine(-1e3), TanhSine(-1e3), SigSine(-1e-3), FourierSine(terms=50)],
    ids=str,
)
@pytest.mark.parametrize("edge", ["mask", "wrap"])
def test_slopes_are_finite_everywhere(dtype: torch.dtype, surrogate: PlaneSurrogate, edge: Any) -> None:
    for rounding in ("round", "floor"):
        encoder = BitPlane(bits=8, surrogate=surrogate, edge=edge, rounding=rounding)
        levels = torch.cat([BYTES, torch.tensor([255 * (255.999 / 256), 254.999, 1e-30])])
        values = (levels / 255).clamp(0, 1).to(dtype).requires_grad_()
        train = encoder(values)
        assert torch.isfinite(train).all()
        assert train.requires_grad == surrogate.has_gradient
        if not surrogate.has_gradient:
            continue
        (train * encoder.step_weights[:, None]).sum().backward()
        assert values.grad.dtype == dtype
        assert torch.isfinite(values.grad).all()


def test_variance_falls_fourfold_from_plane_to_plane() -> None:
    x = 256 * torch.rand(200_000, dtype=torch.float64)
    variance = slopes(SigSine(), x).square().mean(1)
    assert variance[0].item() == pytest.approx(5.20, rel=0.02)
    assert torch.allclose(variance[:-1] / variance[1:], torch.full((7,), 4.0).double(), rtol=0.05)


def test_what_needs_no_gradient_makes_no_graph() -> None:
    encoder = BitPlane(bits=8)
    assert not encoder(torch.rand(3, 4)).requires_grad
    assert not BitPlane(surrogate="none")(torch.rand(3, 4, requires_grad=True)).requires_grad
    assert encoder(torch.rand(3, 4, requires_grad=True)).requires_grad


def test_learned_weights_start_at_the_values_and_leave_the_planes_alone() -> None:
    encoder = BitPlane(bits=8, weights="learned")
    assert [name for name, _ in encoder.named_parameters()] == ["plane_weights"]
    assert torch.equal(encoder.step_weights, BitPlane(bits=8).step_weights)
    encoder.decode(encoder(torch.rand(3, 4))).sum().backward()
    with torch.no_grad():
        encoder.plane_weights.sub_(10.0 * encoder.plane_weights.grad)  # in place, as an optimiser does
    assert not torch.equal(encoder.step_weights, BitPlane(bits=8).step_weights)
    assert torch.equal(encoder(BYTES / 255), BitPlane(bits=8)(BYTES / 255))
    again = BitPlane(bits=8, weights="learned")
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again.step_weights, encoder.step_weights)


@pytest.mark.parametrize("weights", ["value", "reversed", "learned"])
def test_what_is_made_on_the_meta_device_and_loaded_is_whole(weights: Any) -> None:
    settings: dict[str, Any] = {"bits": 8, "weights": weights, "rescale": "paper", "surrogate": SINE, "order": "msb"}
    expected = BitPlane(**settings)
    with torch.device("meta"):
        made, neuron = BitPlane(**settings), LIF()
    assert neuron.threshold.is_meta and "meta" in repr(neuron)
    made = made.to_empty(device="cpu")
    made.load_state_dict(expected.state_dict())
    grads = []
    for code in (made, expected):
        values = (BYTES / 255).requires_grad_()
        assert torch.equal(code.decode(code(values)), expected.decode(expected(values)))
        code(values).square().sum().backward()
        grads.append(values.grad)
    assert torch.equal(*grads)


def test_highest_first_it_is_phase_coding() -> None:
    values = torch.arange(64) / 64
    assert torch.equal(BitPlane(bits=6, order="msb", rounding="floor")(values * 64 / 63), Phase(time_steps=6)(values))


def mirrored_parity(x: Tensor, name: str, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Planes, decoded values and gradient of the published code, written from the equations."""
    low, high = float(x.min()), float(x.max())
    is_unit = low >= 0.0 and high <= 1.0
    span = 1.0 if is_unit else high - low
    level = 255.0 * (x - (0.0 if is_unit else low)) / span
    planes = torch.stack([level % 2.0, *[torch.floor(level / 2**k) % 2.0 for k in range(1, 8)]])
    decoded = sum(2.0 ** (7 - t) * planes[t] for t in range(8)) / 255.0
    closed = {
        "sig_sine": sig_slope,
        "tanh_sine": tanh_slope,
        "fourier_sine": lambda v, k: fourier_slope(v, k, constant=0.5),
    }[name]
    per_level = torch.zeros_like(x)
    for k in range(8):
        slope = torch.tensor([closed(v, k) for v in level.flatten().tolist()], dtype=torch.float64).reshape(x.shape)
        per_level += upstream[k] * (k / 2.0 ** (7 - k)) * slope
    gradient = per_level * 255.0 / span
    if not is_unit:
        to_low = 255.0 * (per_level * (x - high)).sum() / span**2
        to_high = -255.0 * (per_level * (x - low)).sum() / span**2
        gradient = gradient + to_low * (x == low) + to_high * (x == high)
    return planes, decoded, gradient


@pytest.mark.parametrize("name", ["sig_sine", "tanh_sine", "fourier_sine"])
@pytest.mark.parametrize("is_unit", [True, False], ids=["in [0, 1]", "anywhere"])
@pytest.mark.parametrize("shape", [(6, 5), (2, 3, 4, 4)], ids=len)
def test_parity_agrees_with_the_published_equations(name: str, is_unit: bool, shape: tuple[int, ...]) -> None:
    x = torch.rand(shape, dtype=torch.float64) if is_unit else 3 * torch.randn(shape, dtype=torch.float64) - 1
    upstream = torch.randn(8, *shape, dtype=torch.float64)
    planes, decoded, gradient = mirrored_parity(x, name, upstream)
    encoder = BitPlane(**reference_parity(surrogate=name)).eval()
    values = x.clone().requires_grad_()
    train = encoder(values)
    train.backward(upstream)
    assert torch.allclose(train, planes, atol=1e-12)
    assert torch.allclose(encoder.decode(train), decoded, atol=1e-12)
    assert torch.allclose(values.grad, gradient, rtol=DOUBLE, atol=1e-10)


def test_parity_of_a_constant_is_ones_without_a_gradient() -> None:
    for constant in (-7.3, 1.001, 5.0, 1e9):
        values = torch.full((2, 3), constant, requires_grad=True)
        train = BitPlane(**reference_parity())(values)
        train.sum().backward()
        assert torch.equal(train, torch.ones_like(train))
        assert not values.grad.any()
    for constant in (0.0, 0.25, 1.0):
        level = torch.tensor(constant * 255.0)
        train = BitPlane(**reference_parity())(torch.full((2, 3), constant))
        assert torch.equal(train[1:, 0, 0], shifted(level.long(), 8)[1:].float())


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no bit": ({"bits": 0}, ValueError, "expects bits from 1 to 8; got 0. Pass bits=8"),
    "nine bits": (
        {"bits": 9},
        ValueError,
        "expects bits from 1 to 8; got 9. Pass bits=8; for more digits there is Phase",
    ),
    "nine steps": ({"time_steps": 9}, ValueError, "expects bits from 1 to 8; got 9"),
    "half a bit": ({"bits": 2.5}, TypeError, "expects bits to be an int from 1 to 8; got 2.5"),
    "true bits": ({"bits": True}, TypeError, "expects bits to be an int from 1 to 8; got True"),
    "word": ({"bits": "8"}, TypeError, "expects bits to be an int from 1 to 8; got '8'"),
    "two lengths": ({"bits": 4, "time_steps": 6}, ValueError, "got bits = 4 and time_steps = 6. Pass one of them"),
    "order": ({"order": "big"}, ValueError, "expects order to be one of lsb, msb; got 'big'"),
    "edge": ({"edge": "cut"}, ValueError, "expects edge to be one of mask, wrap; got 'cut'"),
    "rounding": ({"rounding": "ceil"}, ValueError, "expects rounding to be one of round, floor; got 'ceil'"),
    "weights": ({"weights": "equal"}, ValueError, "expects weights to be one of value, reversed, learned; got 'equal'"),
    "surrogate": (
        {"surrogate": "sigsine"},
        ValueError,
        f"expects surrogate to be one of {', '.join(PLANE_SURROGATES)}; got 'sigsine'",
    ),
    "surrogate class": ({"surrogate": SigSine}, ValueError, "expects surrogate to be one of sig_sine"),
    "phase": ({"phase": 300.0}, ValueError, "expects phase in levels, such as 0.0 or 0.5; got 300.0"),
    "rescale word": ({"rescale": "F"}, ValueError, "expects rescale to be one of none, paper, flat; got 'F'"),
    "rescale short": (
        {"rescale": [1.0, 2.0]},
        ValueError,
        "'none', 'paper', 'flat', or one finite number per plane, 8 of them, lowest first; got [1.0, 2.0]",
    ),
    "rescale nothing": ({"rescale": None}, ValueError, "8 of them, lowest first; got None"),
    "rescale NaN": ({"bits": 1, "rescale": [math.nan]}, ValueError, "1 of them, lowest first; got [nan]"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_setting_is_refused(case: str) -> None:
    settings, kind, message = REFUSED[case]
    with pytest.raises(kind, match=re.escape(f"BitPlane {message}" if message.startswith("expects") else message)):
        BitPlane(**settings)


def test_a_wrong_stand_in_is_refused() -> None:
    for kind in (SigSine, TanhSine):
        for alpha in (0.0, 10.0, -math.inf, math.nan):
            with pytest.raises(
                ValueError, match=rf"{kind.__name__} expects alpha < 0 and finite.*; got {alpha}. Pass -10.0"
            ):
                kind(alpha=alpha)
    for terms in (0, 2.5):
        with pytest.raises(
            ValueError, match=rf"FourierSine expects terms to be a whole number >= 1 .*got {terms} and 0"
        ):
            FourierSine(terms=terms)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"constant to be finite; got 5 and inf. Pass terms=5, constant=0.0"):
        FourierSine(constant=math.inf)
    with pytest.raises(
        ValueError, match="expects surrogate to be one of sig_sine, tanh_sine, fourier_sine; got 'none'"
    ):
        reference_parity(surrogate="none")


def test_settings_are_shown_and_a_tensor_may_rescale() -> None:
    scales = torch.arange(3.0, requires_grad=True)
    encoder = BitPlane(bits=3, rescale=scales, phase=0.5, surrogate=NoGradient(), graded=True)
    assert repr(encoder).splitlines()[0] == (
        "BitPlane(bits=3, order=lsb, surrogate=NoGradient(), rescale=(0.0, 1.0, 2.0), edge=mask, phase=0.5, "
        "rounding=round, weights=value, value_range=(0.0, 1.0), graded=True)"
    )
    assert not list(encoder.parameters())
    assert not encoder.state_dict()
