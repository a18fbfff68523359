"""Which parts of a network are gathered by themselves, and what cannot be trained in shares."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from spikebridge import LIF, EachStep, OverTime
from spikebridge.models import MODELS
from spikebridge.models.resnet import BasicBlock
from spikebridge.training import Machines
from spikebridge.training.parts import SMALLEST_PART, parts_of
from spikebridge.training.sharded import check_sharding

from ...networks import BY_ACTIVATION


@pytest.mark.parametrize("activation", [nn.ReLU, LIF])
@pytest.mark.parametrize("smallest", [1, 100, 1000, 10_000])
@pytest.mark.parametrize("model", BY_ACTIVATION)
def test_parts_are_inside_out_and_as_large_as_asked(model: str, smallest: int, activation: Any) -> None:
    network = MODELS[model](activation=activation)
    parts = parts_of(network, smallest=smallest)
    assert len(parts) == len(set(parts)) > 0
    gathered: set[int] = set()
    for part in parts:
        own = {id(each): each.numel() for each in part.parameters() if id(each) not in gathered}
        assert sum(own.values()) >= smallest
        gathered |= own.keys()


def test_the_last_blocks_of_a_residual_network_are_parts() -> None:
    network = MODELS["resnet"](depth=20)
    assert all(isinstance(part, BasicBlock) for part in parts_of(network, smallest=50_000))
    assert len(parts_of(network, smallest=50_000)) == 3
    assert parts_of(network, smallest=SMALLEST_PART) == []  # a small network is one part


def test_a_parameter_in_two_places_stays_with_what_holds_both() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    pair = nn.Sequential(nn.Sequential(first, nn.ReLU()), second)
    assert parts_of(pair, smallest=1) == []
    assert parts_of(nn.Sequential(pair, nn.Linear(4, 2)), smallest=1)[-1] is pair


def test_what_runs_at_every_step_is_gathered_once() -> None:
    lifted = EachStep(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.Linear(4, 4))
    assert parts_of(nn.Sequential(lifted, LIF()), smallest=1) == [lifted]
    over = OverTime(nn.Linear(4, 4), nn.ReLU())
    assert parts_of(nn.Sequential(over, LIF()), smallest=1) == [over[0]]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "loss scaling": (
        {"precision": "16-mixed"},
        "cannot be combined with precision '16-mixed'.* Use 'bf16-mixed', which needs no",
    ),
    "a device without process groups": ({}, "runs on 'gpu' and on 'cpu'; got accelerator 'mps'. Use strategy 'auto'"),
    "an old torch": ({}, r"needs torch 2.7 or newer, .*; got 2.6.0\+cpu. Update torch, or use 'ddp'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_trained_in_shares_is_refused(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, message = REFUSED[case]
    if case == "an old torch":
        monkeypatch.setattr(torch, "__version__", "2.6.0+cpu")
    if case == "a device without process groups":
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("mps"))
    with pytest.raises(ValueError, match=message):
        check_sharding(Machines(strategy="fsdp", **settings))


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-mixed"])
def test_other_precisions_are_taken(precision: Any) -> None:
    check_sharding(Machines(strategy="fsdp", accelerator="cpu", precision=precision))
