"""Values cut into pieces that arrive one after another."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .samples import Reader
from .split import Split


def in_chunks(split: Split, *, time_steps: int) -> Split:
    """The same samples, flattened and cut into T pieces of equal length: sequential MNIST is ``load("mnist")`` so cut.

    Args:
        split: of values without steps, such as images.
        time_steps: T, number of pieces (>= 1); it divides the numbers in a value.

    Shapes:  values [*unit] -> [time, numbers / T].
    Raises:  ValueError: values that cannot be cut into T equal pieces.
    Source:  arXiv 2605.08022; row by row and pixel by pixel (T = 28, 784), Le et al., arXiv 1504.00941.

    >>> from spikebridge.data import digits
    >>> in_chunks(digits(), time_steps=4).train[0][0].shape
    torch.Size([4, 16])
    """
    size = split.train[0][0].numel()
    if time_steps < 1 or size % time_steps:
        raise ValueError(
            f"in_chunks cuts values of {size} numbers into equal pieces; got time_steps={time_steps}. Take a divisor "
            f"of {size}."
        )
    return Split(*(part.reading(_Chunks(part.read, time_steps)) for part in split))


@dataclass(frozen=True, eq=False)
class _Chunks:
    read: Reader
    time_steps: int

    def __call__(self, rows: Tensor) -> Tensor:
        values = self.read(rows)
        return values.reshape(len(values), self.time_steps, -1)
