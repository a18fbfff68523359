"""A reconstructed network comes back from its folder as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from spikebridge.cli import main
from spikebridge.core.readout import outputs_over_time
from spikebridge.methods.reconstruct import find, run
from spikebridge.methods.reconstruct_config import METHODS, TaskConfig, WitnessConfig
from spikebridge.methods.reconstruct_files import load_reconstructed
from spikebridge.methods.tasks import task_for

from .test_reconstruct import TASKS, config, quiet

SETTINGS = {
    **{method: {"method": method, "witnesses": WitnessConfig(widths=(20, 30))} for method in METHODS},
    "branches": {"witnesses": WitnessConfig(widths=(20, 30), branches=3)},
    "every step": {"witnesses": WitnessConfig(widths=(20,), read="every")},
    "trained on": {"fine_tune": True},
}


@pytest.mark.parametrize(
    ("kind", "task"), [*((kind, "xor") for kind in SETTINGS), *(("gaussian", task) for task in TASKS if task != "xor")]
)
def test_the_network_is_read_back_bit_for_bit(kind: str, task: str, tmp_path: Path) -> None:
    settings = config(task, output=tmp_path, **SETTINGS[kind])
    run(settings, console=quiet())
    network = load_reconstructed(tmp_path / "test")
    given = task_for(settings.task, seed=settings.seed)
    values, _ = given.split.test[:5]
    with torch.no_grad():
        expected = outputs_over_time(find(settings, given).network, values)
        assert torch.equal(outputs_over_time(network, values), expected)


def test_what_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileNotFoundError, match=r"Pass the config\.yaml of a reconstruction"):
        load_reconstructed(tmp_path)
    run(config(output=tmp_path), console=quiet())
    assert main(["polish", str(tmp_path / "test")]) == 1
    assert "is a reconstruction, whose readout was solved when it was made" in capsys.readouterr().err
    (tmp_path / "test" / "network.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="Make it with: spikebridge reconstruct"):
        load_reconstructed(tmp_path / "test")


def test_a_task_that_is_not_known_is_told_those_that_are() -> None:
    said = r"task\.name takes first-last-xor, addition or a data set; got 'nonsense'\. There is no"
    with pytest.raises(ValueError, match=said):
        task_for(TaskConfig(name="nonsense"), seed=0)
