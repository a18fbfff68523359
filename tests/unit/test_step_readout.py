"""An answer in which steps weigh differently: at first all alike, then learned, then folded."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from spikebridge import LIF, Direct, OverTime, SpikingNetwork, declare_time
from spikebridge.blocks import StepReadout, fold_readout
from spikebridge.core.readout import cumulative_mean, outputs_over_time
from spikebridge.measure import count_operations
from spikebridge.neurons import AdaptiveLIF
from spikebridge.training import parameter_groups

ROUNDING = 1e-6
"""Of a few sums in float32, taken in another order."""

STEPS, CLASSES = 4, 5


def readout(*, scale: Tensor | None = None, bias: bool = True, **settings: object) -> StepReadout:
    made = StepReadout(nn.Linear(3, CLASSES, bias=bias), time_steps=STEPS, **settings)
    if scale is not None:
        with torch.no_grad():
            made.scale.copy_(scale)
    return made


def network(last: nn.Module) -> SpikingNetwork:
    body = nn.Sequential(OverTime(nn.Linear(7, 3)), AdaptiveLIF(time_steps=STEPS), last)
    return SpikingNetwork(body, encoder=Direct(time_steps=STEPS))


@pytest.mark.parametrize("learn", [True, False])
@pytest.mark.parametrize("per_class", [True, False])
def test_a_fresh_one_changes_nothing(learn: bool, per_class: bool) -> None:
    fresh, values = readout(learn=learn, per_class=per_class), torch.rand(8, 7) * 3
    ours = network(fresh)
    plain = SpikingNetwork(nn.Sequential(*ours.body[:2], OverTime(fresh.layer)), encoder=Direct(time_steps=STEPS))
    assert torch.equal(ours(values), plain(values))
    assert torch.equal(ours.readouts(values), plain.readouts(values))
    assert "scale" in dict(fresh.named_parameters() if learn else fresh.named_buffers())


@pytest.mark.parametrize("step", range(STEPS))
def test_a_scale_of_one_step_picks_that_step(step: int) -> None:
    picks, train = readout(scale=torch.eye(STEPS)[step]), torch.rand(STEPS, 2, 3)
    assert torch.allclose(picks(train).mean(0), picks.layer(train[step]) / STEPS, atol=ROUNDING)
    assert not picks(train)[torch.arange(STEPS) != step].any()


def test_a_class_can_have_its_own_scale() -> None:
    scale, train = torch.randn(STEPS, CLASSES), torch.rand(STEPS, 2, 3)
    own = readout(per_class=True, scale=scale)
    expected = torch.stack([scale[t] * own.layer(train[t]) for t in range(STEPS)])
    assert torch.allclose(own(train), expected, atol=ROUNDING)
    wide, tokens = readout(per_class=True), torch.rand(STEPS, 2, 6, 3)
    assert wide(tokens).shape == (STEPS, 2, 6, CLASSES)


def test_the_gradient_of_a_scale_is_its_steps_share_of_the_answer() -> None:
    learned, train = readout(scale=torch.randn(STEPS)), torch.rand(STEPS, 2, 3)
    seen = torch.randn(2, CLASSES)
    (learned(train).mean(0) * seen).sum().backward()
    expected = torch.stack([(seen * learned.layer(step)).sum() / STEPS for step in train])
    assert torch.allclose(learned.scale.grad, expected, atol=ROUNDING)


def test_a_network_answers_after_every_step() -> None:
    scaled, values = network(readout(scale=torch.randn(STEPS))), torch.rand(8, 7) * 3
    train = outputs_over_time(scaled, values)
    assert torch.equal(scaled.readouts(values), cumulative_mean(train))
    assert torch.allclose(scaled(values), cumulative_mean(train)[-1], atol=ROUNDING)
    spikes = scaled.body[:2](scaled.encoder(values))
    last = scaled.body[2]
    by_hand = torch.stack([last.scale[t] * last.layer(spikes[t]) for t in range(STEPS)])
    assert torch.allclose(scaled.readouts(values)[1], by_hand[:2].mean(0), atol=ROUNDING)


@pytest.mark.parametrize("bias", [True, False])
def test_the_layer_runs_once_on_the_weighted_mean(bias: bool) -> None:
    scaled, train = readout(scale=torch.randn(STEPS), bias=bias), torch.rand(STEPS, 2, 3)
    folded = fold_readout(scaled)
    scale = scaled.scale.detach()
    once = nn.functional.linear((scale[:, None, None] * train).mean(0), scaled.layer.weight)
    once = once + scaled.layer.bias * scale.mean() if bias else once
    assert torch.allclose(folded(train)[0], once, atol=ROUNDING)
    assert torch.allclose(folded(train)[0], scaled(train).mean(0), atol=ROUNDING)
    values, whole = torch.rand(8, 7) * 3, network(scaled)
    in_place = SpikingNetwork(nn.Sequential(*whole.body[:2], folded), encoder=Direct(time_steps=STEPS))
    assert torch.allclose(in_place(values), whole(values), atol=ROUNDING)
    assert scaled.layer.bias is None or not torch.equal(folded.layer.bias, scaled.layer.bias)


def test_a_folded_readout_costs_one_run_of_its_layer() -> None:
    scaled, values = network(readout(scale=torch.rand(STEPS))), torch.rand(8, 7) * 3
    folded = SpikingNetwork(
        nn.Sequential(*scaled.body[:2], fold_readout(scaled.body[2])), encoder=Direct(time_steps=STEPS)
    )
    plain = SpikingNetwork(
        nn.Sequential(*scaled.body[:2], OverTime(scaled.body[2].layer)), encoder=Direct(time_steps=STEPS)
    )
    whole, once, lifted = (count_operations(each.eval(), values)[-1] for each in (scaled, folded, plain))
    assert whole.kind == lifted.kind == "AC"
    assert whole.per_step == lifted.per_step
    assert len(once.per_step) == 1


@pytest.mark.parametrize("per_class", [True, False])
def test_pieces_equal_the_whole(per_class: bool) -> None:
    shape = (STEPS, CLASSES) if per_class else (STEPS,)
    scaled, train = readout(per_class=per_class, scale=torch.randn(shape)), torch.rand(STEPS, 2, 3)
    first, state = scaled.resume(train[:1])
    second, state = scaled.resume(train[1:], state)
    assert torch.allclose(torch.cat([first, second]), scaled(train), atol=ROUNDING)
    with pytest.raises(ValueError, match=r"StepReadout expects at most 4 steps, .* got step 5"):
        scaled.resume(train[:1], state)


@pytest.mark.parametrize("per_class", [True, False])
def test_compiled_it_is_the_same(per_class: bool) -> None:
    torch._dynamo.reset()
    scaled, train = readout(per_class=per_class), torch.rand(STEPS, 2, 3)
    assert torch.equal(torch.compile(scaled, fullgraph=True, backend="aot_eager")(train), scaled(train))
    folded = fold_readout(readout(scale=torch.randn(STEPS)))
    assert torch.allclose(
        torch.compile(folded, fullgraph=True, backend="aot_eager")(train), folded(train), atol=ROUNDING
    )


@pytest.mark.parametrize("per_class", [True, False])
def test_a_scale_per_step_does_not_decay_and_the_layer_does(per_class: bool) -> None:
    scaled = readout(per_class=per_class)
    decaying, steady = parameter_groups(scaled)
    assert [id(parameter) for parameter in decaying["params"]] == [id(scaled.layer.weight)]
    assert {id(parameter) for parameter in steady["params"]} == {id(scaled.layer.bias), id(scaled.scale)}


def test_a_lifted_layer_is_taken_for_what_it_lifts() -> None:
    linear, train = nn.Linear(12, 5), torch.rand(STEPS, 2, 3, 4)
    lifted = StepReadout(OverTime(nn.Flatten(), linear), time_steps=STEPS)
    assert torch.equal(lifted(train), OverTime(nn.Flatten(), linear)(train))
    assert StepReadout(OverTime(linear), time_steps=STEPS).layer is linear


def test_bad_readouts_and_trains_are_refused() -> None:
    with pytest.raises(ValueError, match="StepReadout lifts a layer that knows no time; LIF takes trains itself"):
        StepReadout(nn.Sequential(nn.Linear(3, 3), LIF()), time_steps=4)
    with pytest.raises(ValueError, match=r"per_class=True\) expects a layer with out_features, .* got Sequential"):
        StepReadout(nn.Sequential(nn.Flatten(), nn.Linear(3, 3)), time_steps=4, per_class=True)
    with pytest.raises(ValueError, match="StepReadout expects time_steps >= 1; got 0"):
        StepReadout(nn.Linear(3, 3), time_steps=0)
    declared = declare_time(nn.Sequential(readout()), time_steps=4)
    with pytest.raises(ValueError, match=r"StepReadout '0' expects a train \[time=4, .* whose leading axis is 3"):
        declared(torch.zeros(3, 2, 3))
    with pytest.raises(ValueError, match=r"StepReadout.* expects T = 4"):
        SpikingNetwork(declared, encoder=Direct(time_steps=5))
    with pytest.raises(ValueError, match=r"FoldedReadout expects a train \[time=4, .* whose leading axis is 3"):
        fold_readout(readout())(torch.zeros(3, 2, 3))


def test_what_cannot_be_folded_is_refused() -> None:
    with pytest.raises(TypeError, match="fold_readout expects a StepReadout; got Linear"):
        fold_readout(nn.Linear(3, 3))
    with pytest.raises(ValueError, match=r"whose layer is nn\.Linear; got Sequential"):
        fold_readout(StepReadout(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), time_steps=4))
    with pytest.raises(ValueError, match="with per_class=True every class has its own mean over time"):
        fold_readout(readout(per_class=True))
