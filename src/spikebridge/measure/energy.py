"""What counted operations cost in energy, beside an ANN that says as much; plain numbers in, plain numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.counts import require_whole
from .costs import HOROWITZ_45NM as HOROWITZ_45NM
from .costs import EnergyCosts as EnergyCosts
from .layer import LayerOperations
from .statement import statement


def bits_of(levels_per_step: int, time_steps: int) -> int:
    """Bits that tell apart all that a neuron's spike count can say after T steps:  ceil(log2(T * levels + 1)).

    It sends between 0 and T * levels spikes. A network that reads the count alone, as a converted one does, hears no
    more than from a quantised ANN of as many bits; one that heeds the order of spikes may hear more.

    >>> bits_of(1, 8), bits_of(8, 1), bits_of(4, 4)
    (4, 4, 5)
    """
    for name, value in (("levels_per_step", levels_per_step), ("time_steps", time_steps)):
        require_whole(value, owner="bits_of", name=name)
    return (levels_per_step * time_steps).bit_length()


@dataclass(frozen=True)
class Reference:
    """An ANN of the same layers, every connection of which costs one MAC per inference, zeros included.

    A layer that the spiking network feeds with numbers at some steps and with spikes at others is fed with numbers.

    Attributes:
        name: what it is.
        mac_pj: price of a MAC in a layer that the spiking network feeds with spikes; all others cost ``costs.mac_pj``.
        energy_pj: of one inference.
        break_even: spikes per connection, in all T steps together, at which the spiking network costs as much; None
            where nothing spikes, or where its analog part alone costs more.
        break_even_rate: the same in spikes per neuron and step, if all neurons sent more or fewer in proportion; None
            where the measured rate is unknown too.
    """

    name: str
    mac_pj: float
    energy_pj: float
    break_even: float | None
    break_even_rate: float | None


@dataclass(frozen=True)
class Traffic:
    """Bytes between memory and arithmetic in one inference, for two ways of working; products of activations aside.

    Attributes:
        per_operation: every operation fetches its weight.
        per_run: every weight is fetched once whenever its layer runs.
        state: membranes read and written at every step, or activations written and read once.
    """

    per_operation: float
    per_run: float
    state: float


@dataclass(frozen=True, kw_only=True)
class EnergyCard:
    """The energy of one network, per sample and inference; printing it gives the whole comparison.

    Attributes:
        operations: what was counted.
        time_steps: T; layers that ran longer are cut off there.
        bits: of an activation of the quantised ANN beside it.
        costs: the prices.
        rate: spikes per neuron and step, as measured; None where unknown.
        neurons: membranes; 0 where unknown.
        footprint_bytes: parameters and buffers; 0 where unknown.
    """

    operations: tuple[LayerOperations, ...]
    time_steps: int
    bits: int
    costs: EnergyCosts
    rate: float | None
    neurons: int
    footprint_bytes: int

    def operations_of(self, kind: str) -> float:
        """ACs, or MACs, zeros included."""
        return sum(layer.until(self.time_steps) for layer in self.operations if layer.kind == kind)

    def connections_of(self, kind: str) -> float:
        """Connections of the layers that accumulate, or of those that multiply."""
        return sum(layer.connections for layer in self.operations if layer.kind == kind)

    @property
    def effective_macs(self) -> float:
        """MACs whose input and weight are not zero."""
        return self._effective("MAC")

    @property
    def effective_acs(self) -> float:
        """ACs whose weight is not zero."""
        return self._effective("AC")

    @property
    def dense(self) -> float:
        """Operations of one run of every layer, zeros included."""
        return self.connections_of("AC") + self.connections_of("MAC")

    @property
    def analog_pj(self) -> float:
        """Energy of the layers that analog numbers arrive at; they multiply zeros too."""
        return self.costs.mac_pj * self.operations_of("MAC")

    @property
    def spiking_pj(self) -> float:
        """Energy of the layers that spikes arrive at."""
        return self.costs.ac_pj * self.operations_of("AC")

    @property
    def energy_pj(self) -> float:
        """Energy of all operations; memory traffic is apart."""
        return self.analog_pj + self.spiking_pj

    @property
    def spikes_per_connection(self) -> float | None:
        """Spikes that the mean connection carried in T steps; None where nothing spikes."""
        connections = self.connections_of("AC")
        return self.operations_of("AC") / connections if connections else None

    @property
    def float_ann(self) -> Reference:
        """The same layers, once, with analog activations."""
        return self._reference("float ANN", self.costs.mac_pj)

    @property
    def quantised_ann(self) -> Reference:
        """The same layers, once, with activations of ``bits`` bits wherever the spiking network sends spikes."""
        return self._reference(f"{self.bits}-bit ANN", self.costs.quantised_mac_pj(self.bits))

    @property
    def traffic(self) -> Traffic:
        """Memory traffic of this network."""
        size, layers = self.costs.number_bytes, [layer for layer in self.operations if layer.weights]
        return Traffic(
            per_operation=size * sum(layer.until(self.time_steps) for layer in layers),
            per_run=size * sum(layer.weights * layer.runs_until(self.time_steps) for layer in layers),
            state=size * 2 * self.neurons * self.time_steps,
        )

    @property
    def quantised_traffic(self) -> Traffic:
        """Memory traffic of the quantised ANN."""
        size = self.costs.number_bytes
        layers = [layer for layer in self.operations if layer.weights and layer.is_in_ann]
        return Traffic(
            per_operation=size * sum(layer.connections for layer in layers),
            per_run=size * sum(layer.weights for layer in layers),
            state=2 * self.neurons * self.bits / 8,
        )

    def _effective(self, kind: str) -> float:
        return sum(layer.effective_until(self.time_steps) for layer in self.operations if layer.kind == kind)

    def _reference(self, name: str, mac_pj: float) -> Reference:
        spiking, sent = self.connections_of("AC"), self.spikes_per_connection
        layers = [layer for layer in self.operations if layer.is_in_ann]
        analog, coded = (sum(each.connections for each in layers if each.kind == kind) for kind in ("MAC", "AC"))
        energy = self.costs.mac_pj * analog + mac_pj * coded
        left = energy - self.analog_pj
        even = left / (self.costs.ac_pj * spiking) if spiking and left > 0 else None
        rate = self.rate * even / sent if self.rate is not None and even is not None and sent else None
        return Reference(name, mac_pj, energy, even, rate)

    def __str__(self) -> str:
        return statement(self)


def energy_card(
    operations: Sequence[LayerOperations],
    *,
    time_steps: int,
    bits: int,
    costs: EnergyCosts = HOROWITZ_45NM,
    rate: float | None = None,
    neurons: int = 0,
    footprint_bytes: int = 0,
) -> EnergyCard:
    """Price counted operations, beside a float ANN and a quantised ANN of the same layers.

    It needs no network: a record keeps the counts, so other prices need no other run.

    Args:
        operations: what :func:`count_operations` found.
        time_steps: T to price (>= 1); a smaller one than was counted prices the first T steps.
        bits: of an activation of the quantised ANN (>= 1); :func:`bits_of` says how many say as much.
        costs: the prices.
        rate: spikes per neuron and step, as measured, if the break-even rate shall be told in the same unit.
        neurons: membranes per sample, for the memory traffic.
        footprint_bytes: parameters and buffers in memory.

    Raises:  ValueError: no operations; T or bits that are no whole number of at least one.

    >>> layers = [LayerOperations("0", "MAC", (100.0,), 100.0), LayerOperations("2", "AC", (10.0, 30.0), 50.0)]
    >>> card = energy_card(layers, time_steps=2, bits=bits_of(1, 2))
    >>> [round(energy, 3) for energy in (card.energy_pj, card.float_ann.energy_pj, card.quantised_ann.energy_pj)]
    [496.0, 690.0, 513.043]
    >>> card.spikes_per_connection, round(card.quantised_ann.break_even, 3)
    (0.8, 1.179)
    """
    require_whole(time_steps, owner="energy_card", name="time_steps")
    require_whole(bits, owner="energy_card", name="bits")
    if not operations:
        raise ValueError("energy_card expects the operations of at least one layer; got none. Count a network first.")
    return EnergyCard(
        operations=tuple(operations),
        time_steps=time_steps,
        bits=bits,
        costs=costs,
        rate=rate,
        neurons=neurons,
        footprint_bytes=footprint_bytes,
    )
