"""Parameter reconstruction: units, a readout solved to the optimum, and the network that they are together."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader

from ..blocks import SpikingNetwork
from ..convex.reconstruct import reconstruct
from ..core.files import whole
from ..core.readout import outputs_over_time
from ..data import Samples
from ..measure import NetworkResult, RunRecord, bits_of, measure
from .reconstruct_config import ReconstructConfig
from .settings import as_plain, write_config
from .solving import Head, solve_heads
from .summary import show
from .surrogate import Questions, train_surrogate
from .tasks import Task, task_for
from .units import drawn, drawn_in_turn, of_trained, read_of, untrained

CONFIG, RECORD, NETWORK = "config.yaml", "record.json", "network.safetensors"
BATCH = 256


class Found(NamedTuple):
    """What a method found.

    Attributes:
        network: from values to scores of all heads, in a row.
        heads: the readouts that were solved; none of "surrogate".
        drawn: units of the last layer that a readout could have used.
    """

    network: SpikingNetwork
    heads: list[Head]
    drawn: int


def run(config: ReconstructConfig, *, console: Console | None = None) -> RunRecord:
    """Find a network as ``config`` says; the run's folder gets ``config.yaml``, the network and ``record.json``.

    Raises:
        FileExistsError: the folder holds a run already. ValueError, DataError: settings that do not fit each other, or
            data that are not there.
    """
    console = console or Console()
    if (config.folder / RECORD).exists():
        raise FileExistsError(f"{config.folder} holds a run already. Choose another --name or --output.")
    task = task_for(config.task, seed=config.seed)
    began = time.perf_counter()
    found = find(config, task)
    seconds = time.perf_counter() - began
    record = RunRecord(
        name=config.name,
        method="reconstruct",
        seed=config.seed,
        config=as_plain(config),
        networks=[] if task.is_per_step else [measured(found.network, task, name=config.method)],
        results=results_of(found, task),
        timings_s={"find": seconds, "evaluate": time.perf_counter() - began - seconds},
    )
    config.folder.mkdir(parents=True, exist_ok=True)
    write_config(config, config.folder / CONFIG)
    write_network(found.network, config)
    record.save(config.folder / RECORD)
    _say(record, found, console)
    return record


def find(config: ReconstructConfig, task: Task) -> Found:
    """The network of a method, and the readouts that were solved for it."""
    witnesses, seed = config.witnesses, config.seed
    if config.method in ("trained", "surrogate"):
        trained = untrained(task, witnesses, seed=seed)
        train_surrogate(trained, task, config.surrogate, seed=seed)
        if config.method == "surrogate":
            return Found(trained, [], witnesses.widths[-1])
        body: nn.Sequential = of_trained(trained, task)
    elif config.method == "stacked":
        body = drawn_in_turn(task, witnesses, seed=seed, solve=lambda seen: _solutions(seen, task, config))
    else:
        body = drawn(task, witnesses, seed=seed)
    features = read_of(body, task, witnesses)
    heads = solve_heads(features, task, config.readout)
    network = reconstruct(features, [head.chosen.solution for head in heads])
    if config.fine_tune:
        network = network.float().requires_grad_()
        train_surrogate(network, task, config.surrogate, seed=seed)
    return Found(network, heads, witnesses.widths[-1] * witnesses.branches)


def _solutions(features: Any, task: Task, config: ReconstructConfig) -> list[Any]:
    return [head.chosen.solution for head in solve_heads(features, task, config.readout)]


def results_of(found: Found, task: Task) -> dict[str, Any]:
    """Right answers on every part, and what was solved."""
    parts: Mapping[str, Samples] = {**task.split._asdict(), **task.longer}
    kept = units_of(found.network)
    return {
        "accuracy": {name: accuracy(found.network, part, task) for name, part in parts.items()},
        "units": kept,
        "drawn": found.drawn,
        "heads": [
            {"chosen": head.chosen.summary, "path": [point.summary for point in head.path]} for head in found.heads
        ],
    }


def accuracy(network: SpikingNetwork, samples: Samples, task: Task) -> dict[str, float]:
    """Share of steps, or samples if asked once, with a question right, by its number, and with "all" right."""
    questions = [Questions((classes,)) for classes in task.heads]
    right = torch.zeros(len(task.heads) + 1, dtype=torch.double)
    asked = 0
    network = at_length(network, samples[0][0].shape[0])
    for values, targets in DataLoader(samples, batch_size=BATCH):
        with torch.no_grad():
            outputs = outputs_over_time(network, values)
        alone = [
            question.right(part, targets if targets.ndim == 1 else targets[..., place : place + 1])
            for place, (question, part) in enumerate(
                zip(questions, torch.split(outputs, list(task.heads), -1), strict=True)
            )
        ]
        answers = torch.stack([*alone, torch.stack(alone).all(0)])
        right += answers.flatten(1).double().sum(1)
        asked += answers[0].numel()
    shares = (right / max(1, asked)).tolist()
    return {**{str(place): share for place, share in enumerate(shares[:-1])}, "all": shares[-1]}


def at_length(network: SpikingNetwork, time_steps: int) -> SpikingNetwork:
    """The same layers for inputs of another number of steps; they are shared where it is the same.

    Of use where every step is answered: a readout of counts or of all steps was solved for its own T.
    """
    if network.encoder.time_steps == time_steps:
        return network
    encoder = copy.deepcopy(network.encoder)
    encoder.time_steps = time_steps
    return SpikingNetwork(copy.deepcopy(network.body), encoder=encoder).eval()


def units_of(network: SpikingNetwork) -> list[int]:
    """Units of each layer of neurons."""
    layers = [part for part in network.body.modules() if isinstance(part, nn.Linear)]
    return [layer.out_features for layer in layers[:-1]]


def measured(network: SpikingNetwork, task: Task, *, name: str) -> NetworkResult:
    """Accuracy, spikes and operations on the test set, as of any network."""
    batches = DataLoader(task.split.test, batch_size=BATCH)
    steps = task.encoder.time_steps
    return measure(
        network, batches, name=name, kind="snn", bits=bits_of(1, steps), values_are_spikes=task.encoder.is_binary
    )


def write_network(network: nn.Module, config: ReconstructConfig) -> None:
    """Weights in safetensors: nothing in the file runs."""
    from safetensors.torch import save_file

    with whole(config.folder / NETWORK) as partial:
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, partial)


def _say(record: RunRecord, found: Found, console: Console) -> None:
    if record.networks:
        show(record, console=console)
    lines = [f"{name}: {100 * each['all']:.2f} % right" for name, each in record.results["accuracy"].items()]
    for place, head in enumerate(found.heads):
        certificate, point = head.chosen.solution.certificate, head.chosen
        lines.append(
            f"question {place}: objective {certificate.primal:.6g}, within {certificate.relative_gap:.1e} of the best "
            f"on these units; lambda = {point.share:.3g} of the largest; {len(point.solution.support)} inputs"
        )
    lines.append(f"units: {' -> '.join(map(str, record.results['units']))}, of {found.drawn} in the last layer")
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
