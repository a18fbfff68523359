"""`spikebridge convert`: from the command line, on what can be imported and on a trained run."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
import torch
from torch import nn

from spikebridge.cli import main

MODULE = """
from torch import nn

def good():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

def refused():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Softmin(1))

def nothing():
    return 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "networks_of_a_user.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return "networks_of_a_user"


def test_explain_needs_no_data_and_its_exit_code_tells(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", f"{module}:good", "--explain"]) == 0
    assert "All 3 calls have a rule; 1 would become neurons" in capsys.readouterr().out
    assert main(["convert", f"{module}:refused", "--explain"]) == 1
    assert "softmax of the negative is the same" in capsys.readouterr().out


def test_samples_from_a_file_convert(module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numpy.save(tmp_path / "x.npy", numpy.random.default_rng(0).normal(size=(64, 4)))
    weights = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).state_dict()
    torch.save(weights, tmp_path / "w.pth")
    words = ["convert", f"{module}:good", "--samples", "x.npy", "--weights", "w.pth", "--members", "8"]
    assert main([*words, "--time-steps", "2", "--neuron", "signed-group", "--calibrate", "bias"]) == 0
    out = capsys.readouterr().out
    assert "GroupNeuron" in out and "quantised to 16 levels" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{m}:absent", "--explain"], "cannot import"),
        (["no_such_module:f", "--explain"], "cannot import"),
        (["{m}:nothing", "--explain"], "must make an nn.Module"),
        (["{m}:good"], "needs calibration inputs"),
        (["folder", "--explain"], "is no folder of a run"),
        (["{m}:good", "--samples", "absent.npy"], "absent.npy"),
        (["{m}:good", "--explain", "--unsupported", "skip"], "unsupported to be one of"),
    ],
)
def test_bad_input_is_one_message(
    module: str, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", *(word.format(m=module) for word in words)]) == 1
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "Traceback" not in said
