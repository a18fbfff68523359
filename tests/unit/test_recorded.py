"""Values that are trains already: what is sent, what is refused, and what the first layer pays for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikebridge import LIF, OverTime, SpikingNetwork
from spikebridge.encoders import ENCODERS, Recorded
from spikebridge.measure import count_operations

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


@pytest.mark.parametrize(("counts", "kinds"), [("binary", {"AC"}), ("kept", {"MAC", "AC"})])
def test_what_the_first_layer_does_with_it_is_counted(counts: Any, kinds: set[str]) -> None:
    body = nn.Sequential(OverTime(nn.Conv2d(2, 3, 3)), LIF(), OverTime(nn.Flatten(), nn.Linear(12, 4)))
    network = SpikingNetwork(body, encoder=Recorded(time_steps=6, counts=counts)).eval()
    frames = recordings()
    first, last = count_operations(network, frames)
    assert {first.kind, last.kind} == kinds
    if counts == "binary":  # every event reaches as many outputs as a convolution of ones makes of it
        events = (frames > 0).float().transpose(0, 1).flatten(0, 1)
        reach = nn.functional.conv2d(events, torch.ones(3, 2, 3, 3)).reshape(6, -1).sum(1)
        assert first.per_step == tuple((reach.double() / 5).tolist())


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
