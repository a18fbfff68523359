"""A change of a batch that ends with an epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Until:
    """Mix values and targets in the first epochs, and hand them on unchanged after these.

    Args:
        mix: changes a batch of values and targets, such as :class:`Mixup`.
        epochs: how many epochs are mixed.
        now: the epoch at hand, from 0; of a ``Learner``: ``lambda: learner.current_epoch``.

    >>> add = Until(lambda values, targets: (values + 1, targets), epochs=2, now=lambda: 2)
    >>> add(torch.zeros(1), torch.zeros(1))[0].item()
    0.0
    """

    mix: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    epochs: int
    now: Callable[[], int]

    def __call__(self, values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The batch, mixed or not."""
        return self.mix(values, targets) if self.now() < self.epochs else (values, targets)
