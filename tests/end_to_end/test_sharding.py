"""Weights and optimiser state shared out over two processes: what is learned, stored and continued is the same."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from spikebridge.core.readout import outputs_over_time
from spikebridge.training import load_weights
from spikebridge.training.checkpoint import read_checkpoint

from . import sharding
from .sharding import cut, on, samples, spiking, train


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A run of one process, and one that was cut after two of four epochs."""
    folder = tmp_path_factory.mktemp("one")
    cut(folder / "cut", on())
    return train(spiking(), folder=folder / "whole"), folder


@pytest.fixture(scope="module")
def two(one: tuple[Any, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    (one[1] / "cut").rename(folder / "single")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = [sys.executable, *launch, sharding.__file__, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return folder


def epochs_of(folder: Path, run: str) -> list[dict[str, float]]:
    epochs: list[dict[str, float]] = json.loads((folder / "epochs.json").read_text())[run]
    return epochs


def assert_epochs_close(found: list[dict[str, float]], expected: list[dict[str, float]], *, tolerance: float) -> None:
    assert len(found) == len(expected) == sharding.EPOCHS
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=tolerance)


def test_two_processes_learn_in_shares_what_one_learns(one: tuple[Any, Path], two: Path) -> None:
    # In float64 the order of sums alone differs. Lightning averages the logged losses in float32.
    expected, folder = one
    assert expected.epochs[-1]["train/loss"] < expected.epochs[0]["train/loss"]
    assert_epochs_close(epochs_of(two, "whole"), expected.epochs, tolerance=1e-6)
    weights, found = (read_checkpoint(each / "whole" / "last.safetensors")["state_dict"] for each in (folder, two))
    assert list(found) == list(weights)
    assert any("running_var" in name for name in weights)
    for name, value in weights.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-11)


def test_every_process_holds_its_share_of_weights_and_optimiser_state(two: Path) -> None:
    ranks = [json.loads((two / f"shares{rank}.json").read_text()) for rank in range(2)]
    assert list(ranks[0]) == list(ranks[1]) == [name for name, _ in spiking().named_parameters()]
    parameters = dict(spiking().named_parameters())
    scalars = {name for name, parameter in parameters.items() if parameter.ndim == 0}
    assert len(scalars) == 2
    for name, first in ranks[0].items():
        second, size = ranks[1][name], first["all"]
        assert second["decays"] is first["decays"] is (name.endswith("weight") and size > 8)
        held = [sum(parts) for parts in zip(first["here"], second["here"], strict=True)]
        assert held == ([2, 2] if name in scalars else [size, size])
        rows = 1 if name in scalars else len(parameters[name])
        assert max(*first["here"], *second["here"]) <= math.ceil(rows / 2) * size // rows


def test_the_network_passed_in_holds_the_last_weights_in_every_process(two: Path) -> None:
    last = read_checkpoint(two / "whole" / "last.safetensors")["state_dict"]
    for rank in range(2):
        weights = torch.load(two / f"network{rank}.pt", weights_only=True)  # refuses all but plain tensors
        assert [f"model.{name}" for name in weights] == list(last)
        assert all(torch.equal(value, last[f"model.{name}"]) for name, value in weights.items())


def test_a_checkpoint_of_shares_is_that_of_one_process(one: tuple[Any, Path], two: Path) -> None:
    network = load_weights(spiking(9).double(), two / "whole" / "last.safetensors")
    values, targets = samples()[:]
    with torch.no_grad():
        loss = F.cross_entropy(outputs_over_time(network, values.double()).mean(0), targets)
    assert loss.item() == pytest.approx(epochs_of(two, "whole")[-1]["validation/loss"], rel=1e-6)
    ours, theirs = (read_checkpoint(folder / "whole" / "last.safetensors") for folder in (two, one[1]))
    assert ours.keys() == theirs.keys()
    pairs = [checkpoint["optimizer_states"][0] for checkpoint in (ours, theirs)]
    assert pairs[0]["param_groups"] == pairs[1]["param_groups"]
    for number, entries in pairs[1]["state"].items():
        for key, value in entries.items():
            torch.testing.assert_close(pairs[0]["state"][number][key], value, rtol=1e-8, atol=1e-12)


def test_an_interrupted_run_of_shares_ends_with_the_same_bytes(two: Path) -> None:
    assert read_checkpoint(two / "half" / "last.safetensors")["epoch"] == 1
    assert epochs_of(two, "cut") == epochs_of(two, "whole")
    whole, continued = (read_checkpoint(two / name / "last.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(value, continued["state_dict"][name]) for name, value in whole["state_dict"].items())


def test_one_process_continues_what_two_began_and_the_other_way_round(one: tuple[Any, Path], two: Path) -> None:
    assert_epochs_close(epochs_of(two, "single"), one[0].epochs, tolerance=1e-6)
    continued = train(spiking(9), folder=two / "half", resume=True)
    assert_epochs_close(continued.epochs, one[0].epochs, tolerance=1e-6)


def test_compiled_shares_in_another_layout_learn_the_same(two: Path) -> None:
    assert_epochs_close(epochs_of(two, "fast"), epochs_of(two, "plain"), tolerance=1e-4)


def test_shares_in_mixed_precision_learn_what_whole_weights_learn(two: Path) -> None:
    assert_epochs_close(epochs_of(two, "mixed fsdp"), epochs_of(two, "mixed ddp"), tolerance=1e-4)


def test_optimiser_state_that_cannot_be_cut_like_its_parameter_is_refused(two: Path) -> None:
    for rank in range(2):
        message = (two / f"refused{rank}.txt").read_text()
        assert "got 'rows' of shape (8,) for a parameter of shape (8, 6). Use SGD or AdamW, or 'ddp'" in message
    assert not (two / "factors" / "last.safetensors").exists()
