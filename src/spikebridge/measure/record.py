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
from typing import Any, Literal

import torch

from ..core.files import write_whole
from .finite import spelled, unspelled
from .layer import LayerOperations


@dataclass(frozen=True, kw_only=True)
class NetworkResult:
    """One network of a run: how right, how active, how costly; plain numbers, which the report draws.

    Attributes:
        name: unique within the run, for example "QCFS ANN" or "Group Neuron".
        kind: "ann", "quantised" (an ANN whose activations have finitely many levels), "hybrid" (one pass,
            spiking in parts) or "snn".
        source: name of the network it was converted from, or None.
        bits: bits of one activation of an ANN, 32 where nothing is quantised; for an SNN the bits that tell apart
            all spike counts that a neuron can reach in its T steps: an ANN of as many bits is the fair comparison.
        accuracies: test accuracy in [0, 1]; entry t - 1 is after t steps. An ANN has one entry.
        operations: operations of every layer of weights, per sample.
        counted: how many test samples they, and the sparsity, are the mean of; spread evenly over the set.
        spikes_per_neuron: spikes that the mean neuron sent in t steps, per sample; empty for an ANN.
        rates: layer -> spikes per neuron and step.
        sparsity: layer -> share of a layer's activations that are zero (spikes, or an ANN's activation outputs).
        neurons: membranes per sample, over all layers; 0 for an ANN.
        footprint_bytes: parameters and buffers in memory.
        thresholds: layer -> its thresholds, one or one per channel, in the units of its input.
        neuron_parameters: layer -> parameter -> one value per time-step, for neurons that differ from step to step.
        raster: layer -> [time][neuron] whole numbers of spikes for one sample, of at most 40 neurons.
    """

    name: str
    kind: Literal["ann", "quantised", "hybrid", "snn"]
    source: str | None = None
    bits: int = 32
    accuracies: list[float]
    operations: list[LayerOperations] = field(default_factory=list)
    counted: int = 0
    spikes_per_neuron: list[float] = field(default_factory=list)
    rates: dict[str, float] = field(default_factory=dict)
    sparsity: dict[str, float] = field(default_factory=dict)
    neurons: int = 0
    footprint_bytes: int = 0
    thresholds: dict[str, list[float]] = field(default_factory=dict)
    neuron_parameters: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    raster: dict[str, list[list[int]]] = field(default_factory=dict)

    def accumulates(self, time_steps: int) -> float:
        """Accumulate operations per sample in T steps."""
        return sum(layer.until(time_steps) for layer in self.operations if layer.kind == "AC")

    def multiplies(self, time_steps: int) -> float:
        """Multiply-and-accumulate operations per sample in T steps."""
        return sum(layer.until(time_steps) for layer in self.operations if layer.kind == "MAC")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run: what was asked for, where it ran, and what came out.

    Attributes:
        name: of the run.
        method: the command or method that made it, for example "train".
        seed: of everything that is drawn.
        config: the resolved settings.
        networks: what was measured of every network of the run.
        epochs: per epoch of training, metric -> value.
        results: whatever else the method found: plain numbers, lists and strings.
        timings_s: seconds per stage; with ``environment``, all that may differ between two runs of one config.
        environment: commit, versions, hardware and command.
    """

    name: str
    method: str
    seed: int
    config: dict[str, Any]
    networks: list[NetworkResult] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)
    timings_s: dict[str, float] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=lambda: environment())

    def save(self, path: Path) -> None:
        """Write the record as one JSON file; a reader never sees half of it."""
        write_whole(path, (self._json(indent=2) + "\n").encode())

    def line(self) -> str:
        """The record as one line of a JSON-lines file."""
        return self._json() + "\n"

    def _json(self, *, indent: int | None = None) -> str:
        return json.dumps(spelled(asdict(self)), indent=indent, default=str, allow_nan=False)

    @classmethod
    def load(cls, path: Path) -> RunRecord:
        """Read what :meth:`save` wrote.

        Raises:  ValueError: the file is not a record.
        """
        return _parsed(path.read_bytes(), path)

    @classmethod
    def load_all(cls, path: Path) -> list[RunRecord]:
        """Read a record, or a ``.jsonl`` file of several, one a line.

        Raises:  ValueError: the file is not made of records.
        """
        parts = path.read_bytes().splitlines() if path.suffix == ".jsonl" else [path.read_bytes()]
        return [_parsed(part, path) for part in parts]


def _parsed(content: bytes, path: Path) -> RunRecord:
    try:
        fields = json.loads(content)
        numbers = {key: unspelled(fields[key]) for key in ("epochs", "results", "timings_s") if key in fields}
        networks = [_network(found) for found in unspelled(fields.pop("networks"))]
        return RunRecord(**{**fields, **numbers}, networks=networks)
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"RunRecord expects a file written by this library; {path} is not: {error}.") from error


def _network(found: dict[str, Any]) -> NetworkResult:
    layers = [LayerOperations(**{**layer, "per_step": tuple(layer["per_step"])}) for layer in found["operations"]]
    return NetworkResult(**{**found, "operations": layers})


def environment() -> dict[str, Any]:
    """The commit, the versions and the hardware this process runs on."""
    packages = ("spikebridge", "lightning", "numpy", "scikit-learn", "matplotlib")
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
        "command": shlex.join([_program(), *sys.argv[1:]]),
    }


def _program() -> str:
    """What was started: the command, also where it was started as a module of this package."""
    started = Path(sys.argv[0])
    return "spikebridge" if started.parent.name == "spikebridge" else started.name


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
