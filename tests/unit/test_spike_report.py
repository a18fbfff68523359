"""What hybrid blocks send and cost, against counts by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikebridge import LIF, BitPlane, Direct, GroupNeuron, OverTime, Rate
from spikebridge.blocks import Fusion, HybridBlock, RateDecoder
from spikebridge.hybrid import SpikeReport, hybridize, spike_report
from spikebridge.measure import HOROWITZ_45NM, HOROWITZ_45NM_INT8, count_operations, energy_card

SAMPLES = 6
EXACT = 1e-12  # sums of whole numbers, divided in another order


def dense() -> nn.Sequential:
    """16 -> 12 -> (12 -> 10 -> 8) -> 4, the middle of which will spike."""
    middle = nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 8), nn.ReLU())
    return nn.Sequential(nn.Linear(16, 12), nn.Sigmoid(), middle, nn.Linear(8, 4))


def lively() -> LIF:
    return LIF(threshold=0.1)


def hybrid(**settings: Any) -> nn.Module:
    return hybridize(dense(), "2", **{"neuron": lively, **settings}).eval()


def values() -> Tensor:
    return torch.randn(SAMPLES, 16)


def by_hand(network: nn.Module, batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the code sends, what the first neuron sends, what the second sends: [time, batch, *unit] each."""
    block = network[2] if isinstance(network[2], HybridBlock) else network[2].spiking
    body = block.core.body
    with torch.no_grad():
        planes = block.encoder(network[1](network[0](batch)))
        first = body.get_submodule("1").module(body.get_submodule("0")(planes))
        return planes, first, body.get_submodule("3").module(body.get_submodule("2")(first))


@pytest.mark.parametrize("mode", ["gated", "add", "serial"])
def test_rates_and_operations_are_those_counted_by_hand(mode: Any) -> None:
    network, batch = hybrid(mode=mode), values()
    planes, first, second = by_hand(network, batch)
    block = spike_report(network, batch).blocks[0]
    assert (block.block, block.mode, block.code) == ("2", mode, "BitPlane")
    assert block.rates == pytest.approx(planes.double().mean((1, 2)).tolist(), rel=EXACT)
    assert block.rate == pytest.approx(planes.mean().item(), rel=1e-6)
    assert block.neurons == pytest.approx({"body.1.module": first.mean().item(), "body.3.module": second.mean().item()})
    sent = 10 * planes.sum() + 8 * first.sum() + second.sum()  # the last is weighed by the decoder
    assert block.accumulates == pytest.approx(sent.item() / SAMPLES, rel=EXACT)
    assert (block.multiplies, block.analog_multiplies) == (0.0, 12 * 10 + 10 * 8)
    beside = sum(layer.until(1) for layer in block.analog)
    assert beside == (0.0 if mode == "serial" else block.analog_multiplies)


@pytest.mark.parametrize("mode", ["gated", "add", "serial"])
def test_energy_is_priced_and_a_branch_beside_never_costs_less_than_the_analog_one(mode: Any) -> None:
    network, batch = hybrid(mode=mode), values()
    report = spike_report(network, batch, costs=HOROWITZ_45NM_INT8)
    block, outside, middle = report.blocks[0], 16 * 12 + 8 * 4, 12 * 10 + 10 * 8
    ac, mac = HOROWITZ_45NM_INT8.ac_pj, HOROWITZ_45NM_INT8.mac_pj
    assert report.multiplies == outside + (0 if mode == "serial" else middle)
    assert report.energy_pj == pytest.approx(ac * block.accumulates + mac * report.multiplies)
    assert report.analog_pj == pytest.approx(mac * (outside + middle))
    assert report.analog_pj == pytest.approx(energy_of_ann(batch, mac))
    assert block.analog_pj(report.costs) == pytest.approx(mac * middle)
    assert report.energy_pj > report.analog_pj or mode == "serial"
    says_so = "The analog branch runs as well, so the block cannot cost less than it: '2'." in str(report)
    assert says_so is (mode != "serial")


