"""What two processes train in test_sharding.py; it runs under torchrun and leaves files in a folder.

Everything is tiny, and even a layer of 8 x 8 is a part of its own, so that all that happens to large networks happens.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback
from torch import nn
from torch.distributed.tensor import DTensor
from torch.utils.data import TensorDataset

from spikebridge import LIF, QCFS, Direct, EachStep, OverTime, SpikingNetwork
from spikebridge.training import Batches, Learner, Machines, fit
from spikebridge.training.sharded import Sharded

EPOCHS = 4


def samples() -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    return TensorDataset(torch.rand(24, 6, generator=generator), torch.arange(24) % 3)


def spiking(seed: int = 3) -> nn.Module:
    """Norms over time and of each step, neurons with a scalar and a vector to learn, and lengths of 1 and 3 to cut."""
    torch.manual_seed(seed)
    inner = nn.Sequential(
        OverTime(nn.Linear(8, 8, bias=False), nn.BatchNorm1d(8)), LIF(decay=torch.rand(8), learn_decay=True)
    )
    lifted = EachStep(nn.Linear(8, 8, bias=False), nn.BatchNorm1d(8), QCFS(levels=4))
    body = nn.Sequential(
        OverTime(nn.Linear(6, 8, bias=False), nn.BatchNorm1d(8)),
        LIF(learn_decay=True),
        inner,
        lifted,
        OverTime(nn.PReLU(), nn.Linear(8, 3)),
    )
    return SpikingNetwork(body, encoder=Direct(time_steps=3))


def images(seed: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)),
        nn.Conv2d(1, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        QCFS(levels=4),
        nn.Flatten(),
        nn.Linear(48, 3),
    )


def train(network: nn.Module, *, folder: Path | None = None, machines: Machines | None = None, **settings: Any) -> Any:
    inner = {key: settings.pop(key) for key in ("compiled", "channels_last") if key in settings}
    # On GPUs, an optimiser steps over all parameters of a group together, scalars among them.
    optimiser = settings.pop("optimiser", partial(torch.optim.AdamW, lr=0.02, weight_decay=0.1, foreach=True))
    learner = Learner(network, warm_up=0.5, optimiser=optimiser, **inner)
    data = Batches(samples(), samples(), batch_size=8, seed=2)
    settings = {"epochs": EPOCHS, "show_progress": False, **settings}
    return fit(learner, data, folder=folder, machines=machines or on(), **settings)


def on(**changes: Any) -> Machines:
    return Machines(**{"accelerator": "cpu", "devices": 1, "precision": "64-true", **changes})


class Watch(Callback):
    """Note how much of every parameter and of its optimiser's state this process holds, and what decays."""

    def __init__(self) -> None:
        self.shares: dict[str, Any] = {}

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        optimiser = trainer.optimizers[0]
        decaying = {id(parameter) for parameter in optimiser.param_groups[0]["params"]}
        for name, parameter in pl_module.model.named_parameters():
            held = [parameter, optimiser.state[parameter]["exp_avg"]]
            local = [value.to_local().numel() if isinstance(value, DTensor) else value.numel() for value in held]
            self.shares[name] = {"all": parameter.numel(), "here": local, "decays": id(parameter) in decaying}


class Stop(Callback):
    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == 2:
            raise RuntimeError("power cut")


class Factors(torch.optim.SGD):
    """Keeps a number per row beside every matrix, as optimisers with factored moments do."""

    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim > 1:
                    self.state[parameter]["rows"] = parameter.grad.square().sum(1)
        return loss


def cut(folder: Path, machines: Machines) -> None:
    """Two epochs of four, and then something fails."""
    try:
        train(spiking(), folder=folder, machines=machines, callbacks=(Stop(),))
    except RuntimeError as error:
        assert str(error) == "power cut"


def main(folder: Path, rank: int) -> None:
    # The module, not the function of the same name that the package offers.
    sys.modules["spikebridge.training.fitting"].Sharded = partial(Sharded, smallest_part=64)  # type: ignore[attr-defined]
    two, watch = on(devices=2, strategy="fsdp"), Watch()
    # Processes that start from different weights must not train a mixture.
    fitted = train(spiking(3 + rank), folder=folder / "whole", machines=two, callbacks=(watch,))
    torch.save(fitted.network.state_dict(), folder / f"network{rank}.pt")
    (folder / f"shares{rank}.json").write_text(json.dumps(watch.shares))
    cut(folder / "cut", two)
    if rank == 0:
        shutil.copytree(folder / "cut", folder / "half")
    runs = {"whole": fitted, "cut": train(spiking(9), folder=folder / "cut", machines=two, resume=True)}
    runs["single"] = train(spiking(9), folder=folder / "single", machines=two, resume=True)
    runs["plain"] = train(images(), machines=replace(two, precision="32-true"))
    fast = {"compiled": True, "channels_last": True}
    runs["fast"] = train(images(), machines=replace(two, precision="32-true"), **fast)
    for strategy in ("fsdp", "ddp"):
        mixed = on(devices=2, strategy=strategy, precision="bf16-mixed")
        runs[f"mixed {strategy}"] = train(images(), machines=mixed)
    refused = ""
    try:
        train(spiking(), folder=folder / "factors", machines=two, optimiser=Factors)
    except ValueError as error:
        refused = str(error)
    (folder / f"refused{rank}.txt").write_text(refused)
    if rank == 0:
        (folder / "epochs.json").write_text(json.dumps({name: run.epochs for name, run in runs.items()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(os.environ["RANK"]))
