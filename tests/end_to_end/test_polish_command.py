"""`spikebridge polish`: from the folder of a run to a smaller network that is no worse on validation data."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from spikebridge.cli import main
from spikebridge.measure import RunRecord
from spikebridge.methods.build import split_for
from spikebridge.methods.polish_files import load_polished
from spikebridge.methods.settings import read_config

SETTINGS = """
name: digits
epochs: 3
model: {name: cnn, activation: ReLU}
optimiser: {rate: 5.0e-3}
conversion: null
compile: false
accelerator: cpu
"""


def test_a_trained_run_is_polished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text(SETTINGS)
    assert main(["train", "--config", str(tmp_path / "config.yaml"), "--output", str(tmp_path)]) == 0
    folder = tmp_path / "digits"
    capsys.readouterr()
    assert main(["polish", str(folder), "--strengths", "3", "--tol", "1e-3"]) == 0
    said = capsys.readouterr().out
    record = RunRecord.load(folder / "polished.json")
    results = record.results
    assert [network.name for network in record.networks] == ["trained", "polished"]
    assert results["replaced"] and 0 < results["kept"] < results["inputs"] == 128
    assert all(point["objective"] <= point["old_objective"] for point in results["path"])
    assert all(point["relative_gap"] <= 1e-3 for point in results["path"])
    assert f"{results['kept']} of 128 inputs are read" in said
    saved = load_file(folder / "polished.safetensors")
    assert saved["8.0.weight"].shape == (10, results["kept"])
    again, split = load_polished(folder), split_for(read_config(folder / "config.yaml"))
    values, targets = split.test[: len(split.test)]
    with torch.no_grad():
        right = 100 * (again(values).argmax(1) == targets).float().mean().item()
    assert f"polished {right:.2f} %" in said
    (folder / "polished.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="Make it with: spikebridge polish"):
        load_polished(folder)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["polish", str(tmp_path)]) == 1
    assert "There is no" in capsys.readouterr().err
