"""Changes of images that torchvision knows, each image with draws of its own."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

Policy = Literal["rand-augment", "trivial-augment", "auto-augment"]


@dataclass(frozen=True)
class EachImage:
    """Apply a transform to every image of a batch by itself, so that each draws for itself.

    torchvision draws once for all it is given at a time. Draws come from torch's generator of the CPU, so a seed
    repeats them on any device.

    Args:
        transform: from an image to an image of the same shape.

    Shapes:  [batch, channels, height, width] -> the same.
    """

    transform: Callable[[Tensor], Tensor]

    def __call__(self, images: Tensor) -> Tensor:
        """The batch, image by image."""
        return torch.stack([self.transform(image) for image in images])


def policy(name: Policy, *, operations: int = 1, magnitude: int = 9) -> EachImage:
    """An augmentation policy for images in [0, 1], which stay there; pixels that move in from outside are 0.

    Nothing is normalised before it, and nothing need be after it: codes take pixels in [0, 1].

    Args:
        name: "rand-augment": some operations of one magnitude; "trivial-augment": one, of any magnitude;
            "auto-augment": the pairs that were found for CIFAR-10.
        operations: of "rand-augment", one after the other (>= 1).
        magnitude: of "rand-augment", in [0, 30].

    Shapes:  [batch, channels, height, width] -> the same; 1 or 3 channels.
    Raises:  ValueError: torchvision is not installed.
    Source:  Cubuk et al., arXiv 1909.13719 (rand-augment) and arXiv 1805.09501 (auto-augment); Müller and Hutter,
        arXiv 2103.10158 (trivial-augment); all as torchvision has them.
    """
    vision = _vision()
    if name == "rand-augment":
        return EachImage(vision.RandAugment(num_ops=operations, magnitude=magnitude))
    if name == "trivial-augment":
        return EachImage(vision.TrivialAugmentWide())
    return EachImage(vision.AutoAugment(vision.AutoAugmentPolicy.CIFAR10))


def erasing(probability: float) -> EachImage:
    """Set a rectangle of 2 to 33 % of an image to 0, with some probability.

    Args:
        probability: that an image loses one, in [0, 1].

    Shapes:  [batch, channels, height, width] -> the same.
    Raises:  ValueError: torchvision is not installed.
    Source:  Zhong et al., arXiv 1708.04896, as torchvision has it.
    """
    return EachImage(_vision().RandomErasing(p=probability))


def _vision() -> Any:
    try:
        return importlib.import_module("torchvision.transforms.v2")
    except ImportError as error:
        raise ValueError(
            "Augmentation policies and erasing are torchvision's, which is not installed. Run "
            "`pip install spikebridge[vision]`."
        ) from error
