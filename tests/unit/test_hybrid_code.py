"""Two codes one after the other: what is sent, what is decoded, and what the first layer pays for it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from spikebridge import LIF, Direct, EachStep, Encoder, Latency, OverTime, Phase, Rate, SpikingNetwork
from spikebridge.blocks import HybridStem
from spikebridge.encoders import BinaryLevel, Hybrid
from spikebridge.encoders.thresholds import equal_mass
from spikebridge.measure import count_operations, energy_card

PIXELS = torch.tensor([0.0, 0.1, 0.25, 0.3, 0.5, 0.74, 0.75, 1.0])


def test_analog_frame_then_the_frames_of_thresholds_above_zero() -> None:
    train = Hybrid(time_steps=4).encode(PIXELS)
    assert torch.equal(train[0], PIXELS)
    assert torch.equal(train[1:], Latency(time_steps=4).encode(PIXELS)[:3])
    assert torch.equal(train[1:].sum(0), (PIXELS >= 0.25).float())


@pytest.mark.parametrize("time_steps", range(1, 17))
def test_default_is_exact_and_says_so(time_steps: int) -> None:
    encoder, x = Hybrid(time_steps=time_steps), torch.arange(256) / 255
    train = encoder.encode(x)
    assert encoder.value_error == 0.0
    assert encoder.step_weights.tolist() == [1.0] + [0.0] * (time_steps - 1)
    for found in (encoder.decode(train), *encoder.interval(train)):
        assert torch.equal(found, x)


def test_spikes_alone_imply_an_interval() -> None:
    encoder = Hybrid(time_steps=4)
    assert encoder.rest is not None
    low, high = encoder.rest.interval(encoder.encode(PIXELS)[1:])
    assert low.tolist() == [0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75]
    assert high.tolist() == [0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1, 1]


def test_equal_mass_thresholds_without_the_last() -> None:
    encoder = Hybrid(Direct(time_steps=1), Latency(time_steps=3, levels=4, thresholds="equal-mass"))
    x = torch.linspace(0, 1, 101)
    reached = torch.stack([x >= threshold for threshold in equal_mass(4)[:3]]).float()
    assert torch.equal(encoder.encode(x)[1:].cumsum(0), reached)


def test_any_two_codes_and_a_range_of_both() -> None:
    parts = (Phase(time_steps=3), BinaryLevel(bits=2))
    encoder, x = Hybrid(*parts, value_range=(-1.0, 1.0)), torch.linspace(-1, 1, 201)
    train = encoder.encode(x)
    assert torch.equal(train, torch.cat([part.encode((x + 1) * 0.5) for part in parts]))
    assert encoder.is_binary
    assert encoder.is_spiking == (True,) * 5
    assert encoder.value_error == 2 * Phase(time_steps=3).unit_error
    low, high = encoder.interval(train)
    assert ((low <= x) & (x <= high)).all()
    assert (high - low <= 0.5).all()


@pytest.mark.parametrize(
    "parts",
    [(Latency(time_steps=2), Direct(time_steps=2)), (Rate(time_steps=2), Phase(time_steps=4)), (Phase(), Rate())],
)
def test_the_part_that_loses_less_decodes(parts: tuple[Encoder, Encoder]) -> None:
    encoder, best = Hybrid(*parts), 0 if isinstance(parts[0], Phase) else 1
    train = encoder.encode(PIXELS)
    frames = train.split([part.time_steps for part in parts])[best]
    assert torch.equal(encoder.decode(train), parts[best].decode(frames))
    assert encoder.value_error == parts[best].value_error
    assert encoder.is_stochastic == any(part.is_stochastic for part in parts)


def test_which_steps_spike() -> None:
    assert Hybrid(time_steps=1).is_spiking == (False,)
    assert Hybrid(time_steps=4).is_spiking == (False, True, True, True)
    assert Hybrid(Hybrid(time_steps=2), Direct(time_steps=1)).is_spiking == (False, True, False)
    assert not Hybrid(time_steps=4).is_binary


def stems() -> dict[str, Callable[[], nn.Module]]:
    def layers() -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))

    return {
        "own": lambda: HybridStem(layers(), layers()),
        "shared": lambda: OverTime(layers()),
        "step by step": lambda: EachStep(layers()),
    }


@pytest.mark.parametrize("name", stems())
def test_first_layer_multiplies_at_the_analog_step_and_accumulates_at_the_others(name: str) -> None:
    body = nn.Sequential(stems()[name](), LIF(), OverTime(nn.Flatten(), nn.Linear(64, 3)))
    network, x = SpikingNetwork(body, encoder=Hybrid(time_steps=4)).eval(), torch.rand(5, 1, 6, 6)
    analog, spikes, last = count_operations(network, x)
    assert (analog.kind, spikes.kind, last.kind) == ("MAC", "AC", "AC")
    assert analog.per_step == (4 * 9 * 16, 0, 0, 0)
    # Every spike reaches as many outputs as a convolution of ones makes of it.
    reach = nn.functional.conv2d(network.encoder(x)[1:].flatten(0, 1), torch.ones(4, 1, 3, 3)).reshape(3, -1).sum(1)
    assert spikes.per_step == (0, *(reach.double() / 5).tolist())
    assert analog.connections == spikes.connections == 4 * 9 * 16
    assert analog.runs_until(4) == 1
    assert (analog.is_in_ann, spikes.is_in_ann, last.is_in_ann) == (True, False, True)


@pytest.mark.parametrize("name", stems())
def test_the_ann_beside_a_hybrid_code_has_one_stem(name: str) -> None:
    body = nn.Sequential(stems()[name](), LIF(), OverTime(nn.Flatten(), nn.Linear(64, 3)))
    network, x = SpikingNetwork(body, encoder=Hybrid(time_steps=4)).eval(), torch.rand(5, 1, 6, 6)
    card = energy_card(count_operations(network, x), time_steps=4, bits=3)
    # A kernel of 3x3 at 4x4 places of 4 channels, which sees the image, and 64 activations to 3 classes.
    stem, readout = 9 * 16 * 4, 64 * 3
    few = card.costs.quantised_mac_pj(3)
    assert card.float_ann.energy_pj == pytest.approx(4.6 * (stem + readout))
    assert card.quantised_ann.energy_pj == pytest.approx(4.6 * stem + few * readout)
    assert card.quantised_traffic.per_run == 4 * ((9 * 4 + 4) + (64 * 3 + 3))
    assert card.quantised_traffic.per_operation == 4 * (stem + readout)
    # The network itself pays for both: the image once, and every spike on every connection.
    assert card.connections_of("AC") == stem + readout
    assert card.operations_of("MAC") == stem
    left = card.quantised_ann.energy_pj - 4.6 * stem
    assert card.quantised_ann.break_even == pytest.approx(left / (0.9 * (stem + readout)))


def test_of_two_stems_on_one_code_the_ann_has_the_first() -> None:
    for code, kind in ((Direct(time_steps=4), "MAC"), (Latency(time_steps=4), "AC")):
        body = nn.Sequential(stems()["own"](), LIF())
        network = SpikingNetwork(body, encoder=code).eval()
        found = {layer.layer: layer for layer in count_operations(network, torch.rand(5, 1, 6, 6))}
        assert {name: (layer.kind, layer.is_in_ann) for name, layer in found.items()} == {
            "0.first.0": (kind, True),
            "0.rest.0": (kind, False),
        }


@torch.no_grad()
def test_numbers_stay_numbers_through_pools_and_scalings() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.pool, self.layer = Hybrid(time_steps=3), OverTime(nn.AvgPool2d(2)), nn.Linear(9, 2)

        def forward(self, x: Tensor) -> Tensor:
            train = 0.5 * self.pool(self.encoder(x)).flatten(2)
            return self.layer(train).mean(0)

    x = torch.rand(2, 1, 6, 6)
    analog, spikes = count_operations(Pooled(), x)
    assert analog.per_step == (18, 0, 0)
    assert spikes.per_step == (0, *(2 * Hybrid(time_steps=3)(x)[1:].sum((1, 2, 3, 4)).double() / 2).tolist())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: Hybrid(Direct(time_steps=1), Latency(time_steps=3), time_steps=5),
            ValueError,
            "Hybrid has the steps of both parts, 1 + 3; got time_steps = 5. Leave time_steps out, or pass a rest of 4",
        ),
        (lambda: Hybrid(Direct(time_steps=6)), ValueError, "Hybrid has T = 4 steps, of which first takes 6. Pass more"),
        (lambda: Hybrid(nn.Identity()), TypeError, "Hybrid expects first to be an encoder, such as Latency(time_steps"),
        (
            lambda: Hybrid(rest=3),
            TypeError,
            "Hybrid expects rest to be an encoder, such as Latency(time_steps=3); got 3",
        ),
        (
            lambda: Hybrid(rest=Latency(value_range=(-1.0, 1.0))),
            ValueError,
            "rest (Latency) has a value_range of its own, (-1.0, 1.0). Pass value_range to Hybrid in its place",
        ),
        (lambda: Hybrid(rest=Latency(value_range="running")), ValueError, "has a value_range of its own, running"),
        (lambda: Hybrid(time_steps=0), ValueError, "Hybrid expects time_steps >= 1; got 0"),
    ],
)
def test_parts_that_do_not_fit_are_refused(make: Callable[[], Encoder], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        make()
