"""Time and memory of one training step, layer by layer, beside what the machine could do."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress

from ..core.files import write_whole
from ..measure.profile import LayerProfile, Profile
from ..measure.profiling import profile_step
from ..measure.record import environment
from ..report import Row, terminal_table
from ..report.picture import short, shortened
from ..report.profile import profile_picture
from ..training import compiler_problem
from .build import machines_of, network_for, split_for
from .config import TrainConfig

NAME, KIND = 22, 12
"""Letters of a name and of a kind that fit a narrow terminal."""

FILE, FIGURE = "profile.json", "profile"
NARROW = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def run(config: TrainConfig, *, repeats: int = 5, console: Console | None = None) -> Profile:
    """Time a training step of ``config`` and the layers in it; nothing is trained.

    The run's folder gets ``profile.json`` and the figure, as PNG and SVG.

    Args:
        config: what would be trained; its batch, precision and accelerator are those of the step, on one device.
        repeats: of every timing, whose median counts.
        console: where to speak.

    Raises:  ValueError, DataError: settings that do not fit each other, or data that are not there.
    """
    console = console or Console()
    split = split_for(config)
    network, _ = network_for(config, split)
    device = machines_of(config).device
    wide = torch.float64 if config.precision == "64-true" else torch.float32
    values, _ = split.train[: config.data.batch_size]
    is_compiled = config.compile and compiler_problem(config.accelerator) is None
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("profiling", total=1.0)
        found = profile_step(
            network.to(device, wide),
            values.to(device, wide),
            repeats=repeats,
            autocast=NARROW.get(config.precision),
            compiled=is_compiled,
            progress=lambda share: progress.update(task, completed=share),
        )
    show(found, config, samples=len(values), console=console)
    config.folder.mkdir(parents=True, exist_ok=True)
    line = {**asdict(found), "name": config.name, "samples": len(values), "environment": environment()}
    write_whole(config.folder / FILE, (json.dumps(line, indent=2) + "\n").encode())
    picture = profile_picture(found, name=config.name)
    write_whole(config.folder / f"{FIGURE}.png", picture.png)
    write_whole(config.folder / f"{FIGURE}.svg", picture.svg.encode())
    console.print(f"wrote {config.folder / FILE}", highlight=False, markup=False, soft_wrap=True)
    return found


def show(found: Profile, config: TrainConfig, *, samples: int, console: Console) -> None:
    """The table, and what it comes to."""
    columns = ["layer", "kind", "forward", "backward", "%", "limit", "ratio", "kept"]
    names = shortened([layer.layer for layer in found.layers], NAME)
    rows = [_row(name, layer, found) for name, layer in zip(names, found.layers, strict=True)]
    title = f"One training step of {config.name}: {samples} samples, {config.precision}, uncompiled, layer by layer"
    caption = (
        "Times in ms, each layer by itself; limit: the same work at this machine's rates; kept for backward in MiB"
    )
    console.print(terminal_table(title, columns, rows, caption=caption))
    between = found.step_s - found.layers_s
    lines = [
        f"whole step {_ms(found.step_s)} ms ({_ms(found.forward_s)} forward, {_ms(found.backward_s)} backward); layers "
        f"by themselves {_ms(found.layers_s)} ms, between them {_ms(between)} ms",
        f"spiking neurons: {100 * found.neurons_share:.1f} % of the layers' time",
        f"kept from forward to backward: {found.saved_bytes / 2**20:,.1f} MiB",
        f"limits of this machine: {found.limits.bytes_per_s / 1e9:.1f} GB/s copied, "
        f"{found.limits.flops_per_s / 1e9:.1f} GFLOP/s multiplied; the layers would take {_ms(found.limit_s)} ms",
    ]
    if found.compiled_s is not None and found.compile_s is not None:
        lines.append(f"compiled: {_ms(found.compiled_s)} ms a step, after {found.compile_s:.1f} s for the first")
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _row(name: str, layer: LayerProfile, found: Profile) -> Row:
    ratio = layer.step_s / layer.limit_s if layer.limit_s else 0.0
    share = 100 * layer.step_s / max(found.layers_s, 1e-12)
    cells: tuple[Any, ...] = (
        short(layer.kind, KIND),
        _ms(layer.forward_s),
        _ms(layer.backward_s),
        f"{share:.1f}",
        _ms(layer.limit_s),
        f"{ratio:.1f}" if ratio else "",
        f"{layer.saved_bytes / 2**20:.1f}",
    )
    return Row(name, cells)


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.2f}"
