"""The CIFAR-10 ResNets whose pretrained weights the conversion benchmarks use, and the data they were trained on.

Weights: resnet{20,32,44,56}-*.th of github.com/akamaster/pytorch_resnet_cifar10 (BSD-2), not part of this project.
Published: 91.73 / 92.63 / 93.10 / 93.39 % on the 10,000 test images.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge.data import load

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PUBLISHED = {20: 91.73, 32: 92.63, 44: 93.10, 56: 93.39}


class PaddedSlice(nn.Module):
    """The shortcut without weights: every second position, new channels of zeros on both sides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.padding = channels // 4

    def forward(self, values: Tensor) -> Tensor:
        """[batch, channels, height, width] to twice the channels and half the size."""
        return F.pad(values[:, :, ::2, ::2], (0, 0, 0, 0, self.padding, self.padding))


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1, self.relu1 = nn.BatchNorm2d(outputs), nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2, self.relu2 = nn.BatchNorm2d(outputs), nn.ReLU()
        self.shortcut = nn.Identity() if stride == 1 else PaddedSlice(outputs)

    def forward(self, values: Tensor) -> Tensor:
        """Images to images."""
        changed = self.relu1(self.bn1(self.conv1(values)))
        return self.relu2(self.bn2(self.conv2(changed)) + self.shortcut(values))


class ResNet(nn.Module):
    """Three stages of ``depth // 6`` blocks with 16, 32 and 64 channels."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1, self.bn1, self.relu = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        self.layer1 = nn.Sequential(*(Block(16, 16, 1) for _ in range(blocks)))
        self.layer2 = nn.Sequential(*(Block(32 if i else 16, 32, 1 if i else 2) for i in range(blocks)))
        self.layer3 = nn.Sequential(*(Block(64 if i else 32, 64, 1 if i else 2) for i in range(blocks)))
        self.pool, self.flatten, self.linear = nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, 10)

    def forward(self, values: Tensor) -> Tensor:
        """Images [batch, 3, 32, 32] to logits [batch, 10]."""
        values = self.relu(self.bn1(self.conv1(values)))
        return self.linear(self.flatten(self.pool(self.layer3(self.layer2(self.layer1(values))))))


def with_layers_alone(network: nn.Module) -> nn.Module:
    """The same network with its sliced shortcuts written as fixed convolutions, for converters that know no slices."""
    for block in network.modules():
        if isinstance(block, Block) and isinstance(block.shortcut, PaddedSlice):
            inputs, padding = block.conv1.in_channels, block.shortcut.padding
            copying = nn.Conv2d(inputs, 2 * inputs, 1, 2, bias=False)
            with torch.no_grad():
                copying.weight.zero_()
                copying.weight[padding : padding + inputs] = torch.eye(inputs)[:, :, None, None]
            block.shortcut = copying
    return network.eval()


def pretrained(depth: int, folder: Path) -> nn.Module:
    """A network with its published weights, in eval mode."""
    (file,) = folder.glob(f"resnet{depth}-*.th")
    state = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
    network = ResNet(depth)
    network.load_state_dict({name.removeprefix("module."): tensor for name, tensor in state.items()})
    return network.eval()


def normalised(images: Tensor) -> Tensor:
    """Images in [0, 1] as the networks expect them."""
    mean, deviation = (torch.tensor(numbers).reshape(1, 3, 1, 1) for numbers in (MEAN, DEVIATION))
    return (images - mean) / deviation


def calibration_and_test(samples: int, *, test: int = 10_000) -> tuple[Tensor, Tensor, Tensor]:
    """The first training images and their mirror images (normalised), and the first test images with their labels."""
    split = load("cifar-10", validation=0.1)
    images, labels = split.test[:test]
    calibration = split.train[:samples][0]
    return normalised(torch.cat([calibration, calibration.flip(3)])), normalised(images), labels