def energy_of_ann(batch: Tensor, mac_pj: float) -> float:
    return mac_pj * sum(layer.until(1) for layer in count_operations(dense(), batch))


def test_a_group_neuron_sends_counts_and_analog_numbers_cost_multiplications() -> None:
    network, batch = hybrid(neuron=lambda: GroupNeuron(members=4, threshold=0.1)), values()
    _, first, _ = by_hand(network, batch)
    block = spike_report(network, batch).blocks[0]
    assert block.neurons["body.1.module"] == pytest.approx(first.mean().item() / (0.1 / 4), rel=1e-5)
    assert block.neurons["body.1.module"] > 1.0

    direct = spike_report(hybrid(encoder=lambda: Direct(time_steps=3)), batch).blocks[0]
    assert direct.multiplies == 3 * 12 * 10
    assert direct.analog_multiplies == 12 * 10 + 10 * 8


def test_what_leaves_the_last_layer_as_numbers_is_multiplied_by_the_decoder_and_a_mean_is_not_counted() -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)))
    batch = torch.rand(SAMPLES, 4)
    weighed = spike_report(hybridize(net, "1", neuron=lively), batch).blocks[0]
    assert weighed.multiplies == 8 * 3
    meant = spike_report(hybridize(net, "1", neuron=lively, decoder=RateDecoder), batch).blocks[0]
    assert (meant.multiplies, meant.decoding) == (0.0, ())


def test_clipping_is_told_for_given_and_running_ranges() -> None:
    batch = values()
    batch[:2] *= 0.1  # a range of these is well inside that of all
    for encoder in (lambda: BitPlane(value_range=(0.4, 0.6), outside="clip"), lambda: BitPlane(value_range="running")):
        network = hybrid(encoder=encoder)
        inner = network[1](network[0](batch)).detach()
        if encoder().measured is not None:
            network.train()(batch[:2])
            network.eval()
        low, high = (0.4, 0.6) if encoder().measured is None else (inner[:2].min().item(), inner[:2].max().item())
        block = spike_report(network, batch).blocks[0]
        assert block.value_range == pytest.approx((low, high))
        assert (block.lowest, block.highest) == pytest.approx((inner.min().item(), inner.max().item()))
        assert block.below == (inner < block.value_range[0]).double().mean().item() > 0
        assert block.above == (inner > block.value_range[1]).double().mean().item() > 0


def test_a_range_of_the_values_themselves_clips_nothing_and_has_no_ends() -> None:
    block = spike_report(hybrid(encoder=lambda: BitPlane(value_range="sample")), values()).blocks[0]
    assert (block.value_range, block.below, block.above, block.is_measured) == (None, 0.0, 0.0, True)
    assert "of the values" in str(spike_report(hybrid(encoder=lambda: BitPlane(value_range="sample")), values()))


def test_a_running_range_that_was_never_measured_is_told() -> None:
    network, batch = hybrid(), values()
    report = spike_report(network, batch)
    assert not report.blocks[0].is_measured
    assert "The running range was never measured, and is [0, 1] until a batch is seen in training mode: '2'." in str(
        report
    )
    network.train()(batch)
    after = spike_report(network, batch)
    assert after.blocks[0].is_measured
    assert "never measured" not in str(after)


def test_silent_neurons_are_told() -> None:
    silent = spike_report(hybrid(neuron=lambda: LIF(threshold=1e6)), values())
    assert silent.blocks[0].is_silent
    assert (
        "Neurons never spike in eval mode: '2'. A block that sends nothing never learns behind a gate of 0. Pass"
        in str(silent)
    )
    assert "never spike" not in str(spike_report(hybrid(), values()))


def test_the_network_is_left_as_it_was() -> None:
    network, batch = hybrid().train(), values()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    spike_report(network, batch)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(part.training and not part._forward_hooks for part in network.modules())


