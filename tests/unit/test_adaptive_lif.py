"""A neuron whose leak and gain differ from step to step: golden values, gradients, and what a wrong T says."""

from __future__ import annotations

import copy
import io
import re

import pytest
import torch
from torch import Tensor, nn

from spikebridge import (
    LIF,
    ATan,
    Direct,
    OverTime,
    Sigmoid,
    SpikingNetwork,
    Strict,
    by_subtraction,
    declare_time,
    detached,
    run,
    to_zero,
)
from spikebridge.core import Reset
from spikebridge.neurons import AdaptiveLIF
from spikebridge.training import parameter_groups

EXACT = 1e-12
"""Tolerance in float64, where only the order of a few sums may differ."""

LAST_DIGIT = 5e-7
"""Half of the last digit in which a golden value is given."""

RESETS = {
    "soft": by_subtraction,
    "hard": to_zero,
    "soft detached": detached(by_subtraction),
    "hard detached": detached(to_zero),
}
every_reset = pytest.mark.parametrize("reset", RESETS.values(), ids=RESETS)


class Smooth(Sigmoid):
    """Fires the stand-in itself, so that the whole recursion is smooth."""

    def __call__(self, x: Tensor) -> Tensor:
        return self.soft(x)


def column(*numbers: float) -> Tensor:
    """One unit of one sample over time, in float64."""
    return torch.tensor(numbers, dtype=torch.float64)[:, None]


def membranes(neuron: AdaptiveLIF, currents: Tensor) -> list[float]:
    """After the reset, step by step."""
    state, found = neuron.initial_state(currents[0]), []
    for current in currents:
        _, state = neuron.step(current, state)
        found.append(state.membrane.item())
    return found


def varied(*, time_steps: int = 6, channels: int | None = None, **settings: object) -> AdaptiveLIF:
    """A neuron with another leak and gain at every step."""
    shape = (time_steps,) if channels is None else (time_steps, channels)
    leak, gain = torch.rand(shape), 0.5 + torch.rand(shape)
    return AdaptiveLIF(time_steps=time_steps, channels=channels, leak=leak, gain=gain, **settings)


# --- golden values -------------------------------------------------------------------------------------------


def test_a_membrane_at_the_threshold_fires() -> None:
    # The reference fires above the threshold only, and would be silent in the first step: 0, 1, 1, 1 with membranes
    # 1, 0.5, 0.25, 0.125: Strict does so. So does a current just below, here.
    neuron = AdaptiveLIF(time_steps=4)
    assert neuron(column(2, 2, 2, 2)).flatten().tolist() == [1, 1, 1, 1]
    assert membranes(neuron, column(2, 2, 2, 2)) == [0, 0, 0, 0]
    strict = AdaptiveLIF(time_steps=4, surrogate=Strict())
    assert strict(column(2, 2, 2, 2)).flatten().tolist() == [0, 1, 1, 1]
    assert membranes(strict, column(2, 2, 2, 2)) == [1, 0.5, 0.25, 0.125]
    below = 2 - 1e-9
    assert neuron(column(below, 2, 2, 2)).flatten().tolist() == [0, 1, 1, 1]
    assert membranes(neuron, column(below, 2, 2, 2)) == pytest.approx([1, 0.5, 0.25, 0.125], abs=1e-8)


def test_a_soft_reset_leaves_a_membrane_above_the_threshold() -> None:
    leak, gain = column(0.5, 0.9, 0.2, 0.7).flatten(), column(1, 0.3, 0.8, 0.5).flatten()
    neuron, currents = AdaptiveLIF(leak=leak, gain=gain), column(1.2, 0, 1.2, 3)
    assert neuron(currents).flatten().tolist() == [1, 0, 0, 1]
    assert membranes(neuron, currents) == pytest.approx([0.2, 0.18, 0.996, 1.1972], abs=EXACT)


