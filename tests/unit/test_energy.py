"""Energy from counts: prices, break-even, memory, and what the card says in words."""

from __future__ import annotations

import dataclasses
import json
import re
from fractions import Fraction

import pytest
import torch
from torch import nn

import spikebridge as sb
from spikebridge.measure import (
    HOROWITZ_45NM,
    HOROWITZ_45NM_INT8,
    EnergyCard,
    EnergyCosts,
    LayerOperations,
    bits_of,
    count_operations,
    energy_card,
    footprint,
)

# Whole picojoules, so that every sum is exact.
WHOLE = EnergyCosts(
    mac_pj=8, ac_pj=2, byte_pj=1, number_bytes=4, multiplier_bits=7, technology="whole", source="made up"
)
IMAGE = LayerOperations("0", "MAC", (100.0,), 100.0, 30, (90.0,))
SPIKING = LayerOperations("2", "AC", (30.0, 50.0, 0.0, 20.0), 50.0, 55, (30.0, 40.0, 0.0, 20.0))
PRODUCT = LayerOperations("4.matmul", "AC", (4.0, 0.0, 8.0, 8.0), 10.0, 0, (4.0, 0.0, 8.0, 8.0))
LAYERS = [IMAGE, SPIKING, PRODUCT]
STEM_OF_SPIKES = LayerOperations("0#2", "AC", (0.0, 12.0, 20.0, 8.0), 100.0, 30, is_in_ann=False)


def card_of(
    layers: list[LayerOperations], *, bits: int = 3, costs: EnergyCosts = WHOLE, **others: object
) -> EnergyCard:
    return energy_card(layers, time_steps=4, bits=bits, costs=costs, **others)  # type: ignore[arg-type]


def test_energy_is_operations_times_prices() -> None:
    card = card_of(LAYERS)
    assert (card.analog_pj, card.spiking_pj, card.energy_pj) == (100 * 8, 120 * 2, 1040)
    assert (card.float_ann.energy_pj, card.quantised_ann.energy_pj) == (160 * 8, 100 * 8 + 60 * 4)
    assert (card.effective_macs, card.effective_acs, card.dense) == (90, 110, 160)
    assert card.spikes_per_connection == 2.0


def test_what_the_ann_has_already_is_no_layer_of_it() -> None:
    card, without = card_of([*LAYERS, STEM_OF_SPIKES]), card_of(LAYERS)
    assert card.energy_pj == without.energy_pj + 40 * 2
    assert (card.float_ann.energy_pj, card.quantised_ann.energy_pj) == (160 * 8, 100 * 8 + 60 * 4)
    assert card.quantised_traffic == without.quantised_traffic
    assert card.quantised_ann.break_even == 60 * 4 / (160 * 2)  # what is left for spikes, over all that they reach


def test_the_first_steps_alone_can_be_priced() -> None:
    card = energy_card(LAYERS, time_steps=2, bits=3, costs=WHOLE)
    assert (card.analog_pj, card.spiking_pj) == (800, (80 + 4) * 2)
    assert (card.effective_acs, card.traffic.per_run) == (74, 4 * (30 + 2 * 55))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 8, 32])
@pytest.mark.parametrize("costs", [WHOLE, HOROWITZ_45NM, HOROWITZ_45NM_INT8], ids=lambda costs: costs.technology)
def test_at_break_even_both_cost_the_same(bits: int, costs: EnergyCosts) -> None:
    layers = [*LAYERS, STEM_OF_SPIKES]
    before = card_of(layers, bits=bits, costs=costs, rate=0.25)
    for reference in (before.float_ann, before.quantised_ann):
        change = reference.break_even / before.spikes_per_connection
        scaled = [
            layer
            if layer.kind == "MAC"
            else dataclasses.replace(layer, per_step=tuple(change * n for n in layer.per_step))
            for layer in layers
        ]
        card = card_of(scaled, bits=bits, costs=costs, rate=0.25 * change)
        assert card.energy_pj == pytest.approx(reference.energy_pj, rel=1e-12)
        assert card.rate == pytest.approx(reference.break_even_rate, rel=1e-12)


def test_a_quantised_mac_is_an_accumulate_and_as_much_of_a_multiplier_as_it_needs() -> None:
    prices = [WHOLE.quantised_mac_pj(bits) for bits in (1, 2, 4, 7, 9)]
    assert prices == [2, 3, 5, 8, 8]  # 2 pJ to accumulate, 6 pJ for a multiplier of 7 bits
    evens = [card_of(LAYERS, bits=bits).quantised_ann.break_even for bits in (1, 2, 4, 7, 9)]
    assert evens == [1, 1.5, 2.5, 4, 4]
    assert HOROWITZ_45NM_INT8.quantised_mac_pj(8) == HOROWITZ_45NM_INT8.mac_pj
    assert card_of(LAYERS).float_ann.break_even == 4
    horowitz = card_of(LAYERS, costs=HOROWITZ_45NM).float_ann
    assert horowitz.break_even == pytest.approx(float(Fraction(46, 9)))


