"""The benchmark of adaptive coding goes on where it stopped, but never with other settings."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "adaptive.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("adaptive_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_cell_is_a_configuration_of_its_own(script: ModuleType) -> None:
    assert len(script.EXPERIMENTS) >= 6
    for name, cells in script.EXPERIMENTS.items():
        base = script.read_config(script.BASES["n-mnist" if name == "events" else "digits"])
        found = [script.digest(script.configured(base, cell, seed=0, epochs=1)) for cell in cells()]
        assert len(set(found)) == len(found) > 1


def test_the_digest_is_of_what_decides_a_result(script: ModuleType) -> None:
    base = script.read_config(script.BASES["digits"])
    before = script.digest(base)
    elsewhere = replace(base, seed=7, output=Path("elsewhere"), data=replace(base.data, root=Path("there")))
    assert script.digest(elsewhere) == before
    others = [
        replace(base, epochs=base.epochs + 1),
        replace(base, optimiser=replace(base.optimiser, rate=1e-4)),
        replace(base, model=replace(base.model, norm="step-scale")),
        replace(base, data=replace(base.data, batch_size=8)),
    ]
    assert len({before, *map(script.digest, others)}) == 5


def test_what_was_run_with_other_settings_is_run_again(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines, ran = tmp_path / "lines.jsonl", []

    def one_run(config: Any) -> dict[str, Any]:
        ran.append(config)
        return {"test": 1.0}

    monkeypatch.setattr(script, "one_run", one_run)
    monkeypatch.setattr("sys.argv", ["adaptive.py", "rivals", "--first", "2", "--seeds", "0", "--file", str(lines)])
    for _ in range(2):
        script.main()
        assert len(ran) == 2
    changed = tmp_path / "changed.yaml"
    base = script.BASES["digits"].read_text()
    changed.write_text(base.replace("batch_size: 128", "batch_size: 64"))
    assert changed.read_text() != base
    monkeypatch.setitem(script.BASES, "digits", changed)
    for _ in range(2):
        script.main()
        assert len(ran) == 4
    found = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [line["cell"] for line in found[:2]] == [line["cell"] for line in found[2:]]
    assert len({line["config"] for line in found}) == 4
