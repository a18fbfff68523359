"""What a dry run says: an estimate that holds, and a refusal wherever the run itself would refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from rich.console import Console

from spikebridge.cli import main
from spikebridge.data import digits
from spikebridge.measure.saved import saved_peak
from spikebridge.methods import plan
from spikebridge.methods.build import build_learner, machines_of, network_for
from spikebridge.methods.config import DataConfig, ModelConfig, TrainConfig
from spikebridge.methods.memory import memory_problem
from spikebridge.training import Batches, Learner, fit

BATCH = 96
CLOSE = 0.01
"""The two differ by statistics of norms, and by weights that autocast has copied once or twice."""
PRECISIONS: tuple[Literal["32-true", "bf16-mixed", "64-true"], ...] = ("32-true", "bf16-mixed", "64-true")


class Measured(Learner):
    """Notes what autograd held at the most in every step."""

    peaks: list[int]

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        with saved_peak(self) as saved:
            loss = super().training_step(batch, index)
        self.peaks.append(saved.peak)
        return loss


def config(**changes: Any) -> TrainConfig:
    data = DataConfig(batch_size=BATCH, augment="crop-flip")
    return TrainConfig(name="planned", **{"data": data, "epochs": 1, "accelerator": "cpu", "compile": False, **changes})


@pytest.mark.parametrize("activation", ["QCFS", "LIF"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_estimate_is_what_a_real_step_keeps(precision: Any, activation: str) -> None:
    run = config(precision=precision, model=ModelConfig(activation=activation))
    split = digits(seed=0)
    network, classes = network_for(run, split)
    learner = build_learner(run, network, classes=classes, compiled=False)
    learner.__class__, learner.peaks = Measured, []  # type: ignore[attr-defined]
    batches = Batches(split.train, split.validation, batch_size=BATCH, seed=0)
    fit(learner, batches, epochs=1, machines=machines_of(run), show_progress=False)
    assert len(learner.peaks) == len(split.train) // BATCH  # type: ignore[attr-defined]
    found = plan.plan(run)
    assert found.activation_bytes == pytest.approx(max(learner.peaks), rel=CLOSE)  # type: ignore[attr-defined]


def test_the_estimate_heeds_the_width_of_numbers_and_the_share_of_a_process() -> None:
    single, mixed, double = (plan.plan(config(precision=precision)) for precision in PRECISIONS)
    assert mixed.activation_bytes < single.activation_bytes < double.activation_bytes
    assert (mixed.weight_bytes, double.weight_bytes) == (single.weight_bytes, 2 * single.weight_bytes)
    assert single.weight_bytes == 4 * 4 * single.parameters  # weights, gradients, AdamW's two moments
    halved = plan.plan(config(devices=2, strategy="ddp"))
    assert 0.4 < halved.activation_bytes / single.activation_bytes < 0.6


def test_a_dry_run_says_that_it_estimates(tmp_path: Path) -> None:
    console = Console(width=200, record=True, quiet=False, file=(tmp_path / "said").open("w"))
    plan.show(config(output=tmp_path), console=console)
    assert "for what a step keeps in each process (estimated from two small steps, uncompiled)" in console.export_text()


def test_a_dry_run_refuses_what_the_run_would_refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--name", "x", "--output", str(tmp_path), "--compile", "false", "--dry-run"]
    cases: dict[str, list[str]] = {
        "There is nothing to resume": ["--resume"],
        "Run `spikebridge data get mnist": ["--data.name", "mnist", "--data.root", str(tmp_path)],
    }
    if not torch.cuda.is_available():
        cases["No supported gpu"] = ["--accelerator", "gpu"]
    for message, more in cases.items():
        assert main([*words, *more]) == 1, message
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "record.json").write_text("{}")
    assert main(words) == 1
    assert "holds a run already" in capsys.readouterr().err


def test_a_dry_run_refuses_to_go_on_with_other_settings_or_without_a_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "config.yaml").write_text(f"name: x\nseed: 3\noutput: {tmp_path}\n")
    words = ["train", "--config", str(tmp_path / "x" / "config.yaml"), "--dry-run", "--resume"]
    assert main([*words, "--seed", "4"]) == 1
    assert "was started with other settings: seed was 3 and is 4." in capsys.readouterr().err
    assert main(words) == 1
    assert "last.safetensors does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore words."),
        MemoryError(),
        RuntimeError(
            "[enforce fail at a.cpp:1] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 8."
        ),
    ],
)
def test_too_little_memory_is_one_message(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(plan, "show", fail)
    assert main(["train", "--name", "x", "--dry-run"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("spikebridge train: The memory did not suffice: ")
    assert said.endswith(
        "Take a smaller data.batch_size or fewer time-steps; `spikebridge train --dry-run` estimates what a step "
        "keeps.\n"
    )
    assert len(said.splitlines()) == 1


def test_other_errors_are_not_taken_for_too_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory_problem(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(plan, "show", fail)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        main(["train", "--name", "x", "--dry-run"])


def test_a_real_allocation_that_fails_is_recognised() -> None:
    with pytest.raises(RuntimeError) as failed:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert str(memory_problem(failed.value)).startswith("The memory did not suffice: can't allocate memory")
