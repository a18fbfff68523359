"""Spikformer: parameters with and without use, attention in either order, thresholds, tokens, what it refuses."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from spikebridge import IF, LIF, QCFS, Direct, GroupNeuron, Neuron, OverTime, SpikingNetwork
from spikebridge.models import spikformer
from spikebridge.models.attention import AttentionProduct, SelfAttention, at_half_threshold

from .host_networks import count, eager, group, images, qcfs, small_spikformer

# As published, and without the LayerNorms that nothing calls.
PARAMETERS = {
    (4, 256, 10, 32): (4_159_274, 4_155_178),
    (2, 384, 10, 32): (5_768_122, 5_765_050),
    (4, 384, 10, 32): (9_330_874, 9_324_730),
    (8, 512, 1000, 224): (29_718_056, 29_701_672),
}


@pytest.mark.parametrize(("depth", "width", "classes", "image_size"), PARAMETERS)
def test_networks_have_the_published_number_of_parameters(
    depth: int, width: int, classes: int, image_size: int
) -> None:
    made = partial(count, spikformer, depth=depth, width=width, classes=classes, image_size=image_size)
    assert (made(), made(published_norms=False)) == PARAMETERS[depth, width, classes, image_size]


def test_the_call_of_the_paper_has_the_parameters_of_the_paper() -> None:
    network = spikformer(depth=4, width=256, classes=10, time_steps=4)
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_159_274
    assert sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad) == 4_155_178


@pytest.mark.parametrize("depth", [1, 4])
def test_there_are_five_neurons_before_the_blocks_and_seven_in_each(depth: int) -> None:
    network = small_spikformer(depth=depth)
    assert sum(isinstance(module, Neuron) for module in network.modules()) == 5 + 7 * depth


def test_norms_without_use_are_frozen_and_change_nothing() -> None:
    published, plain = small_spikformer(), small_spikformer(published_norms=False)
    missing, unexpected = plain.load_state_dict(published.state_dict(), strict=False)
    assert not missing
    frozen = [key for key, parameter in published.named_parameters() if not parameter.requires_grad]
    assert sorted(unexpected) == sorted(frozen)
    assert len(frozen) == 4
    assert not any(isinstance(module, nn.LayerNorm) for module in plain.modules())
    train = images(2).expand(3, 2, 3, 16, 16)
    assert torch.equal(published.eval()(train), plain.eval()(train))


def test_linears_start_narrow_and_biases_at_zero() -> None:
    torch.manual_seed(0)
    network = small_spikformer(width=64)
    linears = [module for module in network.modules() if getattr(module, "bias", None) is not None]
    linears = [
        module for module in linears if isinstance(module, nn.Linear) or getattr(module, "kernel_size", 0) == (1, 1)
    ]
    assert len(linears) == 4 + 2 + 1
    for linear in linears:
        assert linear.weight.std().item() == pytest.approx(0.02, rel=0.15)
        assert not linear.bias.any()


def spikes(*shape: int) -> torch.Tensor:
    return torch.randint(0, 2, shape).float()


@pytest.mark.parametrize("lead", [(5,), (3, 5)])
def test_attention_is_the_product_of_the_tokens_of_each_head(lead: tuple[int, ...]) -> None:
    query, key, value = (spikes(*lead, 12, 4, 4) for _ in range(3))
    found = AttentionProduct(heads=3)(query, key, value)
    assert found.shape == (*lead, 12, 4, 4)
    for head in range(3):
        # [*, tokens, channels of the head]
        q, k, v = (part.flatten(-2).transpose(-2, -1)[..., head * 4 : (head + 1) * 4] for part in (query, key, value))
        expected = (q @ k.transpose(-2, -1)) @ v * 0.125
        assert torch.equal(found.flatten(-2).transpose(-2, -1)[..., head * 4 : (head + 1) * 4], expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_for_spikes_both_orders_of_the_product_are_equal(dtype: torch.dtype) -> None:
    parts = [spikes(4, 2, 64, 14, 14).to(dtype) for _ in range(3)]
    first, second = (AttentionProduct(heads=2, keys_first=order)(*parts) for order in (True, False))
    assert torch.equal(first, second)
    assert first.max() > 100


def test_for_real_numbers_both_orders_differ_by_rounding_alone() -> None:
    parts = [torch.randn(2, 64, 6, 6) for _ in range(3)]
    first, second = (AttentionProduct(heads=2, keys_first=order)(*parts) for order in (True, False))
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("image_size", "keys_first"), [(32, True), (16, False), (224, True), (64, True)])
def test_the_shorter_order_is_taken(image_size: int, keys_first: bool) -> None:
    network = spikformer(depth=1, width=64, image_size=image_size)  # 2 heads of 32 channels
    products = [module for module in network.modules() if isinstance(module, AttentionProduct)]
    assert [product.keys_first for product in products] == [keys_first]
    assert [product.heads for product in products] == [2]


def test_steps_do_not_see_each_other_but_through_neurons() -> None:
    attention = SelfAttention(8, heads=2, tokens=16, activation=nn.ReLU, attention=nn.ReLU).eval()
    values = torch.rand(3, 8, 4, 4)
    lifted = SelfAttention(8, heads=2, tokens=16, activation=IF, attention=IF).eval()
    lifted.load_state_dict(attention.state_dict(), strict=False)
    for module in lifted.modules():
        for name, child in module.named_children():
            if isinstance(child, IF):
                setattr(module, name, OverTime(nn.ReLU()))
    train = torch.stack([values, 2 * values])
    torch.testing.assert_close(lifted(train), torch.stack([attention(values), attention(2 * values)]))


def thresholds(network: nn.Module) -> dict[str, float]:
    found = {}
    for name, module in network.named_modules():
        if isinstance(module, Neuron | QCFS):
            found[name] = module.threshold.item()
    return found


def test_the_neuron_behind_the_attention_has_half_the_threshold() -> None:
    found = thresholds(small_spikformer(depth=2))
    halved = {f"blocks.{index}.attention.activation" for index in range(2)}
    assert {name for name, threshold in found.items() if threshold == 0.5} == halved
    assert set(found.values()) == {0.5, 1.0}


@pytest.mark.parametrize("activation", [qcfs, group])
def test_levels_are_not_halved(activation: Any) -> None:
    assert len(set(thresholds(small_spikformer(activation=activation)).values())) == 1


def test_the_neuron_behind_the_attention_can_be_given() -> None:
    network = small_spikformer(attention=partial(IF, threshold=0.3))
    assert isinstance(network.blocks[0].attention.activation, IF)
    assert thresholds(network)["blocks.0.attention.activation"] == pytest.approx(0.3)


def test_halving_leaves_the_maker_and_its_neurons_as_they_are() -> None:
    assert at_half_threshold(LIF)().threshold == 0.5
    assert LIF().threshold == 1.0
    assert at_half_threshold(partial(IF, spike_value=0.5))().threshold == 1.0
    assert at_half_threshold(partial(GroupNeuron, members=1))().threshold == 1.0
    assert isinstance(at_half_threshold(nn.ReLU)(), nn.ReLU)


@pytest.mark.parametrize(("built_for", "side", "tokens"), [(32, 32, 8), (32, 28, 7), (224, 64, 4), (96, 96, 6)])
def test_images_of_any_size_become_tokens_and_logits(built_for: int, side: int, tokens: int) -> None:
    network = small_spikformer(image_size=built_for, classes=7)
    train = images(2, side=side).expand(2, 2, 3, side, side)
    assert network.patches(network.stem(train)).shape == (2, 2, 16, tokens, tokens)
    assert network(train).shape == (2, 2, 7)


def test_what_passes_from_block_to_block_are_whole_numbers() -> None:
    network = small_spikformer(depth=2, activation=eager)
    tokens = network[:3](images().expand(2, 4, 3, 16, 16))
    assert torch.equal(tokens, tokens.round())
    assert tokens.max() > 1


def test_a_declared_time_is_that_of_trains() -> None:
    network = small_spikformer(time_steps=4)
    assert network(images().expand(4, 4, 3, 16, 16)).shape == (4, 4, 10)
    with pytest.raises(
        ValueError, match=re.escape("Stem 'stem' expects a train [time=4, batch, *unit]; got shape (5, 3,")
    ):
        network(images(5))
    assert SpikingNetwork(network, encoder=Direct(time_steps=2))(images()).shape == (4, 10)
    assert small_spikformer(time_steps=4, activation=nn.ReLU)(images()).shape == (4, 10)


@pytest.mark.parametrize("name", ["depth", "width", "classes", "in_channels", "image_size", "mlp_ratio"])
def test_sizes_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"spikformer expects {name} >= 1; got 0.")):
        spikformer(**{name: 0})


REFUSED: dict[str, dict[str, Any]] = {
    "spikformer expects a width that is a multiple of 8, since its first convolution has an eighth of the channels; "
    "got width = 100. Take 96.": {"width": 100},
    "spikformer expects heads that share the width evenly; got heads = 3 for width = 64. Pass heads=8, or another "
    "divisor of 64.": {"width": 64, "heads": 3},
    "spikformer expects time_steps >= 1; got 0. Run at least one step.": {"time_steps": 0},
}


@pytest.mark.parametrize("message", REFUSED)
def test_settings_that_make_no_network_are_refused(message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        spikformer(**REFUSED[message])


def test_a_time_that_is_no_whole_number_is_refused() -> None:
    with pytest.raises(TypeError, match=re.escape("spikformer expects time_steps to be an int; got 4.0.")):
        spikformer(depth=1, width=8, time_steps=4.0)
