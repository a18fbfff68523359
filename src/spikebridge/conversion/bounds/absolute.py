"""Layers with their weights' signs removed, which is how widths of intervals pass through them."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


@torch.no_grad()
def absolute(layer: nn.Module) -> nn.Module:
    """A copy of a layer of weights that computes  |W| x,  without its bias.

    >>> layer = nn.Linear(2, 1)
    >>> _ = nn.init.constant_(layer.weight, -2.0)
    >>> absolute(layer)(torch.ones(1, 2)).item()
    4.0
    """
    twin = copy.deepcopy(layer)
    for name, parameter in twin.named_parameters():
        parameter.copy_(torch.zeros_like(parameter) if name == "bias" else parameter.abs())
    return twin


def has_plain_weights(layer: nn.Module) -> bool:
    """Whether the weight is a parameter of its own, not computed anew in every call (weight norm and its like)."""
    return "weight" in layer._parameters and not layer._forward_pre_hooks


def terms_of(weight: Tensor, *, transposed: bool) -> int:
    """How many products go into one output at most."""
    return weight.numel() // weight.shape[1 if transposed else 0]
