"""Where training runs, and whether that place has a compiler."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from spikebridge.core.devices import device_for, fast_precision
from spikebridge.methods.config import TrainConfig
from spikebridge.training import Machines, compiler, compiler_problem


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that seems to have one."""
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))


@pytest.mark.parametrize(("accelerator", "device"), [("auto", "cuda"), ("gpu", "cuda"), ("cpu", "cpu")])
@pytest.mark.usefixtures("gpu")
def test_the_device_follows_the_accelerator(accelerator: Any, device: str) -> None:
    assert Machines(accelerator=accelerator).device == device_for(accelerator) == torch.device(device)


@pytest.mark.parametrize("accelerator", ["auto", "cpu", "gpu", "mps"])
def test_without_an_accelerator_everything_is_the_cpu(accelerator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    assert device_for(accelerator) == torch.device("cpu")


@pytest.mark.parametrize(("knows", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_precision_follows_the_processor(knows: bool, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: knows, raising=False)
    assert fast_precision("cpu") == TrainConfig(name="run", accelerator="cpu").precision == precision
    assert TrainConfig(name="run", accelerator="cpu", precision="64-true").precision == "64-true"


@pytest.mark.parametrize(("knows", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
@pytest.mark.usefixtures("gpu")
def test_precision_follows_the_accelerator(knows: bool, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: knows)
    assert fast_precision("auto") == precision


def test_where_nobody_says_it_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("mps"))
    assert fast_precision("auto") == "32-true"


@pytest.mark.parametrize(("accelerator", "device"), [("auto", "cuda"), ("cpu", "cpu")])
@pytest.mark.usefixtures("gpu")
def test_the_compiler_is_tried_on_the_device_that_trains(
    accelerator: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def ones(size: int, *, device: torch.device) -> None:
        tried.append(device.type)
        raise RuntimeError(f"\nno compiler for {device.type}\nand a long story")

    compiler._problem_on.cache_clear()
    monkeypatch.setattr(torch, "ones", ones)
    assert [compiler_problem(accelerator), compiler_problem(accelerator)] == [f"no compiler for {device}"] * 2
    assert tried == [device]
    compiler._problem_on.cache_clear()