def test_analog_layers_that_run_at_every_step_leave_less_for_spikes() -> None:
    looped = dataclasses.replace(IMAGE, per_step=(100.0,) * 4)
    card = card_of([looped, SPIKING, PRODUCT])
    assert card.float_ann.break_even is None
    assert "No spike rate breaks even: the analog layers alone cost more." in str(card)
    twice = card_of([dataclasses.replace(IMAGE, connections=60.0, per_step=(60.0, 20.0)), SPIKING])
    # Dense: 110 MACs; analog: 80; what is left is 30 MACs, or 120 ACs over 50 connections.
    assert twice.float_ann.break_even == 120 / 50


def test_an_ann_has_nothing_to_break_even() -> None:
    card = card_of([IMAGE])
    assert (card.spikes_per_connection, card.float_ann.break_even, card.quantised_ann.break_even) == (None, None, None)
    assert card.energy_pj == card.float_ann.energy_pj
    assert "Nothing spikes, so there is no rate to break even at." in str(card)


def test_memory_traffic_is_bounded_by_one_fetch_per_run_and_one_per_operation() -> None:
    card = card_of(LAYERS, neurons=7)
    # The product of two activations has no weights to fetch.
    assert card.traffic.per_run == 4 * (1 * 30 + 4 * 55)
    assert card.traffic.per_operation == 4 * (100 + 100)
    assert card.traffic.state == 7 * 4 * 2 * 4
    assert card.quantised_traffic.per_run == 4 * (30 + 55)
    assert card.quantised_traffic.per_operation == 4 * (100 + 50)
    assert card.quantised_traffic.state == 7 * 2 * 3 / 8


def test_bits_tell_all_counts_apart() -> None:
    for levels in range(1, 20):
        for steps in range(1, 20):
            assert 2 ** (bits_of(levels, steps) - 1) < levels * steps + 1 <= 2 ** bits_of(levels, steps)
    for bad in ((0, 1), (1, 0), (1.5, 1)):
        with pytest.raises(ValueError, match=r"bits_of expects (levels_per_step|time_steps) >= 1, a whole number; got"):
            bits_of(*bad)  # type: ignore[arg-type]


def test_prices_are_checked_replaceable_and_quoted() -> None:
    dear = dataclasses.replace(HOROWITZ_45NM, ac_pj=4.6, technology="no multiplier saved", source="assumed")
    card = card_of(LAYERS, costs=dear)
    assert card.float_ann.break_even == pytest.approx(1.0)
    assert "Prices: no multiplier saved (assumed): 4.6 pJ a MAC, 4.6 pJ an AC." in str(card)
    for name in ("mac_pj", "ac_pj", "byte_pj", "number_bytes", "multiplier_bits"):
        with pytest.raises(ValueError, match=f"EnergyCosts expects {name} > 0 and finite; got -1. Pass a positive"):
            dataclasses.replace(HOROWITZ_45NM, **{name: -1})

    class ByWidth(EnergyCosts):
        def quantised_mac_pj(self, bits: int) -> float:
            return self.mac_pj * bits / 32

    priced = card_of(LAYERS, bits=8, costs=ByWidth(**dataclasses.asdict(WHOLE)))
    assert priced.quantised_ann.energy_pj == 100 * 8 + 60 * 2


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="energy_card expects time_steps >= 1, a whole number; got 0"):
        energy_card(LAYERS, time_steps=0, bits=3)
    with pytest.raises(ValueError, match=r"energy_card expects bits >= 1, a whole number; got 2\.5"):
        energy_card(LAYERS, time_steps=1, bits=2.5)  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"expects the operations of at least one layer; got none\. Count a network first"
    ):
        energy_card([], time_steps=1, bits=3)


def spiking_network() -> nn.Module:
    body = nn.Sequential(sb.OverTime(nn.Linear(16, 32)), sb.LIF(threshold=0.1), sb.OverTime(nn.Linear(32, 4)), sb.LIF())
    return sb.SpikingNetwork(body, encoder=sb.Direct(time_steps=4)).eval()


