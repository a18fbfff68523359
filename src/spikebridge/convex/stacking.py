"""Layer upon layer: what a convex readout chose of one layer is what the next layer sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from .reconstruct import Solved, pruned, units_read

Draw = Callable[[int, int, int], nn.Sequential]
"""(inputs, units, layer) -> one layer of witnesses: ``OverTime(nn.Linear(inputs, units))`` and a neuron."""
Solve = Callable[[nn.Sequential], "Solved | Sequence[Solved]"]
"""Witnesses -> the readout solved on what their last layer sends, or one for each question."""


def stacked(inputs: int, *, widths: Sequence[int], draw: Draw, solve: Solve, slots: int = 1) -> nn.Sequential:
    """Witnesses of several layers, each drawn on those units of the layer below that a readout uses.

    For each layer but the last: draw units on what is below, solve a readout on their spikes, and keep the units with a
    weight that is not zero. So every layer is chosen by a convex problem of its own; that the layers are best for each
    other is not claimed. Where a readout uses no unit, one stays.

    Args:
        inputs: numbers at a step.
        widths: units that are drawn for each layer, first to last.
        draw: makes a layer.
        solve: solves a readout on witnesses; :func:`~spikebridge.convex.fit_sparse` on their features, say.
        slots: features that the readout has of each unit.

    Raises:  ValueError: no width.
    Source:  greedy training layer by layer, Bengio et al., NeurIPS 2006, with convex problems of arXiv 2605.08022.
    """
    if not widths:
        raise ValueError("stacked expects a width for each layer; got none.")
    network = draw(inputs, widths[0], 0)
    for layer, width in enumerate(widths[1:], start=1):
        kept = torch.from_numpy(units_read(solve(network), slots=slots))
        chosen = pruned(network[-2:], kept)  # what is below stays whole: it has been chosen already
        network = nn.Sequential(*network[:-2], *chosen, *draw(len(kept), width, layer))
    return network
