"""From two trained networks to their spiking versions, on real images, in under a minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import nn

from ..blocks import QCFS
from ..conversion import convert
from ..data import Split, digits
from ..measure import RunRecord, accuracy, bits_of, measure
from ..models import cnn
from ..report import markdown_table, terminal_table
from ..training import Batches, Learner, fit
from .commands import DemoConfig
from .comparison import NEURONS, TIME_STEPS, Comparison, by_levels, caption, draw, table
from .settings import as_plain

BATCH_SIZE = 64
OPTIMISER = partial(torch.optim.AdamW, lr=5e-3, weight_decay=1e-2)
WARM_UP = 0.3
"""Share of the training during which the rate rises."""


def run(config: DemoConfig, *, console: Console | None = None) -> RunRecord:
    """Train, convert, measure, draw; print the table and leave everything in ``config.output``."""
    console = console or Console()
    config.output.mkdir(parents=True, exist_ok=True)
    split = digits(seed=config.seed)
    console.print(f"{len(split.train)} training and {len(split.test)} test images of handwritten digits, 8x8 pixels")
    activations: dict[str, Callable[[], nn.Module]] = {"ReLU": nn.ReLU, "QCFS": lambda: QCFS(levels=config.levels)}
    comparisons: dict[str, Comparison] = {}
    epochs: dict[str, list[dict[str, float]]] = {}
    timings: dict[str, float] = {}
    with _progress(console) as progress:
        for kind, activation in activations.items():
            name, start = f"{kind} network", time.perf_counter()
            network, epochs[name] = _train(activation, split, config, progress, name)
            trained = time.perf_counter()
            comparisons[name] = _compare(network, split, config, progress, name)
            timings |= {f"train {name}": trained - start, f"convert {name}": time.perf_counter() - trained}
    columns, rows = table(comparisons, config.levels)
    text = caption(members=config.levels, test_images=len(split.test))
    console.print(terminal_table(f"Test accuracy in %, seed {config.seed}", columns, rows, caption=text))
    (config.output / "table.md").write_text(markdown_table(columns, rows) + "\n\n" + text + "\n")
    record = RunRecord(
        name=config.output.name,
        method="demo",
        seed=config.seed,
        config=as_plain(config),
        networks=[
            result for found in comparisons.values() for result in (found.own, *found.spiking.values(), *found.matched)
        ],
        results={"epochs": epochs, "quantised": {name: by_levels(found) for name, found in comparisons.items()}},
        timings_s=timings,
    )
    start = time.perf_counter()
    figures = draw(config.output, record)
    timings["draw"] = time.perf_counter() - start
    record.save(config.output / "record.json")
    for path in [*figures, config.output / "table.md", config.output / "record.json"]:
        console.print(f"wrote {path}", highlight=False, markup=False, soft_wrap=True)
    return record


def _progress(console: Console) -> Progress:
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(TextColumn("{task.description:<24}"), *columns, TextColumn("{task.fields[note]}"), console=console)


def _train(
    activation: Callable[[], nn.Module], split: Split, config: DemoConfig, progress: Progress, name: str
) -> tuple[nn.Module, list[dict[str, float]]]:
    torch.manual_seed(config.seed)
    learner = Learner(cnn(activation=activation), optimiser=OPTIMISER, warm_up=config.epochs * WARM_UP)
    task = progress.add_task(f"train {name}", total=config.epochs, note="")
    fitted = fit(
        learner,
        Batches(split.train, split.validation, batch_size=BATCH_SIZE, seed=config.seed),
        epochs=config.epochs,
        callbacks=(_Advance(progress, task),),
        show_progress=False,
    )
    return fitted.network, fitted.epochs


class _Advance(Callback):
    """Moves the demo's bar by an epoch."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self.progress, self.task = progress, task

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        share = trainer.callback_metrics["validation/accuracy"].item()
        self.progress.update(self.task, advance=1, note=f"validation {100 * share:.1f} %")


def _compare(network: nn.Module, split: Split, config: DemoConfig, progress: Progress, name: str) -> Comparison:
    test, calibration = [split.test.tensors], split.train.tensors[0]
    is_quantised = any(isinstance(module, QCFS) for module in network.modules())
    kind: Literal["ann", "quantised"] = "quantised" if is_quantised else "ann"
    task = progress.add_task(f"convert {name}", total=len(NEURONS) + 1, note="")
    own = measure(network, test, name=name, kind=kind, bits=bits_of(config.levels, 1) if is_quantised else 32)
    spiking, thresholds = {}, []
    for neuron, code in NEURONS.items():
        # One threshold for every T and every neuron, so that the rows differ in nothing else.
        conversion = convert(
            network, calibration, neuron=code, members=config.levels, thresholds="percentile:99.9", granularity="layer"
        )
        bits = bits_of(1 if code == "if" else config.levels, TIME_STEPS[-1])
        label = f"{neuron}, from {name}"
        steps = TIME_STEPS[-1]
        spiking[neuron] = measure(
            conversion.model, test, name=label, kind="snn", time_steps=steps, source=name, bits=bits
        )
        thresholds = [site.threshold[1] for site in conversion.report.neurons if site.threshold]
        progress.advance(task)
    every_level = {t * m for t in TIME_STEPS for m in (1, config.levels)}
    images, labels = split.test.tensors
    with torch.no_grad():
        quantised = {n: accuracy(_quantise(network, thresholds, n)(images), labels) for n in sorted(every_level)}
    matched = [
        measure(
            _quantise(network, thresholds, levels),
            test,
            name=f"{levels} levels, from {name}",
            kind="quantised",
            source=name,
            bits=bits_of(levels, 1),
        )
        for levels in (TIME_STEPS[-1], TIME_STEPS[-1] * config.levels)
    ]
    progress.advance(task)
    return Comparison(own=own, spiking=spiking, quantised=quantised, matched=matched)


def _quantise(network: nn.Module, thresholds: list[float], levels: int) -> nn.Module:
    """The same network, built anew with activations of so many levels: no spikes, no conversion, no time."""
    remaining = iter(thresholds)
    ann = cnn(activation=lambda: QCFS(levels=levels, threshold=next(remaining)))
    weights = {name: value for name, value in network.state_dict().items() if not name.endswith("raw_threshold")}
    ann.load_state_dict(weights, strict=False)
    return ann.eval()
