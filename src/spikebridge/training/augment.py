"""Changes of a whole batch of images that leave their class as it is; drawn on the batch's own device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, kw_only=True)
class CropFlip:
    """Shift every image by up to ``padding`` pixels each way, filling with zeros, and mirror half of them.

    Each image draws its own shift and side.

    Args:
        padding: the largest shift, in pixels (>= 0).
        flip: whether to mirror left and right.

    Shapes:  [batch, channels, height, width] -> the same.
    Source:  the usual CIFAR recipe; He et al., CVPR 2016, section 4.2.
    """

    padding: int = 4
    flip: bool = True

    def __call__(self, images: Tensor) -> Tensor:
        """The batch, shifted and mirrored."""
        batch, _, height, width = images.shape
        offsets = torch.randint(2 * self.padding + 1, (2, batch), device=images.device)
        rows = offsets[0, :, None] + torch.arange(height, device=images.device)
        columns = offsets[1, :, None] + torch.arange(width, device=images.device)
        if self.flip:
            mirrored = torch.rand(batch, device=images.device) < 0.5
            columns = torch.where(mirrored[:, None], columns.flip(1), columns)
        padded = F.pad(images, [self.padding] * 4)
        samples = torch.arange(batch, device=images.device)[:, None, None]
        # Advanced indices around a slice put the channels last; the result is channels-last in memory, too.
        return padded[samples, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


class Chain:
    """One change after another.

    Args:
        changes: each from a batch of images to the same.

    >>> Chain(lambda images: images + 1, lambda images: images * 2)(torch.zeros(1)).item()
    2.0
    """

    def __init__(self, *changes: Callable[[Tensor], Tensor]) -> None:
        self.changes = changes

    def __call__(self, images: Tensor) -> Tensor:
        """The batch, changed."""
        for change in self.changes:
            images = change(images)
        return images
