"""Values that are trains already: what is sent, what is refused, and what the first layer pays for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikebridge import LIF, OverTime, Recorded, SpikingNetwork
from spikebridge.encoders import ENCODERS
from spikebridge.measure import LayerOperations, count_operations

MODES: dict[str, tuple[dict[str, Any], Callable[[int], float]]] = {
    "kept": ({}, float),
    "scaled": ({"counts": "scaled", "largest": 4.0}, lambda count: count / 4),
    "clipped": ({"counts": "clipped", "largest": 2.0}, lambda count: min(count, 2)),
    "binary": ({"counts": "binary"}, lambda count: float(count > 0)),
}


def recordings(time: int = 6) -> Tensor:
    return torch.randint(0, 6, (5, time, 2, 4, 4)).float()


@pytest.mark.parametrize("mode", MODES)
def test_every_count_of_every_frame_is_sent_at_its_step(mode: str) -> None:
    settings, expected = MODES[mode]
    frames = recordings()
    encoder = Recorded(time_steps=6, **settings)
    train = encoder(frames)
    assert train.shape == (6, 5, 2, 4, 4)
    for sample, step, place in ((0, 0, (0, 0, 0)), (4, 5, (1, 3, 3)), (2, 3, (1, 0, 2))):
        counts = frames[sample, step].int()
        assert train[step, sample].tolist() == [
            [[expected(int(count)) for count in row] for row in channel] for channel in counts
        ]
        assert train[step, sample][place] == expected(int(counts[place]))
    assert encoder.is_binary == (mode == "binary")
    torch.testing.assert_close(encoder.decode(train), train.mean(0))


def test_the_recording_itself_stays_as_it_was() -> None:
    frames = recordings()
    before = frames.clone()
    Recorded(time_steps=6, counts="binary")(frames)
    assert torch.equal(frames, before)


def test_it_is_no_code_of_values() -> None:
    assert "Recorded" not in ENCODERS
    assert len(ENCODERS) >= 7


def seen_by(settings: dict[str, Any], frames: Tensor) -> LayerOperations:
    """The operations of the first layer behind a recording."""
    body = nn.Sequential(OverTime(nn.Conv2d(2, 3, 3)), LIF(), OverTime(nn.Flatten(), nn.Linear(12, 4)))
    return count_operations(SpikingNetwork(body, encoder=Recorded(time_steps=6, **settings)).eval(), frames)[0]


EVENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "kept": lambda frames: frames,
    "scaled": lambda frames: frames,  # a factor of all counts folds into the weights
    "clipped": lambda frames: frames.clamp(max=2.0),
    "binary": lambda frames: (frames > 0).float(),
}


@pytest.mark.parametrize("mode", MODES)
def test_the_first_layer_accumulates_once_for_every_event(mode: str) -> None:
    frames = recordings()
    first = seen_by(MODES[mode][0], frames)
    # Every event reaches as many outputs as a convolution of ones makes of it.
    events = EVENTS[mode](frames).transpose(0, 1).flatten(0, 1)
    reach = nn.functional.conv2d(events, torch.ones(3, 2, 3, 3)).reshape(6, -1).sum(1)
    assert first.kind == "AC"
    assert first.per_step == tuple((reach.double() / 5).tolist())


def test_an_event_of_three_costs_three_and_a_fraction_a_product() -> None:
    frames = torch.zeros(1, 6, 2, 4, 4)
    frames[0, 2, 1, 1, 1] = 3.0  # in the middle, where all 4 outputs of the 3 channels see it
    assert seen_by({}, frames).per_step == (0, 0, 3 * 12, 0, 0, 0)
    assert seen_by({"counts": "scaled", "largest": 7.0}, frames).per_step == (0, 0, 3 * 12, 0, 0, 0)
    assert seen_by({"counts": "clipped", "largest": 2.0}, frames).per_step == (0, 0, 2 * 12, 0, 0, 0)
    assert seen_by({}, -frames).per_step == (0, 0, 3 * 12, 0, 0, 0)  # as many the other way
    for settings, numbers in (({}, frames / 2), ({"counts": "clipped", "largest": 2.5}, frames)):
        first = seen_by(settings, numbers)
        assert (first.kind, first.per_step) == ("MAC", (12 * 18.0,) * 6)


def test_it_traces_for_the_compiler() -> None:
    encoder, frames = Recorded(time_steps=6, counts="clipped", largest=3.0), recordings()
    compiled = torch.compile(encoder, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(frames), encoder(frames))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Recorded(counts="rate"), ValueError, "counts to be one of 'kept', 'scaled', 'clipped', 'binary'; got"),  # type: ignore[arg-type]
        (lambda: Recorded(largest=0.0), ValueError, "Recorded expects largest > 0 and finite; got 0.0"),
        (lambda: Recorded(largest=float("nan")), ValueError, "Recorded expects largest > 0 and finite; got nan"),
        (lambda: Recorded(time_steps=0), ValueError, "Recorded expects time_steps >= 1; got 0"),
        (
            lambda: Recorded(time_steps=5)(recordings()),
            ValueError,
            "Recorded expects recordings [batch, time=5, *unit]; got shape (5, 6, 2, 4, 4). Load them with "
            "time_steps=5; values without steps of their own need a code.",
        ),
        (lambda: Recorded(time_steps=5)(torch.rand(5)), ValueError, "[batch, time=5, *unit]; got shape (5,)"),
        (lambda: Recorded(time_steps=6)(recordings().byte()), TypeError, "expects floating-point values; got"),
        (lambda: Recorded(time_steps=6)(recordings() * torch.nan), ValueError, "Recorded expects finite values"),
    ],
)
def test_what_is_no_recording_is_refused(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        make()
