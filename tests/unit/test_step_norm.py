"""BatchNorm on trains in every mode, and gains folded into it."""

from __future__ import annotations

import copy
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from spikebridge import Direct, EachStep, OverTime, SpikingNetwork, declare_time, detached, to_zero
from spikebridge.blocks import StepAffine, StepNorm, fold_gain
from spikebridge.blocks.step_norm import Mode
from spikebridge.core import Sigmoid
from spikebridge.core.per_step import StepsTaken
from spikebridge.training import parameter_groups

from .norms import LEARNING, ROUNDING, adaptive, trained, trains

FOLDED = 1e-6
"""Of a product of gain and norm in place of two products."""

MODES = ("joint", "per-step", "reference", *LEARNING)
every_mode = pytest.mark.parametrize("mode", MODES)


# --- each mode is what it says -------------------------------------------------------------------------------


def test_the_table_has_every_mode() -> None:
    assert set(MODES) == set(get_args(Mode))


@pytest.mark.parametrize(
    ("mode", "lift"), [("joint", OverTime), ("reference", EachStep), *((mode, OverTime) for mode in LEARNING)]
)
@pytest.mark.parametrize("unit", [(3,), (3, 7), (3, 5, 5)])
def test_but_for_statistics_of_each_step_it_begins_as_a_lifted_batch_norm(
    mode: str, lift: type[nn.Module], unit: tuple[int, ...]
) -> None:
    kind = nn.BatchNorm2d if len(unit) == 3 else nn.BatchNorm1d
    norm, stock = StepNorm(3, time_steps=4, mode=mode), lift(kind(3))
    for _ in range(3):
        batch = trains(unit=unit)
        found, expected = batch.clone().requires_grad_(), batch.clone().requires_grad_()
        normal, by_stock, seen = norm(found), stock(expected), torch.randn_like(batch)
        assert torch.allclose(normal, by_stock, atol=ROUNDING)
        (normal * seen).sum().backward()
        (by_stock * seen).sum().backward()
        assert torch.allclose(found.grad, expected.grad, atol=ROUNDING)
        assert torch.allclose(norm.weight.grad, stock[0].weight.grad, rtol=1e-3, atol=1e-4)
    assert torch.allclose(norm.running_mean, stock[0].running_mean, atol=ROUNDING)
    assert torch.allclose(norm.running_var, stock[0].running_var, rtol=ROUNDING)
    batch = trains(unit=unit)
    assert torch.allclose(norm.eval()(batch), stock.eval()(batch), atol=ROUNDING)


def test_per_step_is_a_batch_norm_for_every_step_with_one_affine() -> None:
    norm, stock = StepNorm(3, time_steps=4, mode="per-step"), [nn.BatchNorm2d(3) for _ in range(4)]
    nn.init.uniform_(norm.weight)
    nn.init.normal_(norm.bias)
    for layer in stock:
        layer.weight, layer.bias = norm.weight, norm.bias
    for is_training in (True, True, False):
        batch = trains()
        norm.train(is_training)
        expected = torch.stack([layer.train(is_training)(step) for layer, step in zip(stock, batch, strict=True)])
        assert torch.allclose(norm(batch), expected, atol=ROUNDING)
    assert torch.allclose(norm.running_mean, torch.stack([layer.running_mean for layer in stock]), atol=ROUNDING)
    assert torch.allclose(norm.running_var, torch.stack([layer.running_var for layer in stock]), rtol=ROUNDING)


def test_the_modes_differ_where_steps_do() -> None:
    batch = trains()
    joint, per_step, reference = (StepNorm(3, time_steps=4, mode=mode) for mode in MODES[:3])
    assert torch.allclose(per_step(batch), reference(batch), atol=ROUNDING)
    assert per_step(batch).mean((1, 2, 3, 4)).abs().max() < ROUNDING
    assert joint(batch).mean((1, 2, 3, 4)).abs().max() > 0.5
    assert joint(batch).mean().abs() < ROUNDING


@pytest.mark.parametrize(("mode", "is_close"), [("joint", True), ("per-step", True), ("reference", False)])
def test_eval_mode_agrees_with_training_unless_steps_share_an_average(mode: str, is_close: bool) -> None:
    running = StepNorm(3, time_steps=4, mode=mode, momentum=0.5)
    for _ in range(30):
        running(trains(batch=64))
    of_batch = StepNorm(3, time_steps=4, mode=mode, eval_statistics="batch").eval()
    of_batch.load_state_dict(running.state_dict())
    held_out = trains(batch=64)
    gap = (running.eval()(held_out) - of_batch(held_out)).square().mean().sqrt().item()
    assert gap < 0.2 if is_close else gap > 1.0


