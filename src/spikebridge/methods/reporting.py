"""One page from the records of one or more runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ..measure import RunRecord
from ..report import write_report

RECORD = "record.json"


def run(runs: Sequence[Path], *, output: Path | None = None, console: Console | None = None) -> list[Path]:
    """Read the records, write the page with its figures and tables, and say where.

    Args:
        runs: folders of runs, or files of records: record.json, records.jsonl.
        output: folder of the page; by default ``report`` in the run's own folder, or here for several runs.
        console: where to speak.

    Raises:  FileNotFoundError: no record there. ValueError: a file that is no record.
    """
    console = console or Console()
    files = [path / RECORD if path.is_dir() else path for path in runs]
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"There is no record at {', '.join(missing)}. Pass folders of finished runs, such as runs/demo."
        )
    folder = output or (files[0].parent / "report" if len(files) == 1 else Path("report"))
    records = [record for path in files for record in RunRecord.load_all(path)]
    written = write_report(records, folder)
    console.print(
        f"wrote {folder / 'index.html'} and {len(written) - 1} files beside it",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    return written
