"""From two trained networks to their spiking versions, on real images, in under a minute."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from ..blocks import QCFS
from ..conversion import ConvertedNetwork, convert
from ..data import Split, digits
from ..measure import RunRecord, Score, accuracy, count_operations, record_spikes, score
from ..models import cnn
from ..report import Row, accuracy_over_time, firing_rates, markdown_table, raster, terminal_table
from ..training import fit

TIME_STEPS = (1, 2, 4, 8)
NEURONS = {"IF": "if", "Group Neuron": "group", "signed Group": "signed-group"}
LAYERS = {"1": "conv 1", "3": "conv 2", "5": "conv 3", "7": "hidden"}


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


@dataclass(frozen=True)
class Comparison:
    """One network and everything it became.

    Attributes:
        accuracy: of the network itself, on the test images.
        multiplies: its multiply-and-accumulate operations per image.
        scores: neuron -> the spiking network with that neuron.
        spiking: neuron -> that network.
        quantised: levels -> accuracy of the network with its activations quantised to so many levels.
    """

    accuracy: float
    multiplies: float
    scores: dict[str, Score]
    spiking: dict[str, ConvertedNetwork]
    quantised: dict[int, float]


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
    columns, rows = _table(comparisons, config.levels)
    caption = _caption(config, len(split.test))
    console.print(terminal_table(f"Test accuracy in %, seed {config.seed}", columns, rows, caption=caption))
    (config.output / "table.md").write_text(markdown_table(columns, rows) + "\n\n" + caption + "\n")
    start = time.perf_counter()
    figures = _draw(config.output, comparisons, split, config.levels)
    timings["draw"] = time.perf_counter() - start
    settings = {**asdict(config), "output": str(config.output)}
    record = RunRecord(name="demo", config=settings, results=_results(comparisons), timings_s=timings)
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


def _table(comparisons: dict[str, Comparison], members: int) -> tuple[tuple[str, ...], list[Row]]:
    columns = ("network", "ANN", *(f"T={t}" for t in TIME_STEPS), "spikes", "kAC", "kMAC")
    rows = []
    for name, found in comparisons.items():
        blank = [""] * len(TIME_STEPS)
        heading = (_percent(found.accuracy), *blank, "", "", _thousands(found.multiplies))
        rows.append(Row(name, heading, is_heading=True))
        rows += [_spiking_row(neuron, found.scores[neuron]) for neuron in NEURONS]
        for label, per_step in ((f"quantised, {members}T levels", members), ("quantised, T levels", 1)):
            accuracies = [_percent(found.quantised[t * per_step]) for t in TIME_STEPS]
            rows.append(Row(label, ("", *accuracies, "", "", _thousands(found.multiplies))))
    return columns, rows


def _spiking_row(neuron: str, found: Score) -> Row:
    first, last = TIME_STEPS[0], TIME_STEPS[-1]
    accuracies = [_percent(found.accuracies[t - 1]) for t in TIME_STEPS]
    spikes = f"{found.spikes_per_neuron[first - 1]:.2f}-{found.spikes_per_neuron[last - 1]:.2f}"
    accumulates = f"{_thousands(found.accumulates(first))}-{_thousands(found.accumulates(last))}"
    return Row(neuron, ("", *accuracies, spikes, accumulates, _thousands(found.multiplies(last))))


def _caption(config: DemoConfig, test_images: int) -> str:
    bits = ", ".join(str(math.ceil(math.log2(t * config.levels + 1))) for t in TIME_STEPS)
    return (
        f"{test_images} test images, so one image is {100 / test_images:.1f} points. Group Neurons have "
        f"{config.levels} members. Spikes per neuron and thousand accumulates (kAC) are per image, at T=1 and at T=8; "
        f"kMAC are analog operations, in an SNN those of the first layer, which sees the image. 'quantised' is the ANN "
        f"itself, not spiking, with as many levels as the neuron it is compared with: {config.levels}T for a Group "
        f"Neuron ({bits} bits at T=1, 2, 4, 8), T for an IF. At T=1 a Group Neuron is that quantised activation, in "
        f"spikes."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _thousands(operations: float) -> str:
    return f"{operations / 1000:.0f}"


def _curves(found: Comparison, members: int) -> dict[str, list[float]]:
    curves = {neuron: [scored.accuracies[t - 1] for t in TIME_STEPS] for neuron, scored in found.scores.items()}
    return {**curves, f"quantised, {members}T levels": [found.quantised[t * members] for t in TIME_STEPS]}


def _draw(folder: Path, comparisons: dict[str, Comparison], split: Split, members: int) -> list[Path]:
    curves = {name: _curves(found, members) for name, found in comparisons.items()}
    references = {name: found.accuracy for name, found in comparisons.items()}
    source, last = list(comparisons.items())[-1]
    rates = {
        neuron: {label: found.rates[layer] for layer, label in LAYERS.items()} for neuron, found in last.scores.items()
    }
    images, labels = split.test.tensors
    unit = "spikes per neuron and step"
    return [
        accuracy_over_time(folder / "accuracy.png", time_steps=TIME_STEPS, curves=curves, references=references),
        raster(
            folder / "raster.png",
            image=images[0, 0].numpy(),
            panels={neuron: _spikes_of(last.spiking[neuron], images[:1]) for neuron in ("IF", "Group Neuron")},
            title=f"a test image, {labels[0].item()},\nin the {source}",
        ),
        firing_rates(
            folder / "firing_rates.png",
            rates=rates,
            unit=unit,
            title=f"converted from the {source}, T = 8",
        ),
    ]


def _spikes_of(network: ConvertedNetwork, image: Tensor) -> dict[str, Any]:
    with torch.no_grad(), record_spikes(network) as trains:
        network(image, time_steps=TIME_STEPS[-1])
    return {label: trains[layer].flatten(1).numpy() for layer, label in LAYERS.items()}


def _results(comparisons: dict[str, Comparison]) -> dict[str, Any]:
    return {
        name: {
            "accuracy": found.accuracy,
            "multiplies": found.multiplies,
            "quantised": {str(levels): share for levels, share in found.quantised.items()},
            "spiking": {neuron: asdict(scored) for neuron, scored in found.scores.items()},
        }
        for name, found in comparisons.items()
    }
