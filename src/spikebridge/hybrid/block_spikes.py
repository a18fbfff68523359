"""What hybrid blocks send and cost: plain numbers, and a table of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..blocks.hybrid import Mode
from ..measure.costs import EnergyCosts
from ..measure.layer import LayerOperations
from ..measure.statement import energy

_COLUMNS = (
    *("block", "mode", "code", "rate per step, %", "rate", "neurons", "AC", "MAC", "analog MAC", "spiking", "analog"),
    *("range", "seen", "below", "above"),
)


@dataclass(frozen=True, kw_only=True)
class BlockSpikes:
    """One hybrid block.

    Attributes:
        block: its name, or that of the Fusion it is in.
        mode: "serial", "add" or "gated".
        code: the encoder's class.
        rates: share of ones, or of what is not zero in a graded or analog code, at each step: of each plane.
        neurons: rate of each neuron of the core, in spikes per step, by its name in the core.
        spiking: operations of the core's layers.
        decoding: operations of the code and the decoder: one per spike that is weighed.
        analog: operations of the analog branch beside it; none in "serial".
        value_range: (low, high) as given or kept; None where it is read off the values themselves.
        is_measured: False for a running range that no training batch has been shown to.
        lowest, highest: ends of the values that were encoded.
        below, above: share of the values that lay outside of the range and were clipped.
        gate: the gate of "gated"; None elsewhere.
    """

    block: str
    mode: Mode
    code: str
    rates: tuple[float, ...]
    neurons: dict[str, float]
    spiking: tuple[LayerOperations, ...]
    decoding: tuple[LayerOperations, ...]
    analog: tuple[LayerOperations, ...]
    value_range: tuple[float, float] | None
    is_measured: bool
    lowest: float
    highest: float
    below: float
    above: float
    gate: float | None

    @property
    def rate(self) -> float:
        """Share of ones in the whole train."""
        return sum(self.rates) / len(self.rates)

    @property
    def accumulates(self) -> float:
        """SynOps: spikes that arrive at the core's layers and at the decoder, times their connections."""
        return operations_of("AC", (*self.spiking, *self.decoding))

    @property
    def multiplies(self) -> float:
        """MACs of the spiking branch: where what arrives is no spike."""
        return operations_of("MAC", (*self.spiking, *self.decoding))

    @property
    def analog_multiplies(self) -> float:
        """MACs of the core's layers run once with analog numbers: those that the block competes with."""
        return sum(layer.connections for layer in self.spiking)

    @property
    def is_silent(self) -> bool:
        """A neuron of the core, one for all units of a layer, has sent no spike."""
        return not all(self.neurons.values())

    def spiking_pj(self, costs: EnergyCosts) -> float:
        """Energy of the spiking branch."""
        return energy_of((*self.spiking, *self.decoding), costs)

    def analog_pj(self, costs: EnergyCosts) -> float:
        """Energy of the module that it stands beside, or in the place of."""
        return energy_of(self.analog, costs) if self.mode != "serial" else costs.mac_pj * self.analog_multiplies

    def to_dict(self, costs: EnergyCosts) -> dict[str, Any]:
        """The block as one row of plain numbers."""
        kept = [name for name in vars(self) if name not in ("spiking", "decoding", "analog")]
        derived = ("rate", "accumulates", "multiplies", "analog_multiplies", "is_silent")
        row = {name: getattr(self, name) for name in (*kept, *derived)}
        return row | {"spiking_pj": self.spiking_pj(costs), "analog_pj": self.analog_pj(costs)}