def test_statistics_of_the_batch_in_eval_mode_leave_the_averages_alone() -> None:
    for mode in MODES:
        norm = StepNorm(3, time_steps=4, mode=mode, eval_statistics="batch")
        batch = trains()
        in_training = norm(batch)
        before = copy.deepcopy(norm.state_dict())
        assert torch.allclose(norm.eval()(batch), in_training, atol=ROUNDING)
        assert all(torch.equal(before[name], value) for name, value in norm.state_dict().items())


@every_mode
def test_compiled_it_is_the_same(mode: str) -> None:
    torch._dynamo.reset()
    norm, batch = StepNorm(3, time_steps=4, mode=mode), trains(unit=(3,))
    twin = copy.deepcopy(norm)
    assert torch.allclose(torch.compile(twin, fullgraph=True, backend="aot_eager")(batch), norm(batch), atol=ROUNDING)
    assert torch.allclose(twin.running_mean, norm.running_mean, atol=ROUNDING)
    assert torch.allclose(twin.running_var, norm.running_var, rtol=ROUNDING)


@every_mode
def test_narrow_trains_stay_narrow_and_averages_wide(mode: str) -> None:
    norm = StepNorm(3, time_steps=4, mode=mode)
    assert norm(trains().bfloat16()).dtype == torch.bfloat16
    assert norm.running_mean.dtype == torch.float32
    assert len(parameter_groups(norm)[0]["params"]) == 0  # whatever is learned for steps, none of it decays


@every_mode
def test_pieces_equal_the_whole_in_eval_mode(mode: str) -> None:
    norm, batch = trained(StepNorm(3, time_steps=4, mode=mode)), trains()
    first, state = norm.resume(batch[:3])
    second, state = norm.resume(batch[3:], state)
    assert torch.equal(torch.cat([first, second]), norm(batch))
    assert state == StepsTaken(4)
    with pytest.raises(ValueError, match=r"StepNorm expects at most 4 steps, .* got step 5"):
        norm.resume(batch[:1], state)
    with pytest.raises(ValueError, match=r"cannot take pieces of a train while .* Call \.eval\(\)"):
        norm.train().resume(batch[:1])


def test_bad_settings_and_trains_are_refused() -> None:
    known = "'joint', 'per-step', 'reference', 'step-scale', 'step-affine'"
    with pytest.raises(ValueError, match=f"StepNorm expects mode to be one of {known}; got 'b'"):
        StepNorm(3, time_steps=4, mode="b")
    with pytest.raises(ValueError, match="expects eval_statistics to be one of 'running', 'batch'; got 'none'"):
        StepNorm(3, time_steps=4, eval_statistics="none")
    with pytest.raises(ValueError, match="StepNorm expects features >= 1, a whole number; got 0"):
        StepNorm(0, time_steps=4)
    with pytest.raises(ValueError, match="StepNorm expects eps > 0; got 0"):
        StepNorm(3, time_steps=4, eps=0.0)
    with pytest.raises(ValueError, match=r"StepNorm expects momentum in \[0, 1\]; got 2"):
        StepNorm(3, time_steps=4, momentum=2.0)
    network = declare_time(nn.Sequential(StepNorm(3, time_steps=4)), time_steps=4)
    with pytest.raises(
        ValueError, match=r"StepNorm '0' expects a train \[time, batch, 3, \*rest\]; got shape \(4, 2, 5\)"
    ):
        network(torch.zeros(4, 2, 5))
    with pytest.raises(ValueError, match=r"StepNorm '0' expects a train \[time=4, .* whose leading axis is 6"):
        network(torch.zeros(6, 2, 3))
    with pytest.raises(ValueError, match=r"StepNorm.* expects T = 4"):
        SpikingNetwork(network, encoder=Direct(time_steps=5))
    for mode in LEARNING:
        with pytest.raises(ValueError, match=r"StepNorm expects a train \[time=4, .* It has settings for 4 steps"):
            StepNorm(3, time_steps=4, mode=mode)(torch.zeros(6, 2, 3))


# --- folding -------------------------------------------------------------------------------------------------


class Loud(Sigmoid):
    """Sends the stand-in, which shows the smallest difference of two membranes."""

    def __call__(self, x: Tensor) -> Tensor:
        return self.soft(x)


