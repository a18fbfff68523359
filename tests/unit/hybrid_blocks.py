"""Blocks with activations in every spelling, and a network around them, for twins to stand beside."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import QCFS


class Residual(nn.Module):
    """A block as torchvision has it: one in-place activation module, called twice."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x
        return self.relu(out)


class WritesFirst(nn.Module):
    """What is added at the end is not the input, but what an in-place activation has made of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.act, self.layer = nn.ReLU(inplace=True), nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.act(x)) + x


class Gated(nn.Module):
    """Squeeze and excitation, with its activations as functions, and a dropout as one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer, self.down, self.up = nn.Conv2d(width, width, 1), nn.Linear(width, 2), nn.Linear(2, width)

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.layer(x))
        batch, width, _, _ = y.shape
        gate = torch.sigmoid(self.up(self.down(y.mean((2, 3))).relu()))
        return F.dropout(y * gate.view(batch, width, 1, 1).expand_as(y), 0.5, training=self.training)


class Swish(nn.Module):
    """An activation that is written out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x)
        return torch.sigmoid(x) * x


BLOCKS: dict[str, Callable[[int], nn.Module]] = {
    "residual": Residual,
    "writes first": WritesFirst,
    "gated": Gated,
    "swish": Swish,
    "layer": lambda width: nn.Conv2d(width, width, 3, padding=1),
    "stack": lambda width: nn.Sequential(nn.Conv2d(width, width, 1), QCFS(levels=4), nn.Conv2d(width, width, 1)),
}


def network(kind: str = "residual") -> nn.Sequential:
    """A stem, two blocks and a head."""
    make = BLOCKS[kind]
    layers = [nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), make(6), make(6), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(6, 4))


def images() -> Tensor:
    return torch.randn(5, 2, 6, 6)
