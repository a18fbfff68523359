"""The command says where a step's time goes, and leaves it in files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spikebridge.cli import main

CONFIG = Path(__file__).parents[3] / "configs" / "digits-adaptive.yaml"
FLAGS = ["--repeats", "1", "--data.batch_size", "16", "--compile", "false"]


@pytest.mark.parametrize("how", [[str(CONFIG)], ["--config", str(CONFIG)]])
def test_a_configuration_is_profiled(how: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", *how, *FLAGS, "--output", str(tmp_path)]) == 0
    folder = tmp_path / "digits-adaptive"
    found = json.loads((folder / "profile.json").read_text())
    kinds = {layer["kind"] for layer in found["layers"]}
    assert "AdaptiveLIF" in kinds and found["samples"] == 16 and found["environment"]["versions"]["torch"]
    assert (folder / "profile.png").read_bytes()[:4] == b"\x89PNG"
    assert "AdaptiveLIF" in (folder / "profile.svg").read_text()
    said = capsys.readouterr().out
    assert "spiking neurons:" in said and "limits of this machine:" in said and "compiled:" not in said


def test_a_missing_configuration_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["profile", "nowhere.yaml"])
    assert "nowhere.yaml" in capsys.readouterr().err


def test_no_repeat_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", str(CONFIG), "--repeats", "0", "--output", str(tmp_path)]) == 1
    assert "profile_step expects repeats >= 1; got 0" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
