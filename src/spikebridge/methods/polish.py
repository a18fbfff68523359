"""The readout of a trained run, solved anew and pruned."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console
from torch.utils.data import DataLoader

from ..convex import Polished, polish
from ..core.devices import device_for
from ..core.files import whole
from ..data import Samples
from ..measure import RunRecord, measure
from ..training import load_weights
from .build import network_for, split_for
from .config import TrainConfig
from .reconstruct_config import PolishConfig
from .reconstruct_settings import read_reconstruction
from .settings import as_plain, read_config

RECORD, NETWORK = "polished.json", "polished.safetensors"
BATCH = 256


def run(config: PolishConfig, *, console: Console | None = None) -> RunRecord:
    """Polish a run's network; the weights and the record go beside the run's own.

    Chosen on the run's validation set; the record has the test accuracy before and after. Where no head is as good as
    the old one, the network is written as it was.

    Raises:
        FileNotFoundError: no such run or checkpoint. ValueError: a reconstruction, a damaged checkpoint, or a network
            that does not end in a linear layer.
    """
    console = console or Console()
    trained = _trained(config.run / "config.yaml")
    split = split_for(trained)
    network, _ = network_for(trained, split)
    load_weights(network, _checkpoint(config))
    network = network.float().to(device_for(config.accelerator))
    began = time.perf_counter()
    found = polish(
        network,
        _batches(split.train),
        _batches(split.validation),
        penalty=config.penalty,
        strengths=config.strengths,
        tol=config.tol,
    )
    seconds = time.perf_counter() - began
    is_spiking = trained.model.is_spiking
    kind: Any = "snn" if is_spiking else "hybrid" if trained.model.has_branches else "ann"
    networks = [
        measure(each, _batches(split.test), name=name, kind=kind)
        for name, each in (("trained", network), ("polished", found.model))
    ]
    record = RunRecord(
        name=trained.name,
        method="polish",
        seed=trained.seed,
        config=as_plain(config),
        networks=networks,
        results=_results(found),
        timings_s={"polish": seconds},
    )
    _write(found, config.run / NETWORK)
    record.save(config.run / RECORD)
    tested = ", ".join(f"{each.name} {100 * each.accuracies[-1]:.2f} %" for each in networks)
    lines = [str(found), f"test: {tested}", f"wrote {config.run / NETWORK} and {config.run / RECORD}"]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    return record


def _trained(path: Path) -> TrainConfig:
    try:
        return read_config(path)
    except ValueError:
        if _is_reconstruction(path):
            raise ValueError(
                f"{path.parent} is a reconstruction, whose readout was solved when it was made: there is nothing to "
                f"polish. Pass the folder of a run of spikebridge train."
            ) from None
        raise


def _is_reconstruction(path: Path) -> bool:
    try:
        read_reconstruction(path)
    except ValueError:
        return False
    return True


def _checkpoint(config: PolishConfig) -> Path:
    named = config.run / f"{config.checkpoint}.safetensors"
    return named if config.checkpoint in ("best", "last") else Path(config.checkpoint)


def _batches(samples: Samples) -> Any:
    return DataLoader(samples, batch_size=BATCH)


def _results(found: Polished) -> dict[str, Any]:
    return {
        "replaced": found.replaced,
        "head": found.head,
        "inputs": found.inputs,
        "kept": found.inputs if found.chosen is None else len(found.chosen.kept),
        "smaller": found.smaller,
        "reason": found.reason,
        "path": [
            {
                "strength": point.strength,
                "objective": point.objective,
                "old_objective": point.old_objective,
                "relative_gap": point.certificate.relative_gap,
                "inputs": len(point.kept),
                "validation": point.accuracy,
            }
            for point in found.path
        ],
    }


def _write(found: Polished, path: Path) -> None:
    from safetensors.torch import save_file

    state = {name: value.detach().cpu().contiguous() for name, value in found.model.state_dict().items()}
    with whole(path) as partial:
        save_file(state, partial)