@pytest.mark.parametrize(
    ("reset", "first_gain"), [(by_subtraction, 0.110990), (detached(by_subtraction), 0.768834)], ids=["on", "detached"]
)
def test_the_gradient_worked_by_hand(reset: Reset, first_gain: float) -> None:
    neuron = AdaptiveLIF(time_steps=2, reset=reset).double()
    neuron(column(1.6, 1.0))[1].sum().backward()
    assert neuron.gain.grad.tolist() == pytest.approx([first_gain, 0.961043], abs=LAST_DIGIT)
    assert neuron.leak.grad[0].item() == 0.0
    assert neuron.leak.grad[1].item() == pytest.approx(0.768834, abs=LAST_DIGIT)


def test_the_gradient_is_the_published_recursion() -> None:
    """delta_t = dL/do_t g_t + delta_{t+1} a_{t+1} (1 - g_t);  dL/da_t = delta_t v_{t-1};  dL/db_t = delta_t c_t."""
    neuron, currents, seen = varied().double(), torch.randn(6, 4, 3).double() * 2, torch.randn(6, 4, 3).double()
    (neuron(currents) * seen).sum().backward()
    leak, gain = neuron.leak.detach(), neuron.gain.detach()
    before, charged, rest = [], [], torch.zeros(4, 3).double()
    for t, current in enumerate(currents):
        before.append(rest)
        charged.append(leak[t] * rest + gain[t] * current)
        rest = charged[t] - (charged[t] >= 1).double()
    delta = torch.zeros(4, 3).double()
    for t in reversed(range(6)):
        soft = torch.sigmoid(4 * (charged[t] - 1))
        slope = 4 * soft * (1 - soft)
        later = delta * leak[t + 1] if t < 5 else delta
        delta = seen[t] * slope + later * (1 - slope)
        assert neuron.leak.grad[t].item() == pytest.approx((delta * before[t]).sum().item(), abs=EXACT)
        assert neuron.gain.grad[t].item() == pytest.approx((delta * currents[t]).sum().item(), abs=EXACT)
    assert neuron.leak.grad[0].item() == 0.0


@pytest.mark.parametrize("reset", [by_subtraction, to_zero])
@pytest.mark.parametrize("channels", [None, 3])
def test_the_smooth_recursion_has_its_numerical_gradient(reset: Reset, channels: int | None) -> None:
    neuron = varied(time_steps=3, channels=channels, surrogate=Smooth(), reset=reset).double()

    def fire(currents: Tensor, leak: Tensor, gain: Tensor) -> Tensor:
        return torch.func.functional_call(neuron, {"leak": leak, "gain": gain}, (currents,))

    leaves = torch.randn(3, 2, 3).double(), neuron.leak.detach(), neuron.gain.detach()
    assert torch.autograd.gradcheck(fire, [leaf.clone().requires_grad_() for leaf in leaves])


# --- equal to what it replaces -------------------------------------------------------------------------------


@every_reset
@pytest.mark.parametrize("channels", [None, 5])
@pytest.mark.parametrize("learn", [True, False])
def test_a_fresh_one_is_a_leaky_neuron_in_values_and_gradients(reset: Reset, channels: int | None, learn: bool) -> None:
    surrogate = ATan() if learn else Sigmoid()
    fresh = AdaptiveLIF(
        time_steps=7, channels=channels, learn_leak=learn, learn_gain=learn, reset=reset, surrogate=surrogate
    )
    host = LIF(decay=0.5, decay_input=True, reset=reset, surrogate=surrogate)
    found, expected = ((torch.randn(7, 6, 5) * 2 + 1).requires_grad_() for _ in range(2))
    expected.data = found.data.clone()
    assert torch.equal(fresh(found), host(expected))
    seen = torch.randn(7, 6, 5)
    (fresh(found) * seen).sum().backward()
    (host(expected) * seen).sum().backward()
    assert torch.equal(found.grad, expected.grad)


@pytest.mark.parametrize(("leak", "gain"), [(False, False), (True, False), (False, True)])
def test_what_is_not_learned_is_kept_but_not_trained(leak: bool, gain: bool) -> None:
    neuron = AdaptiveLIF(channels=3, learn_leak=leak, learn_gain=gain)
    assert {name for name, _ in neuron.named_parameters()} == {
        name for name, is_learned in (("leak", leak), ("gain", gain)) if is_learned
    }
    assert neuron.state_dict().keys() == AdaptiveLIF().state_dict().keys() == {"leak", "gain", "threshold"}
    trained = varied(time_steps=4, channels=3)
    neuron.load_state_dict(trained.state_dict())
    currents = torch.randn(4, 2, 3)
    assert torch.equal(neuron(currents), trained(currents))