@dataclass(frozen=True, kw_only=True)
class SpikeReport:
    """All hybrid blocks of a network, per sample; prints as a table.

    Attributes:
        blocks: in the order of the network.
        operations: of every layer, those outside of blocks too.
        samples: how many it was measured on.
        costs: the prices.
    """

    blocks: tuple[BlockSpikes, ...]
    operations: tuple[LayerOperations, ...]
    samples: int
    costs: EnergyCosts

    @property
    def accumulates(self) -> float:
        """SynOps of all blocks."""
        return sum(block.accumulates for block in self.blocks)

    @property
    def multiplies(self) -> float:
        """MACs of the whole network: analog branches and layers outside of blocks included."""
        return operations_of("MAC", self.operations)

    @property
    def spiking_pj(self) -> float:
        """Energy of the spiking branches."""
        return sum(block.spiking_pj(self.costs) for block in self.blocks)

    @property
    def energy_pj(self) -> float:
        """Energy of one inference of the whole network."""
        return energy_of(self.operations, self.costs)

    @property
    def analog_pj(self) -> float:
        """Energy of the network that has the analog branches, or analog twins, alone."""
        replaced = sum(block.analog_pj(self.costs) for block in self.blocks if block.mode == "serial")
        return self.energy_pj - self.spiking_pj + replaced

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row of plain numbers for each block."""
        return [block.to_dict(self.costs) for block in self.blocks]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers and words, which JSON can hold."""
        names = ("samples", "accumulates", "multiplies", "spiking_pj", "energy_pj", "analog_pj")
        return {name: getattr(self, name) for name in names} | {"blocks": self.rows, "prices": self.costs.technology}

    def __str__(self) -> str:
        rows = [_COLUMNS, *(_cells(block, self.costs) for block in self.blocks)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], "", *self.summary])

    @property
    def summary(self) -> tuple[str, ...]:
        """What has to be said of the whole."""
        costs, ratio = self.costs, self.energy_pj / self.analog_pj if self.analog_pj else float("nan")
        return (
            f"Per sample, over {self.samples}: {self.accumulates:,.0f} AC in {len(self.blocks)} blocks, "
            f"{self.multiplies:,.0f} MAC in the network. Prices: {costs.technology} ({costs.source}): {costs.mac_pj:g} "
            f"pJ a MAC, {costs.ac_pj:g} pJ an AC.",
            f"Energy of the operations: {energy(self.energy_pj)}, of which spiking branches {energy(self.spiking_pj)}; "
            f"with analog branches alone {energy(self.analog_pj)}: {ratio:.3g} times as much.",
            *self._warnings(),
        )

    def _warnings(self) -> list[str]:
        blocks = self.blocks
        found = (
            (
                [block for block in blocks if block.mode != "serial"],
                "The analog branch runs as well, so the block cannot cost less than it: {}.",
            ),
            (
                [block for block in blocks if not block.is_measured],
                "The running range was never measured, and is [0, 1] until a batch is seen in training mode: {}.",
            ),
            (
                [block for block in blocks if block.is_silent],
                "Neurons never spike in eval mode: {}. A block that sends nothing never learns behind a gate of 0. "
                "Pass hybridize(..., batches=some inputs), which measures what arrives at neurons and scales it; where "
                "that was done, no current is positive, and weights='fresh' may help.",
            ),
        )
        return [sentence.format(_names(these)) for these, sentence in found if these]


def operations_of(kind: str, layers: Iterable[LayerOperations]) -> float:
    """ACs, or MACs, over all steps."""
    return sum(sum(layer.per_step) for layer in layers if layer.kind == kind)


def energy_of(layers: Iterable[LayerOperations], costs: EnergyCosts) -> float:
    """Energy of layers over all steps, in pJ."""
    layers = tuple(layers)
    return costs.ac_pj * operations_of("AC", layers) + costs.mac_pj * operations_of("MAC", layers)


def _names(blocks: list[BlockSpikes]) -> str:
    more = len(blocks) - 4
    return ", ".join(f"'{block.block}'" for block in blocks[:4]) + (f" and {more} more" if more > 0 else "")


def _cells(block: BlockSpikes, costs: EnergyCosts) -> tuple[str, ...]:
    known = block.neurons.values()
    return (
        *(block.block, block.mode if block.gate is None else f"{block.mode} {block.gate:.2g}", block.code),
        " ".join(f"{100 * rate:.0f}" for rate in block.rates),
        f"{block.rate:.3f}",
        " ".join(f"{rate:.3f}" for rate in known) or "-",
        *(f"{count:,.0f}" for count in (block.accumulates, block.multiplies, block.analog_multiplies)),
        *(energy(block.spiking_pj(costs)), energy(block.analog_pj(costs))),
        "of the values" if block.value_range is None else _interval(*block.value_range),
        _interval(block.lowest, block.highest),
        *(f"{100 * share:.2g} %" for share in (block.below, block.above)),
    )


def _interval(low: float, high: float) -> str:
    return f"{low:.3g}..{high:.3g}"