def test_a_report_prints_and_is_plain_numbers() -> None:
    report = spike_report(hybridize(hybrid(), "0", mode="serial", neuron=lively), values())
    assert isinstance(report, SpikeReport)
    assert [block.block for block in report.blocks] == ["0", "2"]
    told = json.loads(json.dumps(report.to_dict()))
    assert told["blocks"] == json.loads(json.dumps(report.rows))
    assert told["energy_pj"] == report.energy_pj
    assert told["blocks"][1]["rates"] == list(report.blocks[1].rates)
    assert {"is_measured", "below", "above", "gate", "neurons", "spiking_pj"} <= set(told["blocks"][0])
    lines = str(report).splitlines()
    assert [line.split()[:2] for line in lines[2:4]] == [["0", "serial"], ["2", "gated"]]
    assert "times as much" in lines[6] and HOROWITZ_45NM.source in lines[5]


def test_a_block_that_is_called_twice_is_added_up() -> None:
    core = nn.Sequential(OverTime(nn.Linear(4, 4)), LIF(threshold=0.1))
    block = HybridBlock(core, BitPlane(bits=4, value_range="running"))
    network, batch = nn.Sequential(block, block).eval(), torch.rand(SAMPLES, 4)
    told = spike_report(network, batch).blocks[0]
    with torch.no_grad():
        between = block(batch)
        planes = torch.stack([block.encoder(batch), block.encoder(between)])
    assert told.rates == pytest.approx(planes.mean((0, 2, 3)).tolist())
    assert len(told.spiking) == 2


def test_a_block_alone_and_a_core_without_neurons_are_told_too() -> None:
    block = HybridBlock(OverTime(nn.Linear(4, 3)), Rate(time_steps=5))
    told = spike_report(block, torch.rand(SAMPLES, 4)).blocks[0]
    assert (told.block, told.mode, told.neurons, told.is_silent) == ("", "serial", {}, False)
    assert told.analog_multiplies == 12
    assert told.multiplies == 5 * 3


def test_a_network_without_blocks_or_with_one_that_is_not_called_is_refused() -> None:
    with pytest.raises(TypeError, match="expects one batch as a tensor; got list"):
        spike_report(nn.Linear(4, 4), [torch.rand(2, 4)])
    with pytest.raises(ValueError, match=r"network with a HybridBlock, as hybridize makes it; Sequential has none"):
        spike_report(dense(), values())
    network = hybrid()
    network[2].forward = nn.Identity().forward
    network[3] = nn.Linear(12, 4)
    with pytest.raises(ValueError, match=r"no value arrive at '2.spiking'. Does the model's forward call it"):
        spike_report(network, values())


def test_layers_after_a_decoder_run_once_and_so_does_the_decoder() -> None:
    network, batch = hybrid(mode="add"), values()
    found = {layer.layer: layer for layer in count_operations(network, batch)}
    assert found["3"].per_step == (8.0 * 4.0,)
    decoding = next(layer for name, layer in found.items() if name.startswith("2.spiking.") and ".core." not in name)
    assert len(decoding.per_step) == 1
    assert len(found["2.spiking.core.body.0"].per_step) == 8
    # Weights that are fetched once per run: of what runs once, once.
    card = energy_card([found["3"]], time_steps=8, bits=8)
    assert card.traffic.per_run == 4 * (8 * 4 + 4)


def test_a_fusion_written_by_hand_is_told_like_one_that_was_made() -> None:
    block = HybridBlock(nn.Sequential(OverTime(nn.Linear(4, 3)), LIF(threshold=0.1)), BitPlane(value_range="running"))
    network = nn.Sequential(Fusion(nn.Linear(4, 3), block, mode="add"))
    told = spike_report(network, torch.rand(SAMPLES, 4)).blocks[0]
    assert (told.block, told.mode, told.gate) == ("0", "add", None)
    assert [layer.layer for layer in told.analog] == ["0.analog"]
