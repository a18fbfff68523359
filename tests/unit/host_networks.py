"""What every network that is ANN, QCFS network and SNN in one has to keep: small ones, and the properties."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from spikebridge import LIF, QCFS, GroupNeuron
from spikebridge.models import lenet_cifar, spikformer, spiking_resnet

LEVELS, SIDE = 4, 16
Build = Callable[..., nn.Module]

small_resnet = partial(spiking_resnet, width=4, stages=(1, 1))
small_spikformer = partial(spikformer, depth=1, width=16, heads=2, mlp_ratio=2)

HOSTS: dict[str, Build] = {
    "sew-add": partial(small_resnet, block="sew-add"),
    "ms": partial(small_resnet, block="ms"),
    "plain": partial(small_resnet, block="plain"),
    "sew-add, imagenet": partial(small_resnet, block="sew-add", stem="imagenet"),
    "ms, imagenet": partial(small_resnet, block="ms", stem="imagenet"),
    "spikformer": small_spikformer,
    "spikformer, four pools": partial(small_spikformer, image_size=224),
    "lenet_cifar": partial(lenet_cifar, image_size=SIDE, classes=10),
}
SPIKING: dict[str, Build] = HOSTS | {
    "sew-and": partial(small_resnet, block="sew-and"),
    "sew-iand": partial(small_resnet, block="sew-iand"),
}
qcfs = partial(QCFS, levels=LEVELS, threshold=2.0)
group = partial(GroupNeuron, members=LEVELS)
eager = partial(LIF, threshold=0.5)
"""A neuron that fires in layers whose norms have seen nothing yet."""


def images(batch: int = 4, *, side: int = SIDE) -> Tensor:
    return torch.rand(batch, 3, side, side)


def count(build: Build, *, activation: Callable[[], nn.Module] = nn.ReLU, **options: Any) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(activation=activation, **options).parameters())


def settled(network: nn.Module, values: Tensor) -> nn.Module:
    """In eval mode, with the statistics of ``values``, so that activations are neither all silent nor all equal."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(values)
    return network.eval()
