"""Many small layers side by side, computed together."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GroupedLinear(nn.Module):
    """A linear layer for each of several groups of units, which do not see each other:  y_k = W_k x_k + b_k.

    The same numbers as one ``nn.Linear`` with a block-diagonal matrix (:meth:`as_linear`), without its zeros.

    Args:
        weight: [groups, outputs, inputs].
        bias: [groups, outputs].

    Shapes:  [batch, groups * inputs] -> [batch, groups * outputs].

    >>> layer = GroupedLinear(torch.ones(2, 1, 3), torch.zeros(2, 1))
    >>> layer(torch.arange(6.0)[None]).tolist(), layer.as_linear()(torch.arange(6.0)[None]).tolist()
    ([[3.0, 12.0]], [[3.0, 12.0]])
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, values: Tensor) -> Tensor:
        groups, _, inputs = self.weight.shape
        apart = values.reshape(len(values), groups, inputs).transpose(0, 1)
        product = torch.baddbmm(self.bias[:, None], apart, self.weight.transpose(1, 2))
        return product.transpose(0, 1).flatten(1)

    def as_linear(self) -> nn.Linear:
        """The same layer as one matrix."""
        groups, outputs, inputs = self.weight.shape
        blocks = self.weight.new_zeros(groups, outputs, groups, inputs)
        blocks[torch.arange(groups), :, torch.arange(groups)] = self.weight.detach()
        return linear(blocks.reshape(groups * outputs, -1), self.bias.detach().flatten())

    def extra_repr(self) -> str:
        groups, outputs, inputs = self.weight.shape
        return f"groups={groups}, inputs={inputs}, outputs={outputs}"


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """A layer with given numbers: [units, inputs], [units]."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer
