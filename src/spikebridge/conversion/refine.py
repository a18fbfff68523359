"""Weights corrected in closed form: what a layer makes of spikes, brought close to what it made of real numbers."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from .nodes import called
from .plan import Plan

POSITIONS = 8
"""Positions along each side of a map that the equations are gathered at; neighbours tell little news."""
SAMPLES_AT_ONCE = 8
RIDGE, RIDGE_OF_LAST = 0.02, 0.1
OUTSIDE, ROUNDS, STRIDE = 0.1, 4, 1.5
"""Weight of positions where neither network is active; rounds that account for the rectifier, and their length."""
_ALONG = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True)
class Feeding:
    """The layer of weights whose output arrives at a site, through a BatchNorm and sums at most.

    Attributes:
        node: the layer's call.
        layer: the layer; it is called nowhere else.
        scale: [channels] what its output is multiplied by on the way.
    """

    node: fx.Node
    layer: nn.Conv2d | nn.Linear
    scale: Tensor


def feeding(arrives: fx.Node, traced: fx.GraphModule, plan: Plan) -> Feeding | None:
    """The layer that feeds a site, if its correction would reach that site and nothing else."""
    layer = _follow(arrives, traced, plan, None)
    if layer is None:
        return None
    calls = sum(node.op == "call_module" and node.target == layer.node.target for node in traced.graph.nodes)
    return layer if calls == 1 else None


def _follow(node: fx.Node, traced: fx.GraphModule, plan: Plan, scale: Tensor | None) -> Feeding | None:
    entry = plan.get(node)
    if entry is None or entry.way != "steps" or len(node.users) != 1:
        return None
    module = called(node, traced)
    if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and _is_plain(module)):
        channels = module.weight.shape[0]
        return Feeding(node, module, module.weight.new_ones(channels) if scale is None else scale)
    if isinstance(module, _ALONG) and scale is None and module.running_var is not None:
        factor = torch.rsqrt(module.running_var + module.eps)
        factor = factor if module.weight is None else factor * module.weight
        return _follow(entry.site.data[0], traced, plan, factor.detach())
    if entry.rule.name == "add, subtract" and len(entry.site.data) == 2 and "sub" not in entry.site.operation:
        found = (_follow(each, traced, plan, scale) for each in entry.site.data)
        return next((layer for layer in found if layer is not None), None)
    return None


def _is_plain(layer: nn.Conv2d) -> bool:
    return layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


@dataclass(frozen=True)
class Change:
    """What is added to a layer: [inputs, channels] to its weights as the site sees them, [channels] to its bias."""

    weights: Tensor
    bias: Tensor


def least_squares_change(
    fed: Feeding,
    inputs: Sequence[Tensor],
    currents: Sequence[Tensor],
    wanted: Sequence[Tensor],
    *,
    rectified: bool,
    ridge: float,
) -> Change:
    """The change of a layer that brings the currents at its site close to those of the network:

        min over D of  sum w (wanted - current - p D)^2 + ridge |D|^2,    p = the layer's input at a position, and 1

    For a rectifier, positions where both are inactive count little, and where only the current is active it should be
    0: a few rounds of the same normal equations with such residuals, factorised once for all channels.

    Source:  layer-wise reconstruction with a rectifier in mind, Zhang et al., arXiv 1505.06798.
    Deviates:  all channels share one matrix; the rounds replace weighted equations of each channel.
    """
    rows = list(_rows(fed.layer, inputs, currents, wanted))
    size = rows[0][0].shape[1]
    gram = torch.zeros(size, size, dtype=torch.float64, device=rows[0][0].device)
    for patches, _, _ in rows:
        gram += (patches.T @ patches).double()
    strength = ridge * gram.diagonal()[:-1].mean().clamp(min=1e-12)
    factor = torch.linalg.cholesky(gram + strength * torch.eye(size, dtype=gram.dtype, device=gram.device))
    change = gram.new_zeros(size, len(fed.scale))
    for turn in range(1 + (ROUNDS if rectified else 0)):
        sums = torch.zeros_like(change)
        for patches, current, target in rows:
            now = current + patches @ change.to(patches.dtype)
            sums += (patches.T @ (_residual(target, now) if turn else target - now)).double()
        step = torch.cholesky_solve(sums - strength * change, factor)
        change = change + (STRIDE if turn else 1.0) * step
    change = change.to(rows[0][0].dtype)
    change[:, fed.scale.abs() < 1e-6] = 0.0  # what is multiplied by nothing cannot be corrected
    return Change(change[:-1], change[-1])


def _residual(target: Tensor, now: Tensor) -> Tensor:
    off = torch.where(now > 0, -now, OUTSIDE * (target - now))
    return torch.where(target > 0, target - now, off)


def _rows(
    layer: nn.Conv2d | nn.Linear, inputs: Sequence[Tensor], currents: Sequence[Tensor], wanted: Sequence[Tensor]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Equations: what goes in at a position and 1, the current there, and what it should be."""
    for turn, parts in enumerate(zip(inputs, currents, wanted, strict=True)):
        if isinstance(layer, nn.Linear):
            patches, current, target = (part.flatten(0, -2) for part in parts)
        else:
            patches, current, target = _at_positions(layer, *parts, turn)
        yield torch.cat([patches, patches.new_ones(len(patches), 1)], 1), current, target


def _at_positions(
    layer: nn.Conv2d, values: Tensor, current: Tensor, target: Tensor, turn: int
) -> tuple[Tensor, Tensor, Tensor]:
    height, width = current.shape[2:]
    grid = torch.arange(height * width, device=values.device).reshape(height, width)
    rows, columns = max(1, height // POSITIONS), max(1, width // POSITIONS)
    chosen = grid[turn % rows :: rows, turn // rows % columns :: columns].flatten()
    settings: Any = (layer.kernel_size, layer.dilation, layer.padding, layer.stride)
    patches = [F.unfold(part, *settings)[:, :, chosen].transpose(1, 2) for part in torch.split(values, SAMPLES_AT_ONCE)]
    flat = torch.cat(patches).flatten(0, 1)
    now, wanted = (part.flatten(2)[:, :, chosen].transpose(1, 2).flatten(0, 1) for part in (current, target))
    return flat, now, wanted


def changed_current(fed: Feeding, change: Change, values: Tensor, current: Tensor) -> Tensor:
    """The current at the site after the change."""
    if isinstance(fed.layer, nn.Linear):
        return current + F.linear(values, change.weights.T, change.bias)
    layer, kernel = fed.layer, change.weights.T.reshape(fed.layer.weight.shape)
    return current + F.conv2d(values, kernel, change.bias, layer.stride, layer.padding, layer.dilation)


def changed_layer(fed: Feeding, change: Change, *, with_bias: bool) -> nn.Module:
    """A copy of the layer with the change in its weights, and in its bias if asked."""
    layer = copy.deepcopy(fed.layer)
    with torch.no_grad():
        divisor = torch.where(fed.scale.abs() < 1e-6, 1.0, fed.scale)
        layer.weight += (change.weights / divisor).T.reshape(layer.weight.shape)
        if with_bias:
            bias = change.bias / divisor
            layer.bias = nn.Parameter(bias if layer.bias is None else layer.bias + bias)
    return layer
