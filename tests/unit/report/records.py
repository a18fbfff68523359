"""Records and pages that the tests of the report share."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from spikebridge.measure import LayerOperations, NetworkResult, RunRecord

LAYERS = ("conv1", "hidden")


def make_ann(
    name: str = "QCFS ANN", *, accuracy: float = 0.99, kind: Any = "quantised", bits: int = 4
) -> NetworkResult:
    layers = [LayerOperations(layer, "MAC", (1000.0,), 1000.0, 10) for layer in (*LAYERS, "readout")]
    return NetworkResult(name=name, kind=kind, bits=bits, accuracies=[accuracy], operations=layers)


def make_snn(
    name: str = "IF",
    *,
    source: str | None = "QCFS ANN",
    time_steps: int = 4,
    members: int = 1,
    shift: float = 0.0,
    layers: tuple[str, ...] = LAYERS,
) -> NetworkResult:
    accumulates = tuple(100.0 * members for _ in range(time_steps))
    return NetworkResult(
        name=name,
        kind="snn",
        source=source,
        bits=(members * time_steps).bit_length(),
        accuracies=[0.98 - 0.5 / 4**t + shift for t in range(time_steps)],
        operations=[LayerOperations(layers[0], "MAC", (1000.0,), 1000.0, 10)]
        + [LayerOperations(layer, "AC", accumulates, 1000.0, 10) for layer in (*layers[1:], "readout")],
        spikes_per_neuron=[0.1 * members * (t + 1) for t in range(time_steps)],
        rates={layer: 0.1 * members * (i + 1) for i, layer in enumerate(layers)},
        neurons=100,
        footprint_bytes=4000,
        thresholds={layer: [1.0, 1.2, 1.5, 1.5 + i] for i, layer in enumerate(layers)},
        neuron_parameters={layer: {"decay": [0.5 + 0.1 * t for t in range(time_steps)]} for layer in layers},
        raster={layer: [[(t + n) % (members + 1) for n in range(10)] for t in range(time_steps)] for layer in layers},
    )


def make_record(seed: int = 0, *, name: str = "digits", **changes: Any) -> RunRecord:
    shift = 0.001 * seed
    networks = [make_ann(accuracy=0.99 - shift), make_snn("Group Neuron", members=8), make_snn(shift=shift)]
    losses = [{"epoch": e, "train/loss": 1 / (e + 1), "validation/loss": 1.1 / (e + 1)} for e in range(4)]
    fields: dict[str, Any] = {
        "method": "train",
        "config": {"seed": seed, "output": f"runs/{name}-{seed}", "name": name, "levels": 8},
        "networks": networks,
        "epochs": [{**epoch, "validation/accuracy": 0.9} for epoch in losses],
        "timings_s": {"train": 12.0},
        "environment": {"command": f"spikebridge train --seed {seed}", "commit": "abc", "versions": {"torch": "2.6"}},
    }
    return RunRecord(name=name, seed=seed, **{**fields, **changes})


class Page(HTMLParser):
    """What a browser would see: the tags with their attributes, the text, and the addresses of all parts."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.html = (folder / "index.html").read_text()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(self.html)
        self.ids = [found["id"] for _, found in self.tags if "id" in found]
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += " " if self.lasttag in ("style", "script") else data
