"""The demo, the command line and the examples, as a newcomer runs them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from spikebridge.cli import main
from spikebridge.measure import RunRecord
from spikebridge.methods import demo

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
FIGURES = {"accuracy.png", "raster.png", "firing_rates.png"}


@pytest.fixture(scope="module")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunRecord, Path, str]:
    folder = tmp_path_factory.mktemp("demo")
    console = Console(record=True, width=80)
    record = demo.run(demo.DemoConfig(epochs=3, output=folder), console=console)
    return record, folder, console.export_text()


def test_demo_leaves_figures_a_table_and_a_record(short_run: tuple[RunRecord, Path, str]) -> None:
    record, folder, _ = short_run
    assert {path.name for path in folder.iterdir()} == FIGURES | {"table.md", "record.json"}
    assert RunRecord.load(folder / "record.json").config == record.config
    for name in FIGURES:
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
        assert (folder / name).stat().st_size > 10_000


def test_demo_prints_one_table_that_fits_a_terminal(short_run: tuple[RunRecord, Path, str]) -> None:
    _, _, text = short_run
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in text
    for row in ("ReLU network", "QCFS network", "IF", "Group Neuron", "signed Group", "quantised, 8T levels"):
        assert any(line.strip().startswith(row) for line in lines), row
    assert re.search(r"network +ANN +T=1 +T=2 +T=4 +T=8 +spikes +kAC +kMAC", text)


def test_demo_shows_the_identity_and_the_price(short_run: tuple[RunRecord, Path, str]) -> None:
    record, _, _ = short_run
    networks = {network.name: network for network in record.networks}
    for source, quantised in record.results["quantised"].items():
        group, single = networks[f"Group Neuron, from {source}"], networks[f"IF, from {source}"]
        # At T = 1 the spiking network is the quantised one: built without spikes, it is as often right.
        assert group.accuracies[0] == pytest.approx(quantised["8"], abs=1 / 360)
        assert single.accuracies[0] == pytest.approx(quantised["1"], abs=1 / 360)
        assert group.spikes_per_neuron[0] > single.spikes_per_neuron[0]
        matched = networks[f"64 levels, from {source}"]
        assert (matched.bits, matched.accuracies) == (group.bits, [quantised["64"]])
    assert networks["Group Neuron, from QCFS network"].accuracies[0] == networks["QCFS network"].accuracies[0]


def test_demo_is_deterministic_under_its_seed(short_run: tuple[RunRecord, Path, str], tmp_path: Path) -> None:
    record, _, _ = short_run
    console = Console(quiet=True)
    again = demo.run(demo.DemoConfig(epochs=3, output=tmp_path / "again"), console=console)
    other = demo.run(demo.DemoConfig(epochs=3, seed=1, output=tmp_path / "other"), console=console)
    assert again.results == record.results
    assert other.results != record.results


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["--version"]])
def test_help_is_there_for_everything(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 0
    output = capsys.readouterr().out
    assert "spikebridge" in output
    if arguments == ["demo", "--help"]:
        for option in ("--seed", "--epochs", "--levels", "--output"):
            assert re.search(rf"{option}[ \w]+.+\(.*default", output, re.DOTALL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "command"),
        (["demos"], "demos"),
        (["demo", "--epoch", "3", "--sead", "1"], "--sead"),
        (["demo", "--seed", "one"], "seed"),
    ],
)
def test_a_wrong_command_line_ends_in_one_message(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_wrong_value_ends_in_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--epochs", "0"]) == 1
    assert capsys.readouterr().err == "spikebridge demo: demo expects epochs >= 1; got 0.\n"
    (tmp_path / "file").touch()
    assert main(["demo", "--output", str(tmp_path / "file" / "below")]) == 1
    assert "Not a directory" in capsys.readouterr().err


def test_the_command_runs_as_a_program(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "spikebridge.cli", "demo", "--epochs", "1", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "Test accuracy in %, seed 0" in done.stdout
    saved = json.loads((tmp_path / "record.json").read_text())
    assert saved["config"] == {"seed": 0, "epochs": 1, "levels": 8, "output": str(tmp_path)}


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs_and_is_short(example: Path) -> None:
    assert len(example.read_text().splitlines()) < 60
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout
