"""Test a trained run again: another checkpoint, other neurons, another T, without training."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

from rich.console import Console

from ..measure import RunRecord
from .build import network_for, split_for
from .commands import EvaluateConfig
from .config import ConversionConfig
from .settings import as_plain, read_config
from .summary import show
from .testing import evaluate

RECORD = "evaluation.json"


def run(config: EvaluateConfig, *, console: Console | None = None) -> RunRecord:
    """Measure a run's network on its test set, converted as asked; the record goes beside the run's own.

    Raises:
        FileNotFoundError: no such run or checkpoint. ValueError: a damaged checkpoint, or one of another network.
    """
    console = console or Console()
    trained = read_config(config.run / "config.yaml")
    data = trained.data if config.root is None else dataclasses.replace(trained.data, root=config.root)
    conversion = _merged(trained.conversion, config)
    trained = dataclasses.replace(trained, data=data, conversion=conversion, accelerator=config.accelerator)
    split = split_for(trained)
    network, _ = network_for(trained, split)
    began = time.perf_counter()
    networks = evaluate(trained, network, split, checkpoint=_checkpoint(config))
    record = RunRecord(
        name=trained.name,
        method="evaluate",
        seed=trained.seed,
        config=as_plain(trained),
        networks=networks,
        timings_s={"evaluate": time.perf_counter() - began},
    )
    record.save(config.run / RECORD)
    show(record, console=console)
    console.print(f"wrote {config.run / RECORD}", highlight=False, markup=False, soft_wrap=True)
    return record


def _checkpoint(config: EvaluateConfig) -> Path:
    named = config.run / f"{config.checkpoint}.safetensors"
    return named if config.checkpoint in ("best", "last") else Path(config.checkpoint)


def _merged(own: ConversionConfig | None, config: EvaluateConfig) -> ConversionConfig | None:
    """The run's own conversion, changed as asked; a run that converted nothing does so only when neurons are named."""
    asked = {key: getattr(config, key) for key in ("neurons", "members", "time_steps", "thresholds", "calibrate")}
    if own is None and config.neurons is None:
        return None
    return dataclasses.replace(
        own or ConversionConfig(), **{key: each for key, each in asked.items() if each is not None}
    )
