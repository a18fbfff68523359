"""Spiking ResNets: how many parameters and neurons, what a block computes, what they refuse."""

from __future__ import annotations

import re
from collections import Counter
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from spikebridge import IF, LIF, QCFS, Direct, GroupNeuron, Neuron, SpikingNetwork
from spikebridge.models import spiking_resnet
from spikebridge.models.spiking_resnet import BLOCKS

from .host_networks import count, images, settled, small_resnet

WIDE: dict[str, Any] = {"stages": (3, 3, 2), "width": 128, "stem_width": 64}
PARAMETERS: list[tuple[dict[str, Any], int]] = [
    ({"block": "ms"}, 11_173_962),
    ({"block": "ms", "classes": 100}, 11_220_132),
    ({"block": "ms", **WIDE}, 12_502_090),
    ({"block": "ms", "classes": 1000, "stem": "imagenet"}, 11_693_736),
    ({"block": "ms", "depth": 34, "classes": 1000, "stem": "imagenet"}, 21_801_896),
    ({"block": "sew-add"}, 11_173_962),
    ({"block": "sew-add", "classes": 1000, "stem": "imagenet"}, 11_689_512),
    ({"block": "sew-add", "depth": 34, "classes": 1000, "stem": "imagenet"}, 21_797_672),
    ({"block": "plain", "classes": 1000, "stem": "imagenet"}, 11_689_512),
]
NEURONS = {
    ("sew-add", 18): 20,
    ("sew-add", 34): 36,
    ("plain", 18): 17,
    ("plain", 34): 33,
    ("ms", 18): 17,
    ("ms", 34): 33,
}


@pytest.mark.parametrize(("options", "parameters"), PARAMETERS)
def test_networks_have_the_published_number_of_parameters(options: dict[str, Any], parameters: int) -> None:
    assert count(spiking_resnet, **options) == parameters


@pytest.mark.parametrize(("block", "depth"), NEURONS)
def test_networks_have_the_published_number_of_neurons(block: Any, depth: int) -> None:
    network = spiking_resnet(block=block, depth=depth, stem="imagenet", width=1)
    assert sum(isinstance(module, Neuron) for module in network.modules()) == NEURONS[block, depth]


@pytest.mark.parametrize("block", BLOCKS)
def test_unless_told_otherwise_neurons_are_the_published_ones(block: Any) -> None:
    kinds = Counter(type(each) for each in spiking_resnet(block=block, width=1).modules() if isinstance(each, Neuron))
    assert set(kinds) == {LIF if block == "ms" else IF}
    thresholds = {
        each.threshold.item() for each in spiking_resnet(block=block, width=1).modules() if hasattr(each, "reset")
    }
    assert thresholds == {0.5 if block == "ms" else 1.0}


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_images_become_logits_at_every_step(block: Any, stem: Any) -> None:
    network = small_resnet(block=block, stem=stem, classes=7, in_channels=2)
    assert network(torch.rand(3, 2, 2, 32, 32)).shape == (3, 2, 7)
    sides = {("cifar", "ms"): 16, ("imagenet", "ms"): 4}  # stride 1 or 2 in the stem, the rest in the stages
    blocks = network[:-1](torch.rand(1, 2, 2, 32, 32))
    assert blocks.shape[-1] == sides.get((stem, block), 16 if stem == "cifar" else 4)


JOINED = {
    "sew-add": lambda spikes, passed: spikes + passed,
    "sew-and": lambda spikes, passed: spikes * passed,
    "sew-iand": lambda spikes, passed: (spikes < passed).float(),
}


@pytest.mark.parametrize("block", JOINED)
@pytest.mark.parametrize("stride", [1, 2])
def test_sew_blocks_join_spikes_with_the_shortcut(block: str, stride: int) -> None:
    made = BLOCKS[block](3, 3, stride=stride, activation=partial(IF, threshold=0.25))
    train = torch.randint(0, 2, (4, 2, 3, 8, 8)).float()
    spikes, passed = made.activation(made.residual(train)), made.shortcut_activation(made.shortcut(train))
    expected = JOINED[block](spikes, passed)
    assert len(expected.unique()) > 1
    assert torch.equal(made(train), expected)
    assert (stride == 1) == torch.equal(passed, train)


