"""Files that are whole or not there, and locks that go with their process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spikebridge.core.files import WriteError, locked, whole, write_whole


def test_an_error_while_writing_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    target = write_whole(tmp_path / "deep" / "a.txt", b"earlier")
    with pytest.raises(KeyError), whole(target) as partial:
        partial.write_text("half")
        raise KeyError
    assert target.read_bytes() == b"earlier"
    assert list(target.parent.iterdir()) == [target]


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with whole(target) as one, whole(target) as other:
        one.write_text("first")
        other.write_text("second")
    assert target.read_text() == "first"  # the outer block ends last
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_file_has_the_permissions_of_any_other(mask: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        with whole(tmp_path / "a") as partial:
            partial.unlink()
            os.close(os.open(partial, os.O_CREAT, 0o600))  # as some writers do
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~mask


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"^cannot write .*file/a\.txt: (Not a directory|File exists)$") as caught:
        write_whole(tmp_path / "file" / "a.txt", b"")
    assert caught.value.errno is not None


class Busy(Exception):  # noqa: N818
    """Raised in place of waiting."""


def refuse() -> Any:
    raise Busy


def test_a_lock_is_held_by_one_at_a_time_and_free_afterwards(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", busy=refuse), pytest.raises(Busy), locked(tmp_path / "lock", busy=refuse):
        pass
    with locked(tmp_path / "lock", busy=refuse):
        pass


FORK = """
import os, sys
from pathlib import Path
from spikebridge.core.files import locked

with locked(Path(sys.argv[1]), busy=lambda: sys.exit("busy")):
    there, forked = os.pipe()
    if os.fork():
        os.read(there, 1)
        os._exit(0)  # as a kill would end it
    os.write(forked, b"x")
    os.read(0, 1)  # until the test is over
    os.write(1, b"outlived")
    os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_process_that_outlives_the_holder_does_not_hold_the_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORK, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin
        assert holder.stdout
        assert holder.wait() == 0
        with locked(tmp_path / "lock", busy=refuse):
            pass
        holder.stdin.close()
        assert holder.stdout.read() == b"outlived"