LAYERS = {
    "folded": lambda: OverTime(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)),
    "looped": lambda: EachStep(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)),
    "bare": lambda: OverTime(nn.BatchNorm2d(3)),
    **{mode: (lambda mode=mode: StepNorm(3, time_steps=4, mode=mode)) for mode in MODES},
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("channels", [None, 3])
def test_a_folded_gain_changes_nothing(make: object, channels: int | None) -> None:
    layers = trained(make())
    for surrogate in (Loud(), Sigmoid()):
        neuron, batch = adaptive(channels, surrogate=surrogate, threshold=1.7, reset=to_zero), trains()
        folded = fold_gain(layers, neuron)
        assert torch.allclose(folded(batch), neuron(layers(batch)), atol=FOLDED)
        assert folded[-1].gain.unique().tolist() == [1.0]
    assert neuron.gain.unique().numel() > 1


def test_a_folded_gain_is_the_norms_factor_per_step() -> None:
    norm, neuron = nn.BatchNorm1d(3), adaptive(3)
    trained(OverTime(norm), unit=(3,))
    affine = fold_gain(OverTime(norm).eval(), neuron)[0]
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    assert torch.allclose(affine.weight, neuron.gain * factor, rtol=1e-5)
    assert torch.allclose(affine.bias, neuron.gain * (norm.bias - norm.running_mean * factor), rtol=1e-4, atol=1e-6)


def test_folding_copies_and_leaves_nothing_to_train_beside_the_layers() -> None:
    layers, neuron = trained(LAYERS["folded"]()), adaptive(3, reset=detached(to_zero))
    before = copy.deepcopy([layers.state_dict(), neuron.state_dict()])
    folded = fold_gain(layers, neuron)
    assert [name for name, _ in folded.named_parameters()] == ["0.0.weight", "0.0.bias"]
    assert folded[-1].reset is neuron.reset
    with torch.no_grad():
        for tensor in folded.state_dict().values():
            tensor.fill_(0.5)
    assert all(
        torch.equal(kept[name], value)
        for kept, module in zip(before, (layers, neuron), strict=True)
        for name, value in module.state_dict().items()
    )


def test_a_folded_network_takes_pieces() -> None:
    norm, neuron, batch = trained(StepNorm(3, time_steps=4, mode="per-step")), adaptive(3), trains()
    affine, plain = fold_gain(norm, neuron)
    states: list[object] = [None, None]
    sent = []
    for piece in batch.split((1, 3)):
        piece, states[0] = affine.resume(piece, states[0])
        piece, states[1] = plain.resume(piece, states[1])
        sent.append(piece)
    assert torch.equal(torch.cat(sent), plain(affine(batch)))


def test_what_cannot_be_folded_is_refused() -> None:
    neuron, layers = adaptive(3), OverTime(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3))
    with pytest.raises(ValueError, match=r"in eval mode; this BatchNorm2d uses those of the batch\. Call \.eval\(\)"):
        fold_gain(layers, neuron)
    with pytest.raises(ValueError, match="this StepNorm uses those of the batch"):
        fold_gain(StepNorm(3, time_steps=4, eval_statistics="batch").eval(), neuron)
    with pytest.raises(ValueError, match="this BatchNorm1d uses those of the batch"):
        fold_gain(OverTime(nn.BatchNorm1d(3, track_running_stats=False)).eval(), neuron)
    with pytest.raises(TypeError, match=r"expects a StepNorm, or OverTime\(\.\.\.\) .* got OverTime"):
        fold_gain(OverTime(nn.Conv2d(3, 3, 3)), neuron)
    with pytest.raises(TypeError, match="got BatchNorm2d"):
        fold_gain(nn.BatchNorm2d(3), neuron)
    with pytest.raises(TypeError, match="expects an AdaptiveLIF after the norm; got ReLU"):
        fold_gain(layers.eval(), nn.ReLU())
    with pytest.raises(ValueError, match=r"gains \[time\] or \[time, 3\], as wide as the norm; got \[4, 5\]"):
        fold_gain(layers.eval(), adaptive(5))
    with pytest.raises(ValueError, match="of one T; got time_steps=6 and 4"):
        fold_gain(StepNorm(3, time_steps=6).eval(), neuron)
    with pytest.raises(ValueError, match=r"StepAffine expects weight and bias \[time, channel\] of one shape"):
        StepAffine(weight=torch.ones(4, 3), bias=torch.ones(4, 2))