@pytest.mark.parametrize(("channels", "count"), [(None, 14), (5, 70)])
def test_it_has_two_numbers_per_step_and_channel(channels: int | None, count: int) -> None:
    assert sum(parameter.numel() for parameter in AdaptiveLIF(time_steps=7, channels=channels).parameters()) == count


def test_equal_channels_are_one_layer() -> None:
    leak, gain, currents = torch.rand(4), 0.5 + torch.rand(4), torch.randn(4, 2, 3, 5, 5) * 2
    by_layer = AdaptiveLIF(leak=leak, gain=gain)
    by_channel = AdaptiveLIF(channels=3, leak=leak, gain=gain)
    assert by_channel.leak.shape == (4, 3)
    assert torch.equal(by_channel(currents), by_layer(currents))


def test_every_channel_has_its_own_settings_in_images_and_tokens() -> None:
    neuron, images = varied(time_steps=4, channels=3), torch.randn(4, 2, 3, 5, 5) * 2
    tokens = AdaptiveLIF(channels=(1, 3), leak=neuron.leak[:, None], gain=neuron.gain[:, None])
    apart = [
        AdaptiveLIF(leak=neuron.leak[:, c].detach(), gain=neuron.gain[:, c].detach())(images[:, :, c]) for c in range(3)
    ]
    assert torch.equal(neuron(images), torch.stack(apart, 2))
    as_tokens = images.flatten(3).transpose(2, 3)
    assert torch.equal(tokens(as_tokens), neuron(images).flatten(3).transpose(2, 3))


def test_the_order_of_steps_matters_as_far_as_settings_or_state_differ() -> None:
    currents, order = torch.randn(4, 8, 3) * 2, torch.tensor([2, 0, 3, 1])
    memoryless = AdaptiveLIF(leak=0.0)
    assert torch.equal(memoryless(currents[order]), memoryless(currents)[order])
    for neuron in (AdaptiveLIF(leak=0.0, gain=torch.tensor([0.2, 0.5, 1.0, 2.0])), AdaptiveLIF()):
        assert not torch.equal(neuron(currents[order]), neuron(currents)[order])


# --- time ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [(1, 5), (3, 3), (2, 2, 2), (1, 1, 1, 1, 1, 1)])
@pytest.mark.parametrize("channels", [None, 3])
def test_pieces_equal_the_whole(cuts: tuple[int, ...], channels: int | None) -> None:
    neuron, currents = varied(channels=channels), torch.randn(6, 4, 3, 5) * 2
    state, sent = None, []
    for piece in currents.split(cuts):
        spikes, state = run(neuron, piece, state)
        sent.append(spikes)
    assert torch.equal(torch.cat(sent), neuron(currents))
    assert state.step.tolist() == [6] * 4


@pytest.mark.parametrize("time", [3, 5])
def test_a_train_of_another_length_is_refused_declared_or_not(time: int) -> None:
    neuron, currents = AdaptiveLIF(), torch.zeros(time, 2, 3)
    fix = f"encode with time_steps=4, or build it with time_steps={time}"
    with pytest.raises(ValueError, match=rf"AdaptiveLIF expects a train \[time=4, .* is {time}\. .*{fix}"):
        neuron(currents)
    network = declare_time(nn.Sequential(OverTime(nn.Linear(3, 3)), AdaptiveLIF()), time_steps=4)
    with pytest.raises(ValueError, match=rf"AdaptiveLIF '1' expects a train \[time=4, .* is {time}\. .*{fix}"):
        network[1](currents)
    with pytest.raises(ValueError, match=r"\[time=4, batch, \*unit\]; got shape \(5,\)"):
        neuron(torch.zeros(5))


