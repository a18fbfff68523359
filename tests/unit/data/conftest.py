"""Nobody's own configuration, proxy or data takes part in these tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from . import site


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "PIP_INDEX_URL", "npm_config_registry", "SPIKEBRIDGE_DATA"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def web() -> Iterator[site.Site]:
    with site.running() as running:
        yield running


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only folder in which programs are found: empty at first."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder
