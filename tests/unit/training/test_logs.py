"""Metrics as files."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from spikebridge.core.files import WriteError
from spikebridge.training.logs import Events, write_table, writers_quiet


def test_a_table_has_the_columns_of_all_rows(tmp_path: Path) -> None:
    write_table([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25, "rate": 0.1}], tmp_path / "metrics.csv")
    assert (tmp_path / "metrics.csv").read_text().splitlines() == ["epoch,loss,rate", "1,0.5,", "2,0.25,0.1"]


def full(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def test_events_that_cannot_be_written_end_in_an_error_that_names_their_folder_and_in_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)
    events = Events(tmp_path)
    events.log_metrics({"loss": 0.5}, 0)
    writer = events.experiment.file_writer.event_writer._async_writer._writer
    monkeypatch.setattr(writer, "write", full)
    message = rf"^cannot write {tmp_path}/tensorboard: No space left on device$"
    with writers_quiet():
        events.log_metrics({"loss": 0.25}, 1)
        with pytest.raises(WriteError, match=message):
            events.save()
        with pytest.raises(WriteError, match=message):
            events.log_metrics({"loss": 0.25}, 2)
        events.finalize("failed")  # says nothing: something else has been said
        assert seen == []
        other = threading.Thread(target=full)
        other.start()
        other.join()
    assert len(seen) == 1
    assert threading.excepthook == seen.append


def test_a_continued_run_adds_its_events_to_the_same_folder(tmp_path: Path) -> None:
    for _ in range(2):
        events = Events(tmp_path)
        events.log_metrics({"loss": 0.5}, 0)
        events.finalize("success")
    assert len(list((tmp_path / "tensorboard").glob("events*"))) == 2
    assert not [path for path in (tmp_path / "tensorboard").iterdir() if path.is_dir()]