def test_a_step_beyond_the_last_is_refused() -> None:
    neuron, currents = AdaptiveLIF(), torch.zeros(4, 2, 3)
    _, state = run(neuron, currents)
    fix = "at most 4 steps, for which it has settings; got step 5. Start a new train with state=None"
    for beyond in (
        lambda: run(neuron, currents[:1], state),
        lambda: neuron.step(currents[0], state),
        lambda: run(neuron, torch.zeros(5, 2, 3)),
    ):
        with pytest.raises(ValueError, match=fix):
            beyond()
    named = declare_time(nn.Sequential(neuron), time_steps=4)
    with pytest.raises(ValueError, match="AdaptiveLIF '0' expects at most 4 steps"):
        named[0].resume(currents, state)


def test_an_encoder_of_another_time_is_refused_where_they_meet() -> None:
    body = nn.Sequential(OverTime(nn.Linear(3, 3)), AdaptiveLIF(time_steps=4))
    with pytest.raises(
        ValueError, match=r"AdaptiveLIF '1' expects T = 4, .* got time_steps=6\. Build it with time_steps=6"
    ):
        SpikingNetwork(body, encoder=Direct(time_steps=6))
    assert SpikingNetwork(body, encoder=Direct(time_steps=4))(torch.randn(2, 3)).shape == (2, 3)


def test_samples_at_different_steps_are_refused() -> None:
    neuron, currents = AdaptiveLIF(), torch.zeros(2, 3, 5)
    _, state = run(neuron, currents)
    uneven = state._replace(step=torch.tensor([2.0, 2.0, 1.0]))
    with pytest.raises(ValueError, match="samples are all at one step; got steps 1 to 2"):
        neuron.step(currents[0], uneven)


def test_an_empty_batch_goes_through() -> None:
    assert AdaptiveLIF()(torch.zeros(4, 0, 3)).shape == (4, 0, 3)


# --- precision, compilation, files, optimisers ---------------------------------------------------------------


