"""Networks that exist, with spiking twins beside their modules: what they keep, and what they are made of."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from spikebridge import IF, LIF, BitPlane, Rate
from spikebridge.blocks import Fusion, HybridBlock, RateDecoder
from spikebridge.hybrid import hybridize
from tests.unit.hybrid_blocks import BLOCKS, Residual, WritesFirst, images, network


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("training", [False, True])
def test_gated_keeps_the_output_bit_for_bit(kind: str, training: bool) -> None:
    net = network(kind).train(training)
    for part in net.modules():
        part.training = training and kind != "gated"  # whose dropout draws numbers
    hybrid, values = hybridize(net, ["2", "3"]), images()
    assert torch.equal(hybrid(values), net(values))
    assert torch.equal(hybrid.double()(values.double()), net.double()(values.double()))


@pytest.mark.parametrize(
    ("where", "replaced"),
    [
        ("2", ["2"]),
        (["3", "2"], ["2", "3"]),
        ("[23]", ["2", "3"]),
        (
            "[23].*",
            ["2.conv1", "2.bn1", "2.conv2", "2.bn2", "2.relu", "3.conv1", "3.bn1", "3.conv2", "3.bn2", "3.relu"],
        ),
        ("*", ["0", "1", "2", "3", "4", "5", "6"]),
        (Residual, ["2", "3"]),
        ((nn.Linear, Residual), ["2", "3", "6"]),
        (nn.Conv2d, ["0", "2.conv1", "2.conv2", "3.conv1", "3.conv2"]),
        (lambda name, module: name.endswith("2") and isinstance(module, nn.Module), ["2", "3.conv2", "3.bn2"]),
    ],
)
def test_modules_are_chosen_by_name_type_or_predicate_and_the_outermost_is_replaced(
    where: Any, replaced: list[str]
) -> None:
    hybrid = hybridize(network(), where, neuron=lambda: LIF(threshold=0.5))
    assert [name for name, part in hybrid.named_modules() if isinstance(part, Fusion)] == replaced
    values = images()
    assert hybrid(values).shape == (5, 4)


def test_the_given_model_is_untouched() -> None:
    net = network()
    net[2].eval()
    net[3].conv1.weight.requires_grad_(False)
    calls: list[object] = []
    net[2].register_forward_hook(lambda *_: calls.append(None))
    net[2].conv1.register_forward_hook(lambda *_: calls.append(None))
    net(images()).sum().backward()
    calls.clear()
    state, text = copy.deepcopy(net.state_dict()), repr(net)
    flags = [(part.training, len(part._forward_hooks)) for part in net.modules()]
    gradients = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    frozen = [parameter.requires_grad for parameter in net.parameters()]

    hybrid = hybridize(net, Residual)
    assert not calls
    hybrid.train()(images()).sum().backward()
    torch.optim.SGD(hybrid.parameters(), lr=1.0).step()

    assert repr(net) == text
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert [(part.training, len(part._forward_hooks)) for part in net.modules()] == flags
    assert [parameter.requires_grad for parameter in net.parameters()] == frozen
    for parameter, gradient in zip(net.parameters(), gradients, strict=True):
        assert parameter.grad is None if gradient is None else torch.equal(parameter.grad, gradient)
    assert not {id(tensor) for tensor in net.parameters()} & {id(tensor) for tensor in hybrid.parameters()}


def test_every_new_module_is_in_the_mode_of_what_it_replaces_and_a_frozen_norm_stays_frozen() -> None:
    net = network().train()
    net[2].eval()
    net[3].bn1.eval()
    hybrid = hybridize(net, Residual)
    assert not any(part.training for part in hybrid[2].modules())
    assert [name for name, part in hybrid[3].named_modules() if not part.training] == [
        "analog.bn1",
        "spiking.core.body.bn1",
    ]


def test_hooks_watch_the_analog_branch_alone() -> None:
    calls: list[str] = []
    net = network()
    for name, part in net.named_modules():
        part.register_forward_hook(lambda *_, name=name: calls.append(name))
    hybridize(net, Residual)(images())
    assert sorted(calls) == sorted([name for name, _ in net.named_modules()] + ["2.relu", "3.relu"])


def test_gated_trains_the_gate_at_once_and_the_twin_after_one_step() -> None:
    hybrid = hybridize(network().train(), Residual)
    optimiser = torch.optim.SGD(hybrid.parameters(), lr=0.1)
    values, classes = images(), torch.tensor([0, 1, 2, 3, 0])
    blocks = [hybrid[2], hybrid[3]]
    for step in range(2):
        optimiser.zero_grad()
        F.cross_entropy(hybrid(values), classes).backward()
        for block in blocks:
            assert block.gate.grad != 0
            assert all(bool((p.grad != 0).any()) is (step == 1) for p in block.spiking.parameters())
        optimiser.step()
    assert all(int(block.spiking.encoder.measured.batches) == 2 for block in blocks)


@pytest.mark.parametrize("mode", ["serial", "add"])
def test_serial_and_add_train_everything_at_once(mode: Any) -> None:
    hybrid = hybridize(network().train(), Residual, mode=mode)
    F.cross_entropy(hybrid(images()), torch.tensor([0, 1, 2, 3, 0])).backward()
    assert all(torch.isfinite(p.grad).all() and bool((p.grad != 0).any()) for p in hybrid[2].parameters())
    assert bool((hybrid[0].weight.grad != 0).any())


def test_serial_puts_the_block_in_the_place_of_the_module_and_add_adds() -> None:
    net, values = network().eval(), images()
    serial, added = hybridize(net, "2", mode="serial"), hybridize(net, "2", mode="add")
    assert isinstance(serial[2], HybridBlock)
    inner = net[1](net[0](values))
    assert torch.equal(added[2](inner), net[2](inner) + serial[2](inner))


@pytest.mark.parametrize("value_range", ["running", "sample", "channel", "batch"])
def test_a_branch_that_writes_to_its_input_has_gradients_beside_every_range(value_range: Any) -> None:
    net = network("writes first").train()
    hybrid, values = hybridize(net, WritesFirst, encoder=lambda: BitPlane(value_range=value_range)), images()
    hybrid(values).sum().backward()
    assert torch.equal(hybrid(values), net(values))


def test_a_frozen_network_has_twins_that_train() -> None:
    hybrid = hybridize(network().requires_grad_(False), Residual)
    trained = {name for name, p in hybrid.named_parameters() if p.requires_grad}
    assert trained == {n for n, _ in hybrid.named_parameters() if ".spiking." in n or n.endswith("gate")}


def test_weights_are_copied_or_drawn_afresh() -> None:
    net = network().train()
    net(images())
    copied, fresh = hybridize(net, "2"), hybridize(net, "2", weights="fresh")
    for name, value in net[2].state_dict().items():
        assert torch.equal(copied[2].spiking.core.body.state_dict()[name], value)
    body = fresh[2].spiking.core.body
    assert not torch.equal(body.conv1.weight, net[2].conv1.weight)
    assert body.bn1.running_mean.abs().max() == 0 and int(body.bn1.num_batches_tracked) == 0
    assert torch.equal(fresh[2].analog.conv1.weight, net[2].conv1.weight)


def test_a_module_under_several_names_stays_shared() -> None:
    shared = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    net = nn.Sequential(nn.Linear(3, 4), shared, shared, nn.Linear(4, 2))
    hybrid, values = hybridize(net, nn.Sequential), torch.randn(5, 3)
    assert hybrid[1] is hybrid[2]
    assert isinstance(hybrid[1], Fusion)
    assert torch.equal(hybrid(values), net(values))


def test_settings_are_made_anew_for_every_module_and_neurons_know_their_place() -> None:
    hybrid = hybridize(
        network(), Residual, encoder=lambda: Rate(time_steps=5, value_range="running"), neuron=IF, decoder=RateDecoder
    )
    first, second = hybrid[2].spiking, hybrid[3].spiking
    assert isinstance(first.encoder, Rate) and isinstance(first.decoder, RateDecoder)
    assert not set(first.modules()) & set(second.modules())
    neuron = second.core.body.relu_2.module
    assert isinstance(neuron, IF)
    assert (neuron.label, neuron.time_steps) == ("3.spiking.core.body.relu_2.module", 5)


def test_a_hybrid_can_be_copied_pickled_compiled_and_hybridized_further() -> None:
    hybrid, values = hybridize(network().eval(), "2", mode="add"), images()
    further = hybridize(hybrid, "3")
    compiled = torch.compile(hybrid, fullgraph=True, backend="eager")
    with torch.no_grad():
        expected = hybrid(values)
        for other in (copy.deepcopy(hybrid), pickle.loads(pickle.dumps(hybrid)), further, compiled):
            assert torch.equal(other(values), expected)
    assert hybridize(further, nn.Linear).get_submodule("2.spiking.core.body.conv1").weight.ndim == 4


def test_what_is_made_lies_on_the_device_of_the_module() -> None:
    hybrid = hybridize(network().to("meta"), Residual)
    assert {t.device.type for t in (*hybrid.parameters(), *hybrid.buffers())} == {"meta"}


def test_in_eval_a_sample_does_not_depend_on_its_batch_mates_and_nothing_is_remembered() -> None:
    hybrid, values = hybridize(network().train(), Residual, mode="add"), images()
    hybrid(values)
    hybrid.eval()
    together = hybrid(values)
    assert torch.equal(together, hybrid(values))
    for index in range(len(values)):
        torch.testing.assert_close(hybrid(values[index : index + 1])[0], together[index])


def test_inside_autocast_the_dtype_is_that_of_the_given_model() -> None:
    net, values = network().eval(), images()
    hybrid = hybridize(net, Residual)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(hybrid(values), net(values))
