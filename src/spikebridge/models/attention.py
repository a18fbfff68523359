"""Spiking self-attention: queries, keys and values are spikes, and there is no softmax."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..neurons import GroupNeuron
from .bits import sends_bits
from .lift import lift_for

SCALE = 0.125
"""By which the sum over tokens is multiplied, at every width."""


class AttentionProduct(nn.Module):
    """scale * (Q K^T) V for each head, without softmax.

    Tokens are the pixels of a map, and heads are groups of its channels. Without softmax the product may be taken in
    either order, (Q K^T) V in N^2 d steps and Q (K^T V) in N d^2, for N tokens and d channels a head: the same up to
    rounding, and the same to the last bit for spikes, whose sums are whole numbers below 2^24. In bfloat16 the inner
    product must be exact for that: up to 256 channels a head, or 256 tokens.

    Args:
        heads: groups of channels.
        scale: factor, a power of two so that it rounds nothing.
        keys_first: take Q (K^T V), which is less where there are more tokens than channels a head.

    Shapes:  three maps [*, channels, height, width] -> [*, channels, height, width], time among the leading axes.
    Source:  Zhou et al., arXiv 2209.15425.
    """

    def __init__(self, *, heads: int, scale: float = SCALE, keys_first: bool = True) -> None:
        super().__init__()
        self.heads, self.scale, self.keys_first = heads, scale, keys_first

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        # [*, heads, channels of one, tokens]: with tokens last, (Q K^T) V is V (K^T Q).
        queries, keys, values = (
            torch.unflatten(part.flatten(-2), -2, (self.heads, -1)) for part in (query, key, value)
        )
        transposed = keys.transpose(-2, -1)
        if self.keys_first:
            mixed = torch.matmul(torch.matmul(values, transposed), queries)
        else:
            mixed = torch.matmul(values, torch.matmul(transposed, queries))
        return (mixed * self.scale).reshape(query.shape)

    def extra_repr(self) -> str:
        return f"heads={self.heads}, scale={self.scale:g}, keys_first={self.keys_first}"


class SelfAttention(nn.Module):
    """activation(norm(linear(attended))),  attended = attention_activation(scale * (Q K^T) V),

    where each of Q, K, V is activation(norm(linear(x))). A linear layer on every token is a convolution of 1x1 on the
    map of tokens, so channels are on axis 1 of a step here as everywhere.

    Args:
        width: channels of a token.
        heads: groups of channels that attend by themselves.
        tokens: about how many there are; decides the order of the product.
        activation: makes the activation, or the neuron.
        attention: makes the one behind the product.

    Shapes:  [*, batch, width, height, width] -> the same.
    """

    def __init__(
        self,
        width: int,
        *,
        heads: int,
        tokens: int,
        activation: Callable[[], nn.Module],
        attention: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        self.query = token_layer(width, width, activation)
        self.key = token_layer(width, width, activation)
        self.value = token_layer(width, width, activation)
        self.product = AttentionProduct(heads=heads, keys_first=tokens > width // heads)
        self.activation = attention()
        self.projection = token_layer(width, width, activation)

    def forward(self, values: Tensor) -> Tensor:
        """On values or on trains."""
        attended = self.product(self.query(values), self.key(values), self.value(values))
        projected: Tensor = self.projection(self.activation(attended))
        return projected


def token_layer(in_channels: int, channels: int, activation: Callable[[], nn.Module]) -> nn.Sequential:
    """A linear layer on every token, a norm over all of them, an activation."""
    made = activation()
    linear = nn.Conv2d(in_channels, channels, 1)
    nn.init.trunc_normal_(linear.weight, std=0.02)
    nn.init.zeros_(linear.bias)  # type: ignore[arg-type]
    return nn.Sequential(lift_for(made)(linear, nn.BatchNorm2d(channels)), made)


def at_half_threshold(activation: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """Makes the same, but for neurons of bits with half the threshold, as behind the published attention.

    A ReLU has no threshold, and that of QCFS or a Group Neuron says how large its values get, not when it fires: they
    are left as they are.

    >>> from spikebridge import LIF
    >>> at_half_threshold(LIF)().threshold.item()
    0.5
    """

    def made() -> nn.Module:
        neuron = activation()
        threshold = dict(neuron.named_buffers(recurse=False)).get("threshold")
        if threshold is not None and sends_bits(neuron) and not isinstance(neuron, GroupNeuron):
            threshold.mul_(0.5)
        return neuron

    return made
