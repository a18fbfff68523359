"""Training as users run it: from the command line, killed and continued, on two processes, on bad input."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console

from spikebridge.cli import main
from spikebridge.measure import RunRecord
from spikebridge.methods import train
from spikebridge.methods.config import DataConfig, ModelConfig, OptimiserConfig, TrainConfig
from spikebridge.methods.folder import run_folder
from spikebridge.methods.settings import read_config, write_config
from spikebridge.training import BEST, LAST
from spikebridge.training.checkpoint import read_checkpoint

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
SHORT = ["--data.name", "digits", "--data.batch-size", "64", "--epochs", "2", "--compile", "false"]
QUIET = Console(quiet=True)


def config(tmp_path: Path, name: str, **changes: Any) -> TrainConfig:
    settings: dict[str, Any] = {"epochs": 3, "compile": False, "output": tmp_path}
    settings |= {"data": DataConfig(batch_size=64), "optimiser": OptimiserConfig(rate=5e-3)}
    return TrainConfig(name=name, **{**settings, **changes})


def final_weights(run: TrainConfig) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = read_checkpoint(run.folder / "last.safetensors")["state_dict"]
    return weights


def comparable(record: RunRecord) -> dict[str, Any]:
    """All that must be the same when a run is repeated: everything but its name, time, place and folder."""
    found = json.loads(json.dumps({key: getattr(record, key) for key in ("seed", "epochs", "results")}))
    networks = [vars(network) for network in record.networks]
    settings = {key: value for key, value in record.config.items() if key not in ("name", "output")}
    return {**found, "networks": networks, "config": settings}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunRecord, TrainConfig]:
    run = config(tmp_path_factory.mktemp("runs"), "whole", seed=7)
    return train.run(run, console=QUIET), run


def test_a_run_leaves_checkpoints_logs_settings_and_a_record(finished: tuple[RunRecord, TrainConfig]) -> None:
    record, run = finished
    assert {path.name for path in run.folder.iterdir()} == {
        *("best.safetensors", "last.safetensors", "config.yaml", "record.json", "metrics.csv", "tensorboard", ".lock")
    }
    assert list(run.folder.glob("tensorboard/events*"))
    rows = list(csv.DictReader((run.folder / "metrics.csv").read_text().splitlines()))
    assert [{name: float(value) for name, value in row.items()} for row in rows] == record.epochs
    assert read_config(run.folder / "config.yaml") == run
    assert RunRecord.load(run.folder / "record.json") == record
    assert [epoch["epoch"] for epoch in record.epochs] == [1, 2, 3]
    assert set(record.epochs[0]) == {"epoch", "rate", "train/loss", "validation/loss", "validation/accuracy"}
    assert record.epochs[-1]["train/loss"] < record.epochs[0]["train/loss"] / 3


def test_the_record_has_the_network_and_what_it_was_converted_to(finished: tuple[RunRecord, TrainConfig]) -> None:
    record, _ = finished
    ann, snn = record.networks
    assert (ann.kind, ann.bits, snn.kind, snn.source) == ("quantised", 4, "snn", ann.name)
    assert len(snn.accuracies) == 4
    assert snn.accuracies[0] == ann.accuracies[0]  # a Group Neuron at T = 1 is the quantised activation
    assert ann.accuracies[0] > 0.8
    assert list(snn.rates) == list(snn.thresholds) == list(snn.raster)
    assert all(len(train) == 4 for train in snn.raster.values())
    assert snn.multiplies(4) < ann.multiplies(1)
    for path in ("commit", "versions", "hardware", "command"):
        assert path in record.environment


def test_same_settings_and_seed_make_the_same_record(finished: tuple[RunRecord, TrainConfig], tmp_path: Path) -> None:
    record, run = finished
    again = config(tmp_path, "again", seed=7)
    assert comparable(train.run(again, console=QUIET)) == comparable(record)
    assert (again.folder / "best.safetensors").read_bytes() == (run.folder / "best.safetensors").read_bytes()
    other = train.run(config(tmp_path, "other", seed=8), console=QUIET)
    assert other.epochs != record.epochs


KILLED = """
import os, signal, sys
from pathlib import Path
from lightning.pytorch import Callback
from rich.console import Console
from spikebridge.methods import train
from spikebridge.methods.settings import read_config