@pytest.mark.parametrize("block", ["sew-and", "sew-iand", "plain"])
def test_trains_stay_binary_in_blocks_that_do_not_add_spikes(block: Any) -> None:
    network = small_resnet(block=block, activation=partial(LIF, threshold=0.5))
    train = network[:-1](torch.rand(3, 2, 3, 16, 16))
    assert set(train.unique().tolist()) <= {0.0, 1.0}


def test_the_current_of_membrane_blocks_is_no_train_of_spikes() -> None:
    network = small_resnet(block="ms")
    current = network[:2](torch.rand(3, 2, 3, 16, 16))
    assert len(current.unique()) > 100
    assert set(network[:3](torch.rand(3, 2, 3, 16, 16)).unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("block", BLOCKS)
def test_with_zero_init_a_block_is_its_shortcut(block: Any) -> None:
    network = small_resnet(block=block, zero_init=True, stages=(2,), activation=IF)
    train = torch.randint(0, 2, (4, 2, 4, 8, 8)).float()
    assert torch.equal(network.blocks(train), train)
    plain = small_resnet(block=block, stages=(2,), activation=partial(IF, threshold=0.25))
    assert not torch.equal(plain.blocks(train), train)


@pytest.mark.parametrize("block", BLOCKS)
def test_with_zero_init_the_norms_learn_all_the_same(block: Any) -> None:
    network = SpikingNetwork(small_resnet(block=block, zero_init=True, activation=IF), encoder=Direct(time_steps=2))
    network(images()).square().sum().backward()
    scales = [
        module.weight for module in network.modules() if isinstance(module, nn.BatchNorm2d) and not module.weight.any()
    ]
    assert len(scales) == 2
    assert all(scale.grad.abs().sum() > 0 for scale in scales)


def test_relu_twins_of_membrane_and_plain_blocks_start_as_shortcuts_too() -> None:
    for block in ("ms", "plain"):
        values = torch.rand(2, 4, 8, 8)
        network = small_resnet(block=block, zero_init=True, stages=(2,), activation=nn.ReLU)
        assert torch.equal(network.blocks(values), values)


def test_a_network_comes_back_from_its_state() -> None:
    values = images()
    network = settled(SpikingNetwork(small_resnet(), encoder=Direct(time_steps=2)), values)
    again = SpikingNetwork(small_resnet(), encoder=Direct(time_steps=2)).eval()
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(values), network(values))


NO_BITS = {
    "ReLU": nn.ReLU,
    "QCFS": partial(QCFS, levels=1),
    "GroupNeuron": partial(GroupNeuron, threshold=2.0, members=2),
}


@pytest.mark.parametrize("activation", [*NO_BITS, "IF of other spikes"])
@pytest.mark.parametrize("block", ["sew-and", "sew-iand"])
def test_blocks_that_multiply_refuse_what_sends_no_bits(block: Any, activation: str) -> None:
    made = NO_BITS.get(activation, partial(IF, spike_value=0.5))
    expected = (
        f"spiking_resnet(block='{block}') multiplies trains, which is AND of bits and nothing else; it expects a "
        f"neuron that sends 0 or 1, such as IF or LIF; got {made()}. For other activations take block='sew-add', "
        f"'ms' or 'plain'."
    )
    with pytest.raises(ValueError, match=re.escape(expected)):
        spiking_resnet(block=block, activation=made)


def test_a_group_of_one_member_sends_bits() -> None:
    assert spiking_resnet(block="sew-and", width=1, activation=partial(GroupNeuron, members=1))


REFUSED: dict[str, dict[str, Any]] = {
    "spiking_resnet expects a depth of 18 or 34; got 20. For another, pass stages=(3, 3, 2).": {"depth": 20},
    "spiking_resnet expects stem to be one of imagenet, cifar; got 'small'.": {"stem": "small"},
    "spiking_resnet expects block to be one of sew-add, sew-and, sew-iand, ms, plain; got 'sew'.": {"block": "sew"},
    "spiking_resnet expects at least one stage, each of at least one block; got stages=(2, 0).": {"stages": (2, 0)},
    "spiking_resnet expects at least one stage, each of at least one block; got stages=().": {"stages": ()},
    "spiking_resnet(block='sew-add', zero_init=True) cannot learn with ReLU: its gradient at 0 is 0, so the blocks "
    "would stay shortcuts for ever. Leave zero_init out, or take block='ms' or 'plain'.": {
        "zero_init": True,
        "activation": nn.ReLU,
    },
}


@pytest.mark.parametrize("message", REFUSED)
def test_settings_that_make_no_network_are_refused(message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        spiking_resnet(**REFUSED[message])
