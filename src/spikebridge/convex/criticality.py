"""Weights just large enough that activity neither dies out from layer to layer nor runs away."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.encoder import Encoder
from ..core.modes import in_mode
from .snapping import OnGrid
from .witnesses import NeuronFactory, gaussian_witness, slow_lif

HALVINGS = 12
"""Of the interval of scales, whose ends lie a factor of 2^20 apart."""

TOLERANCE = 0.1
"""How far from the rate a layer may end up, relative to it."""


def critical_scaling(
    values: Tensor,
    *,
    encoder: Encoder,
    widths: Sequence[int],
    rate: float | None = None,
    neuron: NeuronFactory = slow_lif,
    grid: OnGrid | None = None,
    branches: int = 32,
    seed: int = 0,
) -> tuple[float, ...]:
    """For each layer the sigma at which its units fire as often as what they listen to: a branching ratio of 1.

    sigma_l:  mean spikes of layer l = mean spikes of layer l - 1, per unit and step, on the given values.

    Found layer by layer, by bisection, on branches of its own; it depends on the values and the seed alone, not on how
    many branches are drawn with it afterwards.

    Args:
        values: a few hundred samples.
        encoder: turns them into the train.
        widths: of one branch, as for :func:`~spikebridge.convex.witnesses.gaussian_witness`.
        rate: what all layers shall have; None is that of the encoder's train, which must then be of spikes.
        neuron: makes the neurons of a layer.
        grid: rounds the inputs.
        branches: how many are tried.
        seed: of their weights.

    Raises:  ValueError: a rate outside (0, 1), no rate with an analog encoder, or a rate that a layer does not reach.
    Source:  Beggs & Plenz, J. Neurosci. 2003 (branching ratio); for witnesses, the tuned reservoirs in the code of
        arXiv 2605.08022, which search leak, threshold and input scale instead.
    """
    with torch.no_grad(), in_mode(encoder, training=False):
        train = encoder(values).flatten(2)
    if rate is None and not encoder.is_binary:
        raise ValueError("critical_scaling expects a rate where the encoder's train is analog, such as rate=0.1.")
    target = float(train.mean()) if rate is None else rate
    if not 0.0 < target < 1.0:
        raise ValueError(f"critical_scaling expects a rate in (0, 1); got {target:g}.")

    def measured(scales: Sequence[float]) -> float:
        network = gaussian_witness(
            train.shape[2],
            tuple(widths[: len(scales)]),
            branches=branches,
            scaling=scales,
            neuron=neuron,
            grid=grid,
            seed=seed,
        )
        return float(network(train).mean())

    found: list[float] = []
    for _ in widths:
        low, high = -10.0, 10.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if measured([*found, 2.0**middle]) > target else (middle, high)
        found.append(2.0**high)
        reached = measured(found)
        if abs(reached - target) > TOLERANCE * target:
            raise ValueError(
                f"critical_scaling finds no scale at which layer {len(found)} fires at a rate of {target:g}; nearest "
                f"is {reached:g}. Take another rate, more branches, or a neuron of slower decay."
            )
    return tuple(found)