class Kill(Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, index):
        if trainer.current_epoch == 1 and index == 7:
            os.kill(os.getpid(), signal.SIGKILL)

train.run(read_config(Path(sys.argv[1])), callbacks=(Kill(),), console=Console(quiet=True))
"""


def test_a_run_killed_within_an_epoch_continues_to_the_same_weights_bit_for_bit(
    finished: tuple[RunRecord, TrainConfig], tmp_path: Path
) -> None:
    record, run = finished
    broken = config(tmp_path, "broken", seed=7)
    write_config(broken, tmp_path / "broken.yaml")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "broken.yaml")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (broken.folder / "record.json").exists()
    assert read_checkpoint(broken.folder / "last.safetensors")["epoch"] == 0
    assert main(["train", "--config", str(tmp_path / "broken.yaml"), "--resume"]) == 0
    expected = final_weights(run)
    assert all(torch.equal(value, expected[name]) for name, value in final_weights(broken).items())
    assert comparable(RunRecord.load(broken.folder / "record.json")) == comparable(record)
    assert (broken.folder / "metrics.csv").read_bytes() == (run.folder / "metrics.csv").read_bytes()


def test_a_finished_run_resumed_is_measured_again_and_not_trained(finished: tuple[RunRecord, TrainConfig]) -> None:
    record, run = finished
    before = (run.folder / "best.safetensors").read_bytes()
    assert comparable(train.run(run, resume=True, console=QUIET)) == comparable(record)
    assert (run.folder / "best.safetensors").read_bytes() == before


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    # In float64 the two differ by the order of sums alone, 1e-16 a step, which no spike or level in these few steps
    # turns into another one. In float32 they would drift apart as soon as a membrane near its threshold rounds to
    # the other side.
    model = ["--model.activation", "LIF", "--model.time-steps", "3", "--precision", "64-true", "--accelerator", "cpu"]
    losses, weights = [], []
    two = ["--devices", "2", "--strategy"]
    for name, devices in (("one", []), ("ddp", [*two, "ddp"]), ("fsdp", [*two, "fsdp"])):
        words = ["train", "--name", name, "--output", str(tmp_path), *SHORT, *model, *devices]
        done = subprocess.run(
            [sys.executable, "-m", "spikebridge.cli", *words], capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        record = RunRecord.load(tmp_path / name / "record.json")
        losses.append([(epoch["train/loss"], epoch["validation/loss"]) for epoch in record.epochs])
        weights.append(read_checkpoint(tmp_path / name / "last.safetensors")["state_dict"])
    assert losses[0][-1] < losses[0][0]
    assert any("running_var" in name for name in weights[0])
    for other, found in zip(losses[1:], weights[1:], strict=True):
        # Lightning averages the logged losses in float32.
        torch.testing.assert_close(torch.tensor(other), torch.tensor(losses[0]), rtol=1e-6, atol=0)
        for name, value in weights[0].items():
            torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-11)


def test_a_dry_run_prints_the_plan_and_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--name", "plan", "--output", str(tmp_path), *SHORT, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "parameters  57,598" in printed
    assert "32 steps in 2 epochs, batches of 64" in printed
    assert "1,077 training, 360 validation, 360 test samples" in printed
    assert "MiB for weights, gradients and optimiser" in printed
    assert yaml.safe_load(printed.split("\n\n")[0].split("\ndata     ")[0])["name"] == "plan"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_loads_and_is_named_after_its_file(file: Path) -> None:
    assert read_config(file).name == file.stem


def test_there_are_configurations() -> None:
    assert len(CONFIGS) >= 2


BAD_SETTINGS: dict[str, tuple[list[str], str]] = {
    "typo in a flag": (["--epochz", "3"], "Did you mean 'epochs'?"),
    "typo in a nested flag": (["--data.batchsize", "3"], "Did you mean 'data.batch_size'?"),
    "wrong type": (["--epochs", "many"], "epochs expects a whole number; got 'many'."),
    "wrong choice": (["--data.augment", "flip"], "data.augment expects one of 'none', 'crop-flip'; got 'flip'."),
    "missing file": (["--config", "none.yaml"], "File does not exist"),
}
BAD_VALUES: dict[str, tuple[list[str], str]] = {
    "no epoch": (["--epochs", "0"], "epochs expects a number >= 1; got 0."),
    "unknown neuron": (["--model.activation", "GropNeuron"], "Did you mean 'GroupNeuron'?"),
    "unknown data": (["--data.name", "digitz"], "Did you mean 'digits'?"),
    "unknown model": (["--model.name", "resnett"], "Did you mean 'resnet'?"),
    "a batch that devices cannot share": (["--devices", "3"], "here 3, which share it evenly; got 64. Take a multiple"),
    "a path as name": (["--name", "a/b"], "name expects the name of one folder"),
    "the folder above": (["--name", ".."], "name expects the name of one folder"),
    "a seed below zero": (["--seed", "-1"], "seed expects a number in [0, 4294967295]; got -1."),
    "no device": (["--devices", "0"], "devices expects a number >= 1; got 0."),
    "shares that scale the loss": (["--strategy", "fsdp", "--precision", "16-mixed"], "Use 'bf16-mixed', which"),
    "smoothing of 1": (["--objective.label-smoothing", "1"], "objective.label_smoothing expects a number in"),
    "data that is not there": (["--data.name", "mnist", "--data.root", "nowhere"], "spikebridge data get mnist"),
    "nothing to resume": (["--resume"], "There is nothing to resume"),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_settings_end_in_one_message(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, message = BAD_SETTINGS[case]
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--name", "x", "--output", str(tmp_path), *words])
    assert stopped.value.code == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert len(printed.strip().splitlines()) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("case", BAD_VALUES)
def test_bad_values_end_in_one_message(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, message = BAD_VALUES[case]
    assert main(["train", "--name", "x", "--output", str(tmp_path), *SHORT, *words]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("spikebridge train: ")
    assert message in printed
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_typo_in_a_file_is_answered_with_the_nearest_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "typo.yaml").write_text("name: x\noptimizer:\n  rate: 0.1\n")
    with pytest.raises(SystemExit):
        main(["train", "--config", str(tmp_path / "typo.yaml")])
    assert "Did you mean 'optimiser.rate'?" in capsys.readouterr().err


def test_a_second_run_of_a_name_is_refused_and_the_first_stays(
    finished: tuple[RunRecord, TrainConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    _, run = finished
    before = {path: path.read_bytes() for path in run.folder.iterdir() if path.is_file()}
    assert main(["train", "--name", run.name, "--output", str(run.output), *SHORT]) == 1
    assert "holds a run already. Continue it with --config" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in run.folder.iterdir() if path.is_file()} == before


DAMAGES = {
    "half": "last.safetensors is damaged, cut short or no checkpoint",
    "another architecture": "of another architecture",
    "a bit of the best": "best.safetensors is damaged, cut short or no checkpoint of this library (its checksum does",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_checkpoint_that_cannot_be_resumed_is_refused_and_nothing_is_touched(
    damage: str, finished: tuple[RunRecord, TrainConfig], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, whole = finished
    model = ModelConfig(activation="ReLU") if damage == "another architecture" else whole.model
    run = config(tmp_path, "damaged", seed=7, model=model)
    with run_folder(run, resume=False):
        last, best = (bytearray((whole.folder / name).read_bytes()) for name in (LAST, BEST))
    best[-9] ^= damage == "a bit of the best"
    (run.folder / LAST).write_bytes(last[: len(last) // 2] if damage == "half" else last)
    (run.folder / BEST).write_bytes(best)
    (run.folder / "record.json").write_text("earlier")
    assert main(["train", "--config", str(run.folder / "config.yaml"), "--resume"]) == 1
    printed = capsys.readouterr().err
    assert DAMAGES[damage] in printed
    assert len(printed.strip().splitlines()) == 1
    assert (run.folder / "record.json").read_text() == "earlier"


def test_evaluate_finds_what_training_found(finished: tuple[RunRecord, TrainConfig]) -> None:
    record, run = finished
    assert main(["evaluate", str(run.folder)]) == 0
    assert RunRecord.load(run.folder / "evaluation.json").networks == record.networks
    assert main(["evaluate", str(run.folder), "--neurons", "[group, if]", "--time-steps", "2"]) == 0
    again = RunRecord.load(run.folder / "evaluation.json").networks
    assert [network.name for network in again] == ["QCFS ANN", "Group Neuron", "IF"]
    assert [len(network.accuracies) for network in again] == [1, 2, 2]


def test_evaluate_refuses_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(tmp_path)]) == 1
    assert "Pass the folder of a run, which holds its config.yaml." in capsys.readouterr().err
