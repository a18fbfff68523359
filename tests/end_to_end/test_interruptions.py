"""Runs that end early: every process says at most one line, and whole epochs stay."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spikebridge.cli import main
from spikebridge.methods.config import DataConfig, TrainConfig
from spikebridge.methods.folder import run_folder
from spikebridge.methods.settings import write_config
from spikebridge.training.checkpoint import read_checkpoint

SCRIPT = """
import functools, os, signal, sys
from lightning.pytorch import Callback
from spikebridge import cli
from spikebridge.core.process import rank
from spikebridge.methods import train

class Fault(Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if trainer.current_epoch == 1 and index == 3:
            {fault}

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts with it ignored
train.compiler_problem = lambda accelerator: "there is no compiler"
train.run = functools.partial(train.run, callbacks=(Fault(),))
sys.exit(cli.main(sys.argv[1:]))
"""
KEPT = "whole epochs are kept; where there is one, continue with --resume"


def ran(fault: str, run: TrainConfig, tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The run with a fault in its second epoch."""
    (tmp_path / "script.py").write_text(SCRIPT.format(fault=fault))
    write_config(run, tmp_path / "run.yaml")
    return subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), "train", "--config", str(tmp_path / "run.yaml"), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def config(tmp_path: Path, name: str, *, compiled: bool = False) -> TrainConfig:
    data = DataConfig(batch_size=64)
    return TrainConfig(name=name, epochs=2, data=data, compile=compiled, accelerator="cpu", output=tmp_path)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_with_one_message_and_keeps_the_last_epoch(ending: signal.Signals, tmp_path: Path) -> None:
    run = config(tmp_path, "interrupted")
    done = ran(f"os.kill(os.getpid(), signal.{ending.name})", run, tmp_path)
    assert done.returncode == 130
    assert done.stderr.strip().splitlines()[-1] == f"spikebridge train: interrupted; {KEPT}"
    assert "Traceback" not in done.stderr
    assert read_checkpoint(run.folder / "last.safetensors")["epoch"] == 0
    assert (run.folder / "config.yaml").exists()


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("failed")
    run = config(folder, "failed", compiled=True)
    fault = "if rank() == 1: raise OSError('the second disk is gone')"
    return run, ran(fault, run, folder, "--devices", "2", "--strategy", "ddp")


def test_a_process_that_fails_says_why_and_the_first_that_it_lost_one(
    failed: tuple[TrainConfig, subprocess.CompletedProcess[str]],
) -> None:
    run, done = failed
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert sorted(line for line in done.stderr.splitlines() if line.startswith("spikebridge")) == [
        "spikebridge train (process 1): the second disk is gone",
        f"spikebridge train: another process of this run has failed or was stopped; {KEPT}",
    ]
    assert read_checkpoint(run.folder / "last.safetensors")["epoch"] == 0
    assert not (run.folder / "record.json").exists()


def test_of_several_processes_one_says_that_there_is_no_compiler(
    failed: tuple[TrainConfig, subprocess.CompletedProcess[str]],
) -> None:
    _, done = failed
    assert done.stdout.count("Training without torch.compile, which is slower: there is no compiler") == 1


def test_two_runs_of_one_name_do_not_mix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = config(tmp_path, "busy")
    write_config(run, tmp_path / "run.yaml")
    with run_folder(run, resume=False):
        (run.folder / ".last.safetensors.0.partial").write_text("what the first is writing")
        before = {path: path.read_bytes() for path in run.folder.iterdir()}
        for words in ([], ["--resume"]):
            assert main(["train", "--config", str(tmp_path / "run.yaml"), *words]) == 1
            printed = capsys.readouterr().err
            assert printed == (
                f"spikebridge train: Another process is training in {run.folder}. Wait until it has ended, or choose "
                f"another --name or --output.\n"
            )
        assert {path: path.read_bytes() for path in run.folder.iterdir()} == before


def test_what_a_killed_run_was_writing_is_cleared_away(tmp_path: Path) -> None:
    run = config(tmp_path, "killed")
    with run_folder(run, resume=False):
        (run.folder / ".last.safetensors.0.partial").write_text("half")
    with run_folder(run, resume=True):
        assert {path.name for path in run.folder.iterdir()} == {"config.yaml", ".lock"}


def test_wrong_settings_are_told_by_the_first_process_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_PROCID", "3")
    monkeypatch.setenv("SLURM_LOCALID", "3")
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--name", "x", "--epochz", "3"])
    assert stopped.value.code == 2
    assert main(["train", "--name", "x", "--output", str(tmp_path), "--resume"]) == 1
    assert capsys.readouterr().err == ""


def test_what_fails_before_training_is_told_by_the_first_process_of_each_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_PROCID", "8")
    monkeypatch.setenv("SLURM_LOCALID", "0")
    assert main(["train", "--name", "x", "--output", str(tmp_path), "--resume"]) == 1
    assert capsys.readouterr().err.startswith("spikebridge train (process 8): There is nothing to resume")
