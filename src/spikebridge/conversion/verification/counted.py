"""An activation of whole levels, counted over time in integers: what a converted network's neuron must do."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...core.shapes import Value, along_channels

PARTS = 16
"""Currents are rounded to this fraction of a level before they are counted, in both networks: one in so many then lies
on a tie, where >= and > part, and all sums over time are sums of small whole numbers."""

_LIMIT = 1 << 24
"""Currents beyond so many parts are clipped there, far above any neuron's last level, so that floats hold them."""


class Counts(NamedTuple):
    """What a site has received, in parts of a level, and sent, in levels."""

    received: Tensor
    sent: Tensor


def in_parts(currents: Tensor, level: Tensor) -> Tensor:
    """Currents in parts of a level, as whole numbers."""
    return (currents / (level / PARTS)).round().clamp(-_LIMIT, _LIMIT)


class Counted(nn.Module):
    """Stands where a network has an activation of ``members`` levels, and counts in int64:

        N(t) = clip(floor(S(t) + 1/2), low(t), N(t - 1) + members),    S(t) = everything received so far, in levels

    where low(t) is N(t - 1), or max(0, N(t - 1) - members) for ``signed`` neurons, or N(t - 1) - members for
    ``negative`` ones. In the first step it is the activation. The formula says nothing of membranes and thresholds.

    Args:
        name: of the activation.
        level: u, what one count stands for; a number, or one per channel.
        members: by how many levels the count may rise in one step.
        signed: it may fall, but not below zero.
        negative: it may fall below zero.
        bias: added to what arrives.
        visited: called for every value that arrives; gives what is sent.

    Source:  the recursion follows from the definition of the Group Neuron (Lv et al., arXiv 2402.19061).
    """

    level: Tensor
    bias: Tensor | None

    def __init__(
        self, name: str, *, level: Tensor, members: int, signed: bool, negative: bool, bias: Tensor | None
    ) -> None:
        super().__init__()
        self.register_buffer("level", level)
        self.register_buffer("bias", bias)
        self.name, self.members, self.signed, self.negative = name, members, signed, negative
        self.visited: Callable[[Value], Value] | None = None

    def forward(self, values: Value) -> Value:
        assert self.visited is not None, "nobody listens"
        return self.visited(values)

    def current(self, values: Value) -> Tensor:
        """What arrives at the activation itself."""
        return values if self.bias is None else values + along_channels(self.bias, values)

    def count(self, currents: Tensor, so_far: Counts | None) -> tuple[Tensor, Counts]:
        """Levels sent in one step, and the totals after it."""
        parts = in_parts(currents, along_channels(self.level, currents)).to(torch.int64)
        received, sent = (parts, torch.zeros_like(parts)) if so_far is None else (so_far.received + parts, so_far.sent)
        rounded = torch.div(2 * received + PARTS, 2 * PARTS, rounding_mode="floor")
        total = torch.minimum(torch.maximum(rounded, self._low(sent)), sent + self.members)
        return total - sent, Counts(received, total)

    def _low(self, sent: Tensor) -> Tensor:
        if self.negative:
            return sent - self.members
        return (sent - self.members).clamp(min=0) if self.signed else sent

    def random(self, like: Tensor, draw: torch.Generator) -> Tensor:
        """Counts from the whole range of one step, half of them zero."""
        low = -self.members if self.negative else 0
        counts = torch.randint(low, self.members + 1, like.shape, generator=draw)
        return counts * torch.randint(0, 2, like.shape, generator=draw)

    def send(self, counts: Tensor) -> Tensor:
        """What so many levels stand for."""
        return counts * along_channels(self.level, counts)
