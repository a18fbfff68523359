"""Adaptive coding from the command line: what a run leaves, that it goes on bit for bit, and recordings of events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from rich.console import Console

from spikebridge.cli import main
from spikebridge.measure import RunRecord
from spikebridge.methods import train
from spikebridge.methods.adaptive_config import AdaptiveConfig
from spikebridge.methods.build import split_for
from spikebridge.methods.code_config import CodeConfig
from spikebridge.methods.config import DataConfig, ModelConfig, ObjectiveConfig, OptimiserConfig, TrainConfig
from spikebridge.training.checkpoint import read_checkpoint

QUIET = Console(quiet=True)
ON = AdaptiveConfig(leak="layer", gain="layer", readout="step", stem="own")
CHANGED = DataConfig(batch_size=256, augment="crop-flip", padding=1, policy="rand-augment", magnitude=12, erase=0.5)


def config(output: Path, name: str, **changes: Any) -> TrainConfig:
    settings: dict[str, Any] = {"epochs": 2, "compile": False, "output": output, "accelerator": "cpu"}
    settings |= {"data": CHANGED, "objective": ObjectiveConfig(mixup=1.0, mixup_until=1, label_smoothing=0.1)}
    settings |= {"optimiser": OptimiserConfig(rate=5e-3), "conversion": None}
    settings |= {"model": ModelConfig(name="lenet_cifar", activation="LIF", encoder="Hybrid", adaptive=ON)}
    return TrainConfig(name=name, **{**settings, **changes})


class Stop(Callback):
    """Ctrl-C within the second epoch."""

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole, broken = (config(tmp_path, name) for name in ("whole", "broken"))
    record = train.run(whole, console=QUIET)
    with pytest.raises(KeyboardInterrupt):
        train.run(broken, callbacks=(Stop(),), console=QUIET)
    again = train.run(broken, resume=True, console=QUIET)
    expected, found = (read_checkpoint(run.folder / "last.safetensors")["state_dict"] for run in (whole, broken))
    assert any(name.endswith(".leak") for name in expected)
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    assert again.epochs == record.epochs


def test_a_record_tells_numbers_of_the_first_step_from_spikes_of_the_others(tmp_path: Path) -> None:
    record = train.run(config(tmp_path, "run", epochs=1), console=QUIET)
    (network,) = record.networks
    assert len(network.accuracies) == 4
    kinds = {layer.layer: layer.kind for layer in network.operations}
    assert (kinds["stem.first.0"], kinds["stem.rest.0"]) == ("MAC", "AC")
    assert set(kinds.values()) == {"MAC", "AC"}
    assert RunRecord.load(tmp_path / "run" / "record.json") == record
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert RunRecord.load(tmp_path / "run" / "evaluation.json").networks == record.networks
    assert main(["report", str(tmp_path / "run")]) == 0
    assert "stem.first.0" in (tmp_path / "run" / "report" / "index.html").read_text()


def test_recordings_are_learned_as_the_trains_they_are(tmp_path: Path) -> None:
    events = pytest.importorskip("tests.unit.data.test_events")
    events.put_npz(tmp_path / "data" / "NMNIST" / "mine.npz")
    model = ModelConfig(
        name="spiking_resnet",
        stages=(1,),
        width=4,
        stem="imagenet",
        activation="LIF",
        encoder="Recorded",
        code=CodeConfig(counts="binary"),
        time_steps=10,
        adaptive=AdaptiveConfig(gain="layer"),
    )
    run = config(
        tmp_path,
        "events",
        epochs=1,
        model=model,
        data=DataConfig(name="n-mnist", root=tmp_path / "data", batch_size=4),
        objective=ObjectiveConfig(),
    )
    (network,) = train.run(run, console=QUIET).networks
    assert len(network.accuracies) == 10
    assert {layer.kind for layer in network.operations} == {"AC"}  # nothing multiplies from the events on


@pytest.mark.parametrize("time_steps", [4, 16])
def test_recordings_have_as_many_frames_as_the_network_has_steps(time_steps: int, tmp_path: Path) -> None:
    events = pytest.importorskip("tests.unit.data.test_events")
    events.put_npz(tmp_path / "NMNIST" / "mine.npz")
    model = ModelConfig(name="lenet_cifar", activation="LIF", encoder="Recorded", time_steps=time_steps)
    split = split_for(TrainConfig(name="x", data=DataConfig(name="n-mnist", root=tmp_path), model=model))
    assert split.train[0][0].shape == (time_steps, 2, 34, 34)


def test_images_are_loaded_as_ever() -> None:
    assert split_for(TrainConfig(name="x")).train[0][0].shape == (1, 8, 8)
