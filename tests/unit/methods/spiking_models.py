"""Settings of small spiking networks, and the networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from spikebridge.methods.adaptive_config import AdaptiveConfig
from spikebridge.methods.build import build_network
from spikebridge.methods.config import ModelConfig

ON = AdaptiveConfig(leak="layer", gain="layer", readout="step")
OWN = replace(ON, stem="own")


def spiking(**changes: Any) -> ModelConfig:
    return ModelConfig(**{"name": "lenet_cifar", "activation": "LIF", "encoder": "Hybrid", **changes})


def built(config: ModelConfig, unit: tuple[int, ...] = (1, 8, 8)) -> nn.Module:
    return build_network(config, unit=unit, classes=10, seed=5)
