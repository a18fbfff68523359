"""An energy card in words: a table of layers, and sentences that never leave the comparison out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .energy import EnergyCard, Reference
    from .layer import LayerOperations

MISSING = "\u2013"
JOULES = ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ"), (1.0, "pJ"))
"""Units of energy in pJ, the largest first."""

_COLUMNS = ("layer", "kind", "operations", "effective", "connections", "per connection", "energy")


def statement(card: EnergyCard) -> str:
    """The whole card as text."""
    costs = card.costs
    lines = [
        *_table(card),
        "",
        f"Per sample, T = {card.time_steps}. Prices: {costs.technology} ({costs.source}): {costs.mac_pj:g} pJ a MAC, "
        f"{costs.ac_pj:g} pJ an AC.",
        f"Effective MACs {card.effective_macs:,.0f}, effective ACs {card.effective_acs:,.0f}, dense {card.dense:,.0f}"
        + (f", footprint {card.footprint_bytes:,} bytes." if card.footprint_bytes else "."),
        f"Energy of the operations: {energy(card.energy_pj)}; analog layers {energy(card.analog_pj)}, spiking layers "
        f"{energy(card.spiking_pj)}.",
        *(_comparison(card, reference) for reference in (card.float_ann, card.quantised_ann)),
        "Every connection of either ANN multiplies once, zeros included; one that skips zeros costs less.",
        *_memory(card),
    ]
    return "\n".join(lines)


def _table(card: EnergyCard) -> list[str]:
    rows = [_COLUMNS, *(_row(card, layer) for layer in card.operations)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _row(card: EnergyCard, layer: LayerOperations) -> tuple[str, ...]:
    count = layer.until(card.time_steps)
    price = card.costs.ac_pj if layer.kind == "AC" else card.costs.mac_pj
    return (
        layer.layer,
        layer.kind,
        f"{count:,.0f}",
        f"{layer.effective_until(card.time_steps):,.0f}",
        f"{layer.connections:,.0f}",
        f"{count / layer.connections:.3f}" if layer.connections else "-",
        energy(price * count),
    )


def _comparison(card: EnergyCard, reference: Reference) -> str:
    said = f"The same layers as a {reference.name}, {reference.mac_pj:.3g} pJ a MAC: {energy(reference.energy_pj)}."
    measured, even = card.spikes_per_connection, reference.break_even
    if measured is None:
        return f"{said} Nothing spikes, so there is no rate to break even at."
    if even is None:
        return f"{said} No spike rate breaks even: the analog layers alone cost more."
    verdict = "below" if measured < even else "above" if measured > even else "exactly at"
    cost = {"below": "costs less than", "above": "costs more than", "exactly at": "costs as much as"}[verdict]
    return (
        f"{said} Break-even at {even:.3f} spikes per connection{_rate(reference.break_even_rate)}; measured "
        f"{measured:.3f}{_rate(card.rate)}: {verdict} it, so the spiking network {cost} the {reference.name} in "
        f"operations."
    )


def _rate(rate: float | None) -> str:
    return "" if rate is None else f", {rate:.4g} per neuron and step"


def _memory(card: EnergyCard) -> list[str]:
    price = card.costs.byte_pj
    lines = [f"Memory traffic, which the energies above leave out, at {price:g} pJ a byte:"]
    networks = (
        ("this network", card.traffic, "membranes"),
        (card.quantised_ann.name, card.quantised_traffic, "activations"),
    )
    for name, traffic, kind in networks:
        low, high = sorted((traffic.per_run, traffic.per_operation))
        state = f", {traffic.state:,.0f} bytes of {kind} read and written" if card.neurons else ""
        lines.append(
            f"  {name}: {traffic.per_run:,.0f} bytes of weights if each is fetched once per run of its layer, "
            f"{traffic.per_operation:,.0f} if for every operation{state}: {energy((low + traffic.state) * price)} to "
            f"{energy((high + traffic.state) * price)}."
        )
    return lines


def energy(picojoules: float) -> str:
    """One energy with its unit, three digits long; a dash where there is none.

    >>> energy(1234.0), energy(0.5), energy(2_000_000.0), energy(930.0)
    ('1.23 nJ', '0.50 pJ', '2.00 µJ', '930 pJ')
    """
    if not math.isfinite(picojoules):
        return MISSING
    unit, symbol = next((pair for pair in JOULES if abs(picojoules) >= pair[0]), JOULES[-1])
    shown = picojoules / unit
    return f"{shown:.{max(0, 2 - max(0, math.floor(math.log10(abs(shown) or 1))))}f} {symbol}"
