"""What a network's operations cost, beside the quantised ANN that says as much; nowhere else do counts get a price."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..measure.costs import EnergyCosts
from ..measure.energy import EnergyCard, Traffic, energy_card
from ..measure.record import NetworkResult
from .compare import Network, entry

_SAID_BITS = (4, 8)
"""Widths whose prices stand for those of all."""


@dataclass(frozen=True)
class Price:
    """One inference of a network.

    Attributes:
        accumulates: accumulates, as they are priced.
        multiplies: multiply-and-accumulates, as they are priced: zeros included, since a layer multiplies by them too.
        effective_accumulates: accumulates whose weight is not zero.
        effective_multiplies: multiply-and-accumulates whose input and weight are not zero.
        energy_pj: what all operations cost.
        layers_pj: the same, layer by layer.
        quantised_pj: cost of the same layers as an ANN of as many bits; None for an ANN.
        rate: spikes per neuron and step; None for an ANN, and where it was not measured.
        break_even_rate: the rate at which both cost the same, all neurons in proportion; None where none would do.
        sent: spikes that the mean connection carries, in all steps; None where nothing spikes.
        break_even: how many it would carry where both cost the same; None where no number would do.
        traffic: bytes between memory and arithmetic.
        quantised_traffic: those of the quantised ANN; None for an ANN.
    """

    accumulates: float
    multiplies: float
    effective_accumulates: float
    effective_multiplies: float
    energy_pj: float
    layers_pj: tuple[float, ...]
    quantised_pj: float | None
    rate: float | None
    break_even_rate: float | None
    sent: float | None
    break_even: float | None
    traffic: Traffic
    quantised_traffic: Traffic | None


Pricing = Callable[[Network, int], list[Price]]
"""Network and step -> one price per seed; empty where nothing was counted."""


def pricing_at(costs: EnergyCosts) -> Pricing:
    """Prices of networks, seed by seed, from a price list."""

    def prices(network: Network, step: int) -> list[Price]:
        return [_price(result, step, costs) for result in network.results if result.operations]

    return prices


def _price(result: NetworkResult, step: int, costs: EnergyCosts) -> Price:
    spikes = entry(result.spikes_per_neuron, step)
    card = energy_card(
        result.operations,
        time_steps=step,
        bits=result.bits,
        costs=costs,
        neurons=result.neurons,
        footprint_bytes=result.footprint_bytes,
        rate=None if spikes is None else spikes / step,
    )
    is_spiking = result.kind == "snn"
    layers_pj = _layer_energies(card, is_quantised=result.kind == "quantised")
    return Price(
        accumulates=card.operations_of("AC"),
        multiplies=card.operations_of("MAC"),
        effective_accumulates=card.effective_acs,
        effective_multiplies=card.effective_macs,
        energy_pj=math.fsum(layers_pj) if result.kind == "quantised" else card.energy_pj,
        layers_pj=layers_pj,
        quantised_pj=card.quantised_ann.energy_pj if is_spiking else None,
        rate=card.rate if is_spiking else None,
        break_even_rate=card.quantised_ann.break_even_rate if is_spiking else None,
        sent=card.spikes_per_connection,
        break_even=card.quantised_ann.break_even if is_spiking else None,
        traffic=card.traffic,
        quantised_traffic=card.quantised_traffic if is_spiking else None,
    )


def _layer_energies(card: EnergyCard, *, is_quantised: bool) -> tuple[float, ...]:
    """Every layer's energy; of a quantised ANN the first layer sees analog numbers, all others its own few levels."""
    costs = card.costs
    mac_pj = costs.quantised_mac_pj(card.bits) if is_quantised else costs.mac_pj
    prices = [costs.ac_pj if layer.kind == "AC" else mac_pj for layer in card.operations]
    if is_quantised and card.operations[0].kind == "MAC":
        prices[0] = costs.mac_pj
    return tuple(price * layer.until(card.time_steps) for price, layer in zip(prices, card.operations, strict=True))


def price_note(costs: EnergyCosts) -> str:
    """What the energies count, and what they leave out."""
    few = " and ".join(f"{costs.quantised_mac_pj(bits):.3g} pJ with {bits} bits" for bits in _SAID_BITS)
    return (
        f"Energy counts operations, at prices of {costs.technology} ({costs.source}): {costs.mac_pj:g} pJ for a MAC, "
        f"{costs.ac_pj:g} pJ for an AC, and less for a MAC whose activation is quantised: {few}. A layer that gets "
        "analog numbers multiplies zeros too. Memory traffic is not in it and can outweigh it: "
        "whether spikes save energy depends on the machine."
    )
