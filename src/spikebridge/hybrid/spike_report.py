"""Measures what the hybrid blocks of a network send and cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from ..blocks.hybrid import Fusion, HybridBlock, Mode
from ..core.encoder import Encoder
from ..core.neuron import Neuron
from ..core.shapes import SpikeTrain, Value
from ..measure.costs import HOROWITZ_45NM, EnergyCosts
from ..measure.layer import LayerOperations
from ..measure.operations import count_operations
from ..measure.spikes import spike_counts
from .block_spikes import BlockSpikes, SpikeReport


def spike_report(model: nn.Module, batch: Value, *, costs: EnergyCosts = HOROWITZ_45NM) -> SpikeReport:
    """Spike rates, operations, energy and clipping of every HybridBlock, in one forward in eval mode.

    Operations are those of :func:`count_operations`. Decoding counts: each spike that a block's core sends is
    accumulated once more, weighed; where the core sends analog numbers each is multiplied. Activations, norms, gates
    and the neurons' own updates are not counted, in either branch. "analog MAC" is what the core's layers would do with
    analog numbers, once.

    Args:
        model: a network with hybrid blocks, such as :func:`hybridize` makes. It is left as it was.
        batch: what it takes, [batch, *unit].
        costs: the prices.

    Raises:  ValueError: no HybridBlock, or one that the forward does not reach; see :func:`count_operations` as well.

    >>> from spikebridge.hybrid import hybridize
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.Linear(8, 8), nn.ReLU()), nn.Linear(8, 2))
    >>> report = spike_report(hybridize(net, "1"), torch.rand(16, 4))
    >>> report.blocks[0].block, report.blocks[0].analog_multiplies, report.multiplies
    ('1', 64.0, 112.0)
    """
    if not isinstance(batch, Tensor):
        raise TypeError(f"spike_report expects one batch as a tensor; got {type(batch).__name__}.")
    model = getattr(model, "_orig_mod", model)
    blocks = {name: part for name, part in model.named_modules() if isinstance(part, HybridBlock)}
    if not blocks:
        raise ValueError(
            f"spike_report expects a network with a HybridBlock, as hybridize makes it; {type(model).__name__} has "
            f"none. For networks that spike as a whole: count_operations."
        )
    with ExitStack() as stack:
        watches = {name: _Watch(block, stack) for name, block in blocks.items()}
        operations = count_operations(model, batch)
    unseen = [f"'{name}'" for name, watch in watches.items() if not watch.values]
    if unseen:
        raise ValueError(f"spike_report saw no value arrive at {', '.join(unseen)}. Does the model's forward call it?")
    fusions = {id(part.spiking): (name, part) for name, part in model.named_modules() if isinstance(part, Fusion)}
    found = [watches[name].told(name, fusions.get(id(block)), operations) for name, block in blocks.items()]
    return SpikeReport(blocks=tuple(found), operations=tuple(operations), samples=len(batch), costs=costs)


class _Watch:
    """What one block encodes and sends, added up over its calls."""

    def __init__(self, block: HybridBlock, stack: ExitStack) -> None:
        self.block = block
        self.values = 0
        self.sent = torch.zeros(block.encoder.time_steps, dtype=torch.float64)
        self.outside = [0, 0]
        self.ends = [math.inf, -math.inf]
        self.neurons: dict[str, list[float]] = {}
        stack.callback(block.encoder.register_forward_hook(self._encoded).remove)
        for name, part in block.core.named_modules():
            if isinstance(part, Neuron):
                stack.callback(part.register_forward_hook(self._spiked(name)).remove)

    def _encoded(self, encoder: Encoder, args: tuple[Value], train: SpikeTrain) -> None:
        values = args[0].detach()
        bounds = self._range(values)
        self.values += values.numel()
        self.sent += (train != 0).flatten(1).double().sum(1).cpu()
        self.ends = [min(self.ends[0], values.min().item()), max(self.ends[1], values.max().item())]
        if bounds is not None:
            for place, count in enumerate(((values < bounds[0]).sum(), (values > bounds[1]).sum())):
                self.outside[place] += int(count)

    def _spiked(self, name: str) -> Any:
        sums = self.neurons.setdefault(name, [0.0, 0.0])

        def hook(neuron: Neuron[Any], _: Any, output: SpikeTrain) -> None:
            sums[0] += spike_counts(neuron, output).abs().double().sum().item()
            sums[1] += output.numel()

        return hook

    def _range(self, values: Tensor) -> tuple[float, float] | None:
        encoder = self.block.encoder
        if not isinstance(encoder.value_range, tuple) and encoder.value_range != "running":
            return None
        bounds = encoder.bounds_of(values)
        return float(bounds.low), float(bounds.high)

    def told(self, name: str, fusion: tuple[str, Fusion] | None, operations: Sequence[LayerOperations]) -> BlockSpikes:
        """The block in numbers."""
        encoder, core = self.block.encoder, f"{name}.core".lstrip(".")
        within = _within(operations, name)
        spiking = _within(within, core)
        mode: Mode = "serial" if fusion is None else fusion[1].mode
        gate = fusion[1].gate if fusion is not None else None
        measured = encoder.measured
        return BlockSpikes(
            block=name if fusion is None else fusion[0],
            mode=mode,
            code=type(encoder).__name__,
            rates=tuple((self.sent / (self.values)).tolist()),
            neurons={neuron: spikes / entries for neuron, (spikes, entries) in self.neurons.items() if entries},
            spiking=spiking,
            decoding=tuple(layer for layer in within if layer not in spiking),
            analog=() if fusion is None else _within(operations, f"{fusion[0]}.analog".lstrip(".")),
            value_range=self._range(torch.zeros(1)),
            is_measured=measured is None or measured.of != "running" or int(measured.batches) > 0,
            lowest=self.ends[0],
            highest=self.ends[1],
            below=self.outside[0] / self.values,
            above=self.outside[1] / self.values,
            gate=None if gate is None else gate.item(),
        )


def _within(operations: Sequence[LayerOperations], name: str) -> tuple[LayerOperations, ...]:
    """The layers of the module of this name, and of what is in it."""
    return tuple(
        layer
        for layer in operations
        if not name or layer.layer.split("#")[0] == name or layer.layer.startswith(f"{name}.")
    )
