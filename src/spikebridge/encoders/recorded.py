"""No code: the train as it was recorded."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from ..core.encoder import Encoder
from ..core.shapes import SpikeTrain, Value

Counts = Literal["kept", "scaled", "clipped", "binary"]


class Recorded(Encoder):
    """Take values that have steps of their own, such as the frames of an event camera:  s_t = f(x[:, t]).

    By ``counts``, of c events at a place in a frame:

    - ``kept``: f(c) = c;  ``scaled``: f(c) = c / largest;  ``clipped``: f(c) = min(c, largest);
    - ``binary``: f(c) = 1 if c > 0, else 0.

    The layer that receives the train accumulates and never multiplies, as long as counts are whole numbers: once for
    every event, or once for all of a frame's at a place if they are "binary".

    No code of a value, and not among ``ENCODERS``: the train has what the recording has. It decodes, as every train of
    equal weights does, to the mean of its steps, w_t = 1 / T: how many events a frame has.

    Args:
        time_steps: T, number of frames in a recording (>= 1).
        counts: which of these.
        largest: of "scaled" and "clipped", in events a frame (> 0).

    Attributes:
        spike_value: what one event adds to an entry of the train:  1 / largest if "scaled", else 1.

    Shapes:  values [batch, time, *unit] -> train [time, batch, *unit].
    Raises:
        TypeError: values that are not floating point.
        ValueError: recordings of another number of frames; NaN or infinite values; unknown counts.
    Source:  events summed into frames, as in Fang et al., arXiv 2007.05785; what becomes of the sums is our choice.

    >>> frames = torch.tensor([[[2.0], [0.0], [5.0]]])  # one recording of three frames of one pixel
    >>> Recorded(time_steps=3, counts="binary").encode(frames).flatten().tolist()
    [1.0, 0.0, 1.0]
    """

    is_binary = False

    def __init__(self, *, time_steps: int = 10, counts: Counts = "kept", largest: float = 1.0) -> None:
        super().__init__(time_steps=time_steps, value_range=None)
        if counts not in get_args(Counts):
            known = ", ".join(map(repr, get_args(Counts)))
            raise ValueError(f"Recorded expects counts to be one of {known}; got {counts!r}.")
        if not 0.0 < largest < float("inf"):
            raise ValueError(f"Recorded expects largest > 0 and finite; got {largest}. Pass a number of events.")
        self.counts, self.largest = counts, largest
        self.is_binary = counts == "binary"
        self.spike_value = 1.0 / largest if counts == "scaled" else 1.0

    def encode(self, values: Value) -> SpikeTrain:
        """Check the recordings and put time first."""
        if isinstance(values, Tensor) and (values.ndim < 2 or values.shape[1] != self.time_steps):
            raise ValueError(
                f"Recorded expects recordings [batch, time={self.time_steps}, *unit]; got shape {tuple(values.shape)}. "
                f"Load them with time_steps={self.time_steps}; values without steps of their own need a code."
            )
        return super().encode(values)

    def emit(self, values: Value) -> SpikeTrain:
        train = values.transpose(0, 1)
        if self.counts == "binary":
            return (train > 0).to(train.dtype)
        if self.counts == "scaled":
            return train * self.spike_value
        return train.clamp(max=self.largest) if self.counts == "clipped" else train

    @property
    def step_weights(self) -> Tensor:
        return torch.full((self.time_steps,), 1.0 / self.time_steps)

    def extra_repr(self) -> str:
        return f"time_steps={self.time_steps}, counts={self.counts}, largest={self.largest:g}"