def test_the_membrane_stays_wide_inside_autocast() -> None:
    network = nn.Sequential(OverTime(nn.Linear(3, 5)), varied(time_steps=4, channels=5))
    train = torch.randn(4, 2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        currents = network[0](train)
        spikes, state = run(network[1], currents)
    assert currents.dtype == torch.bfloat16
    assert state.membrane.dtype == spikes.dtype == torch.float32
    assert torch.equal(spikes, network[1](currents.float()))


@pytest.mark.parametrize("channels", [None, 3])
def test_compiled_pieces_and_gradients_are_the_same(channels: int | None) -> None:
    torch._dynamo.reset()
    neuron, currents = varied(channels=channels), torch.randn(6, 4, 3) * 2
    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    first, state = compiled(neuron, currents[:2])
    _, eager_state = run(neuron, currents[:2])
    for carried in (state, eager_state):
        second, _ = compiled(neuron, currents[2:], carried)
        assert torch.equal(torch.cat([first, second]), neuron(currents))
    second, _ = run(neuron, currents[2:], state)
    assert torch.equal(torch.cat([first, second]), neuron(currents))
    twin = copy.deepcopy(neuron)
    neuron(currents).square().sum().backward()
    torch.compile(twin, fullgraph=True, backend="aot_eager")(currents).square().sum().backward()
    assert torch.allclose(twin.leak.grad, neuron.leak.grad, atol=1e-5)
    assert torch.allclose(twin.gain.grad, neuron.gain.grad, atol=1e-5)


def test_it_goes_through_a_file() -> None:
    neuron, currents, file = varied(channels=3), torch.randn(6, 2, 3) * 2, io.BytesIO()
    torch.save(neuron, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    assert torch.equal(loaded(currents), neuron(currents))
    assert loaded.time_steps == 6


@pytest.mark.parametrize("channels", [None, 5])
def test_leaks_and_gains_never_decay(channels: int | None) -> None:
    network = nn.Sequential(OverTime(nn.Linear(3, 5)), AdaptiveLIF(channels=channels))
    decaying, steady = parameter_groups(network)
    assert [parameter.shape for parameter in decaying["params"]] == [(5, 3)]
    assert {id(network[1].leak), id(network[1].gain)} < {id(parameter) for parameter in steady["params"]}
    optimiser = torch.optim.AdamW(parameter_groups(network), lr=0.1, weight_decay=0.5)
    network(torch.randn(4, 2, 3)).sum().backward()
    optimiser.step()
    assert torch.equal(network[1].leak[0], torch.full_like(network[1].leak[0], 0.5))


# --- bad settings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", [(4,), (4, 3, 3), (5, 4)])
def test_other_channels_are_refused_by_name(unit: tuple[int, ...]) -> None:
    network = declare_time(nn.Sequential(AdaptiveLIF(channels=3)), time_steps=4)
    message = (
        f"AdaptiveLIF '0' expects steps [batch, *unit] of 3 channels; got units of shape {unit}, which its leak does "
        f"not fit. Build it with"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        network(torch.zeros(4, 2, *unit))
    with pytest.raises(ValueError, match=r"of a unit that fits \(1, 3\); got units of shape"):
        AdaptiveLIF(channels=(1, 3))(torch.zeros(4, 2, *unit))


@pytest.mark.parametrize("name", ["leak", "gain", "threshold"])
def test_other_channels_than_those_of_one_setting_are_refused_by_name(name: str) -> None:
    neuron = AdaptiveLIF(channels=3, threshold=torch.ones(3))
    for other in {"leak", "gain"} - {name}:  # one per step, as adapt leaves what has no numbers per channel
        setattr(neuron, other, nn.Parameter(torch.ones(4)))
    neuron.threshold = torch.ones(3) if name == "threshold" else torch.ones(())
    network = declare_time(nn.Sequential(neuron), time_steps=4)
    with pytest.raises(ValueError, match=rf"AdaptiveLIF '0' .* of 3 channels; .* which its {name} does not fit"):
        network(torch.zeros(4, 2, 5))
    assert network(torch.zeros(4, 2, 3)).shape == (4, 2, 3)


@pytest.mark.parametrize("name", ["leak", "gain"])
def test_settings_must_fit_and_be_finite(name: str) -> None:
    with pytest.raises(ValueError, match=rf"expects {name} to be a number, one per step \[4\], .* got shape \[3\]"):
        AdaptiveLIF(**{name: torch.ones(3)})
    with pytest.raises(ValueError, match=rf"{name} .* one per step and channel \[4, 3\]; got shape \[4, 2\]"):
        AdaptiveLIF(channels=3, **{name: torch.ones(4, 2)})
    with pytest.raises(ValueError, match=f"AdaptiveLIF expects {name} to be finite; got nan"):
        AdaptiveLIF(**{name: float("nan")})
    assert getattr(AdaptiveLIF(**{name: -2}), name).tolist() == [-2.0] * 4


@pytest.mark.parametrize("channels", [0, -1, True, 2.5, (3, 0)])
def test_channels_must_be_whole_numbers(channels: object) -> None:
    with pytest.raises(ValueError, match="AdaptiveLIF expects channels to be None, a whole number >= 1, or a shape"):
        AdaptiveLIF(channels=channels)


def test_other_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="AdaptiveLIF expects time_steps >= 1; got 0"):
        AdaptiveLIF(time_steps=0)
    with pytest.raises(TypeError, match="AdaptiveLIF expects time_steps to be an int"):
        AdaptiveLIF(time_steps=2.0)
    with pytest.raises(TypeError, match="AdaptiveLIF expects surrogate to be one, such as surrogate=ATan"):
        AdaptiveLIF(surrogate=Sigmoid)
    with pytest.raises(TypeError, match="AdaptiveLIF expects reset to be one"):
        AdaptiveLIF(reset="hard")


def test_what_it_prints_says_what_it_is() -> None:
    assert "time_steps=4, leak=0.5, gain=0.5, threshold=1" in repr(AdaptiveLIF())
    assert "channels=3, leak=0..0.75, gain=0.5" in repr(
        AdaptiveLIF(channels=3, leak=torch.tensor([0.0, 0.25, 0.5, 0.75]))
    )
