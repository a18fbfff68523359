"""A set is whole or it is not there, whatever happens on the way."""

from __future__ import annotations

import errno
import resource
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spikebridge import data
from spikebridge.data import DataError, store
from spikebridge.data.errors import about_this_machine, is_of_this_machine

from .site import Site
from .toy import ARCHIVE, FILES, HIDDEN, collection, server, visible

CHILD = """
import signal
import sys
from tests.unit.data import toy
from spikebridge import data

class Told(toy.Notes):
    def advance(self, file, done, total):
        print(done, flush=True)

# Ignored by what a shell has started in the background, and so by its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
data.get(toy.collection(toy.server(sys.argv[1])), root=sys.argv[2], progress=Told())
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_download_leaves_nothing_whole_and_is_continued(
    web: Site, tmp_path: Path, ending: signal.Signals
) -> None:
    url = web.serve("/toy.tar", ARCHIVE, headers={"ETag": '"1"'}, hold=600_000)
    command = [sys.executable, "-c", textwrap.dedent(CHILD), url, str(tmp_path / "root")]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, cwd=Path(__file__).parents[3], **streams) as child:
        assert child.stdout
        done = 0
        while done < 500_000:  # the child waits for a byte that does not come
            done = int(child.stdout.readline())
        child.send_signal(ending)
    assert child.returncode != 0
    toy = collection(server(url))
    assert visible(tmp_path / "root") == {}
    assert store.faults(toy, tmp_path / "root") == ["toy/a is missing", "toy/b is missing"]
    web.pages["/toy.tar"].hold = None
    data.get(toy, root=tmp_path / "root")
    assert visible(tmp_path / "root") == FILES
    assert web.requests == [("/toy.tar", ""), ("/toy.tar", f"bytes={done}-")]


def test_what_a_kill_while_unpacking_left_is_cleared_away(web: Site, tmp_path: Path) -> None:
    toy = collection(server(web.serve("/toy.tar", ARCHIVE)))
    half = tmp_path / HIDDEN / "stage/toy/a"
    half.parent.mkdir(parents=True)
    half.write_bytes(FILES["toy/a"][:1000])
    assert store.faults(toy, tmp_path)
    data.get(toy, root=tmp_path)
    assert visible(tmp_path) == FILES
    assert not (tmp_path / HIDDEN / "stage").exists()


def test_a_full_disk_is_one_clear_error_and_the_download_is_continued(web: Site, tmp_path: Path) -> None:
    toy = collection(server(web.serve("/toy.tar", ARCHIVE, headers={"ETag": '"1"'})), server(f"{web.url}/second.tar"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    try:
        with pytest.raises(DataError) as caught:
            data.get(toy, root=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"No space left in {tmp_path} (File too large) while fetching toy." in str(caught.value)
    assert "about 1 MB" in str(caught.value)
    assert visible(tmp_path) == {}
    assert [path for path, _ in web.requests] == ["/toy.tar"]  # another source would not help
    data.get(toy, root=tmp_path)
    assert visible(tmp_path) == FILES
    assert web.requests[1] == ("/toy.tar", "bytes=300000-")


def test_a_disk_that_fills_while_unpacking_leaves_nothing(
    web: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(stage: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    toy = collection(replace(server(web.serve("/toy.tar", ARCHIVE)), rebuild=fill))
    with pytest.raises(DataError, match=r"No space left in .* \(No space left on device\) while fetching toy"):
        data.get(toy, root=tmp_path)
    assert visible(tmp_path) == {}
    assert not (tmp_path / HIDDEN / "stage").exists()
    assert (tmp_path / HIDDEN / "downloads/toy/127.0.0.1/toy.tar").exists()  # what has arrived is kept


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS])
def test_errors_of_this_machine_say_what_to_do(code: int) -> None:
    error = OSError(code, "reason", "/x/file")
    assert is_of_this_machine(error)
    message = str(about_this_machine(error, root="/x", name="toy", download_mb=5))
    full = "No space left in /x (reason) while fetching toy. It needs room for about 5 MB"
    denied = "Cannot write to /x: reason (/x/file). Choose a folder of your own with --root"
    assert message.startswith(full if code in (errno.ENOSPC, errno.EDQUOT) else denied)


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_root_that_is_not_a_folder_of_ours_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    root = tmp_path / "file" / below
    with pytest.raises(DataError, match=r"Cannot write to .*file.*: (File exists|Not a directory).*SPIKEBRIDGE_DATA"):
        data.get(collection(server("http://127.0.0.1/")), root=root)
