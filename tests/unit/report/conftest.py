"""One report that many tests read."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikebridge.report import write_report

from .records import make_record


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report([make_record()], folder)
    return folder