def test_the_card_never_leaves_the_quantised_ann_out() -> None:
    network = spiking_network()
    for threshold in (0.01, 0.3, 10.0):
        network.body[1].threshold.fill_(threshold)
        card = energy_card(
            count_operations(network, torch.rand(5, 16)),
            time_steps=4,
            bits=bits_of(1, 4),
            neurons=36,
            footprint_bytes=footprint(network),
        )
        text = str(card)
        assert "The same layers as a float ANN, 4.6 pJ a MAC: " in text
        assert "The same layers as a 3-bit ANN, 1.22 pJ a MAC: " in text
        assert not re.search(r"\d\s*(x|\u00d7|times|fold|%)(\s|\b)", text), "a bare ratio of energies"
        assert text.count("Break-even at ") == text.count("; measured ") == 2
        even = card.quantised_ann.break_even
        assert ("costs less than the 3-bit ANN" in text) == (card.spikes_per_connection < even)
        assert ("costs more than the 3-bit ANN" in text) == (card.spikes_per_connection > even)


def test_the_card_says_exactly_where_it_is_exactly_there() -> None:
    even = card_of([LayerOperations("0", "AC", (1.0, 1.0, 0.0, 0.0), 1.0)])
    assert "exactly at it, so the spiking network costs as much as the 3-bit ANN in operations." in str(even)


def test_the_card_reads_as_a_table_and_sentences() -> None:
    text = str(card_of(LAYERS, rate=0.5, neurons=7, footprint_bytes=1234))
    assert (
        text
        == """\
layer     kind  operations  effective  connections  per connection   energy
0         MAC          100         90          100           1.000   800 pJ
2         AC           100         90           50           2.000   200 pJ
4.matmul  AC            20         20           10           2.000  40.0 pJ

Per sample, T = 4. Prices: whole (made up): 8 pJ a MAC, 2 pJ an AC.
Effective MACs 90, effective ACs 110, dense 160, footprint 1,234 bytes.
Energy of the operations: 1.04 nJ; analog layers 800 pJ, spiking layers 240 pJ.
The same layers as a float ANN, 8 pJ a MAC: 1.28 nJ. Break-even at 4.000 spikes per connection, 1 per neuron and \
step; measured 2.000, 0.5 per neuron and step: below it, so the spiking network costs less than the float ANN in \
operations.
The same layers as a 3-bit ANN, 4 pJ a MAC: 1.04 nJ. Break-even at 2.000 spikes per connection, 0.5 per neuron and \
step; measured 2.000, 0.5 per neuron and step: exactly at it, so the spiking network costs as much as the 3-bit ANN in \
operations.
Every connection of either ANN multiplies once, zeros included; one that skips zeros costs less.
Memory traffic, which the energies above leave out, at 1 pJ a byte:
  this network: 1,000 bytes of weights if each is fetched once per run of its layer, 800 if for every operation, 224 \
bytes of membranes read and written: 1.02 nJ to 1.22 nJ.
  3-bit ANN: 340 bytes of weights if each is fetched once per run of its layer, 600 if for every operation, 5 bytes of \
activations read and written: 345 pJ to 605 pJ."""
    )


def test_counts_survive_a_record_so_that_new_prices_need_no_new_run() -> None:
    layers = count_operations(spiking_network(), torch.rand(5, 16))
    saved = json.loads(json.dumps([dataclasses.asdict(layer) for layer in layers]))
    loaded = [LayerOperations(**{**layer, "per_step": tuple(layer["per_step"])}) for layer in saved]
    assert loaded == layers
    assert str(card_of(loaded)) == str(card_of(layers))
    old = [dataclasses.replace(layer, effective=()) for layer in layers]  # counted before anybody looked for zeros
    assert card_of(old).effective_macs == sum(layer.until(4) for layer in layers if layer.kind == "MAC")


def test_a_converted_network_breaks_even_with_the_ann_that_it_came_from() -> None:
    """No free lunch: T = 1 and m = L levels, one spike for every level: the card says on which side that is."""
    torch.manual_seed(0)
    ann = nn.Sequential(nn.Linear(16, 64), sb.QCFS(levels=7, threshold=1.0), nn.Linear(64, 8)).eval()
    x = torch.randn(20, 16)
    snn = sb.convert(ann, x, members=7).model
    card = energy_card(count_operations(snn, x), time_steps=1, bits=bits_of(7, 1))
    level = ann[:2](x) * 7 / ann[1].threshold
    assert card.bits == 3
    assert card.spikes_per_connection == pytest.approx(level.round().mean().item(), rel=1e-6)
    assert card.quantised_ann.break_even == pytest.approx((0.9 + 3.7 * 2 / 23) / 0.9)
