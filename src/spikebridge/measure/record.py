"""What a run leaves behind: enough to repeat it and to draw it, in one JSON file."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run: what was asked for, where it ran, and what came out.

    Attributes:
        name: the method or command.
        config: the resolved settings, seed included.
        results: plain numbers, lists and strings, nested as the method likes.
        timings_s: seconds per stage; the only part that may differ between two runs of one config.
        environment: commit, versions and hardware.
    """

    name: str
    config: dict[str, Any]
    results: dict[str, Any]
    timings_s: dict[str, float]
    environment: dict[str, Any] = field(default_factory=lambda: environment())

    def save(self, path: Path) -> None:
        """Write the record; a reader never sees half a file."""
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self), indent=2, default=str) + "\n")
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> RunRecord:
        """Read what :meth:`save` wrote."""
        return cls(**json.loads(path.read_text()))


def environment() -> dict[str, Any]:
    """The commit, the versions and the hardware this process runs on."""
    packages = ("spikebridge", "numpy", "scikit-learn", "matplotlib")
    return {
        "commit": _commit(),
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            **{name: _version(name) for name in packages},
        },
        "hardware": {
            "processor": _processor(),
            "cpus": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    }


def _processor() -> str:
    """The model of the processor where the system tells, its architecture elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit of this source tree; None where the library is installed from elsewhere."""
    file = Path(__file__)
    try:
        _git("ls-files", "--error-unmatch", file.name, folder=file.parent)
        return _git("describe", "--always", "--dirty", "--abbrev=40", folder=file.parent)
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str, folder: Path) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
