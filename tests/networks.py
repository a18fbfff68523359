"""Networks as users write them: no piece of the library but the activation."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge.models import MODELS

Activation = Callable[[], nn.Module]

BY_ACTIVATION = [name for name, builder in MODELS.items() if "activation" in inspect.signature(builder).parameters]
"""Builders whose activation decides what the network is."""


def mlp(activation: Activation) -> nn.Module:
    """Flatten, two hidden layers."""
    layers = [nn.Flatten(), nn.Linear(64, 48), activation(), nn.Linear(48, 32), activation(), nn.Linear(32, 10)]
    return nn.Sequential(*layers)


class MaxPoolNet(nn.Module):
    """Convolutions, BatchNorm, max-pooling as module and as function, dropout, a view by batch size."""

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.conv1, self.norm1, self.act1 = nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), activation()
        self.pool = nn.MaxPool2d(2)
        self.conv2, self.norm2, self.act2 = nn.Conv2d(12, 24, 3, padding=1), nn.BatchNorm2d(24), activation()
        self.head = nn.Linear(24 * 4, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        batch = x.size(0)
        x = self.pool(self.act1(self.norm1(self.conv1(x))))
        x = F.max_pool2d(self.act2(self.norm2(self.conv2(x))), 2)
        x = F.dropout(x, 0.1, training=self.training)
        return self.head(x.view(batch, -1))


class ResidualNet(nn.Module):
    """Two residual blocks that share one activation module, a strided shortcut, a mean over space."""

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), activation())
        self.conv1, self.norm1 = nn.Conv2d(12, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.conv2, self.norm2 = nn.Conv2d(12, 24, 3, 2, 1, bias=False), nn.BatchNorm2d(24)
        self.shortcut = nn.Conv2d(12, 24, 1, 2)
        self.act = activation()
        self.head = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        x = self.stem(x)
        x = self.act(self.norm1(self.conv1(x)) + x)
        x = self.act(torch.add(self.norm2(self.conv2(x)), self.shortcut(x)))
        return self.head(x.mean((2, 3)))


NETWORKS: dict[str, Callable[[Activation], nn.Module]] = {
    "mlp": mlp,
    "max-pool cnn": MaxPoolNet,
    "residual cnn": ResidualNet,
}


class Wrapped(nn.Module):
    """A network whose forward is a function of the test's own."""

    def __init__(self, forward, **modules: nn.Module) -> None:
        super().__init__()
        self.call = forward
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self, x)


def network(forward, **modules: nn.Module) -> nn.Module:
    return Wrapped(forward, **modules).eval()
