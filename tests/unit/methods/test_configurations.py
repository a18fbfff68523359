"""Every file in configs/: the network it names is built, and learns from a batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from spikebridge.data import find
from spikebridge.methods.build import build_learner, build_network
from spikebridge.methods.settings import read_config

CONFIGS = sorted((Path(__file__).parents[3] / "configs").rglob("*.yaml"))


def test_there_are_configurations() -> None:
    assert len(CONFIGS) >= 10


@pytest.mark.parametrize("file", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_builds_and_takes_a_step(file: Path) -> None:
    config = read_config(file)
    unit, classes = find(config.data.name).unit, len(find(config.data.name).classes)
    if config.model.takes_recordings:
        unit = (config.model.time_steps, *unit[1:])
    network = build_network(config.model, unit=unit, classes=classes, seed=config.seed)
    learner = build_learner(config, network, classes=classes, compiled=False).train()
    values, targets = torch.rand(2, *unit), torch.tensor([0, 1])
    with pytest.warns(UserWarning, match="self.log"):  # nobody collects this step's metrics
        loss = learner.training_step((values, targets), 0)
    loss.backward()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    gradients: list[Tensor] = [parameter.grad for parameter in trained if parameter.grad is not None]
    assert len(gradients) == len(trained)
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
    assert any(bool(gradient.any()) for gradient in gradients)
