"""From two trained networks to their spiking versions, on real images, in under a minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn

from ..blocks import QCFS
from ..conversion import convert
from ..data import Split, digits
from ..measure import RunRecord, accuracy, count_operations, score
from ..models import cnn
from ..report import markdown_table, terminal_table
from ..training import fit
from .comparison import NEURONS, TIME_STEPS, Comparison, caption, draw, results, table


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Settings of the demo.

    Args:
        seed: of the split, the initial weights and the order of training.
        epochs: passes over the training images, for each of the two networks (>= 1).
        levels: levels of the QCFS activations, and members of each Group Neuron (>= 1).
        output: folder for the figures, the table and the record; made if it is missing.
    """

    seed: int = 0
    epochs: int = 30
    levels: int = 8
    output: Path = Path("runs/demo")

    def __post_init__(self) -> None:
        for name in ("epochs", "levels"):
            if getattr(self, name) < 1:
                raise ValueError(f"demo expects {name} >= 1; got {getattr(self, name)}.")


def run(config: DemoConfig, *, console: Console | None = None) -> RunRecord:
    """Train, convert, measure, draw; print the table and leave everything in ``config.output``."""
    console = console or Console()
    config.output.mkdir(parents=True, exist_ok=True)
    split = digits(seed=config.seed)
    console.print(f"{len(split.train)} training and {len(split.test)} test images of handwritten digits, 8x8 pixels")
    activations: dict[str, Callable[[], nn.Module]] = {"ReLU": nn.ReLU, "QCFS": lambda: QCFS(levels=config.levels)}
    comparisons: dict[str, Comparison] = {}
    timings: dict[str, float] = {}
    with _progress(console) as progress:
        for kind, activation in activations.items():
            name, start = f"{kind} network", time.perf_counter()
            network = _train(activation, split, config, progress, name)
            trained = time.perf_counter()
            comparisons[name] = _compare(network, split, config, progress, name)
            timings |= {f"train {name}": trained - start, f"convert {name}": time.perf_counter() - trained}
    columns, rows = table(comparisons, config.levels)
    text = caption(members=config.levels, test_images=len(split.test))
    console.print(terminal_table(f"Test accuracy in %, seed {config.seed}", columns, rows, caption=text))
    (config.output / "table.md").write_text(markdown_table(columns, rows) + "\n\n" + text + "\n")
    start = time.perf_counter()
    figures = draw(config.output, comparisons, split, config.levels)
    timings["draw"] = time.perf_counter() - start
    settings = {**asdict(config), "output": str(config.output)}
    record = RunRecord(name="demo", config=settings, results=results(comparisons), timings_s=timings)
    record.save(config.output / "record.json")
    for path in [*figures, config.output / "table.md", config.output / "record.json"]:
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)
    return record


def _progress(console: Console) -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(TextColumn("{task.description:<24}"), *columns, TextColumn("{task.fields[note]}"), console=console)


def _train(
    activation: Callable[[], nn.Module], split: Split, config: DemoConfig, progress: Progress, name: str
) -> nn.Module:
    torch.manual_seed(config.seed)
    network = cnn(activation=activation)
    task = progress.add_task(f"train {name}", total=config.epochs, note="")
    fit(
        network,
        split.train,
        epochs=config.epochs,
        seed=config.seed,
        on_epoch=lambda loss: progress.update(task, advance=1, note=f"loss {loss:.4f}"),
    )
    images, labels = split.validation.tensors
    with torch.no_grad():
        progress.update(task, note=f"validation {100 * accuracy(network(images), labels):.1f} %")
    return network


def _compare(network: nn.Module, split: Split, config: DemoConfig, progress: Progress, name: str) -> Comparison:
    (images, labels), calibration = split.test.tensors, split.train.tensors[0]
    task = progress.add_task(f"convert {name}", total=len(NEURONS) + 1, note="")
    scores, spiking, thresholds = {}, {}, []
    for neuron, kind in NEURONS.items():
        conversion = convert(network, calibration, neuron=kind, members=config.levels)
        spiking[neuron] = conversion.model
        scores[neuron] = score(conversion.model, images, labels, time_steps=TIME_STEPS[-1])
        thresholds = [site.threshold[1] for site in conversion.report.neurons if site.threshold]
        progress.advance(task)
    every_level = {t * m for t in TIME_STEPS for m in (1, config.levels)}
    quantised = {levels: _quantise(network, thresholds, levels) for levels in sorted(every_level)}
    with torch.no_grad():
        multiplies = sum(layer.until(1) for layer in count_operations(network, images))
        result = Comparison(
            accuracy=accuracy(network(images), labels),
            multiplies=multiplies,
            scores=scores,
            spiking=spiking,
            quantised={levels: accuracy(ann(images), labels) for levels, ann in quantised.items()},
        )
    progress.advance(task)
    return result


def _quantise(network: nn.Module, thresholds: list[float], levels: int) -> nn.Module:
    """The same network, built anew with activations of so many levels: no spikes, no conversion, no time."""
    remaining = iter(thresholds)
    ann = cnn(activation=lambda: QCFS(levels=levels, threshold=next(remaining)))
    weights = {name: value for name, value in network.state_dict().items() if not name.endswith("raw_threshold")}
    ann.load_state_dict(weights, strict=False)
    return ann.eval()
