"""The hybrid VGG and ResNet: how many parameters, what each kind of branches is, what they refuse."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import LIF, BitPlane, Encoder, Fusion, Neuron, RateDecoder, reference_parity
from spikebridge.models import has_resnet, has_vgg
from spikebridge.models.branches import Branches
from spikebridge.models.hybrid_cnn import tau_two

BRANCHES = get_args(Branches)


def three_planes() -> BitPlane:
    return BitPlane(bits=3, value_range="running")


# Narrow, with a short code, and still every layer of the published ones.
SMALL: dict[str, Callable[..., nn.Module]] = {
    "vgg": lambda **options: has_vgg(**{"width": 2, "encoder": three_planes, **options}),
    "resnet": lambda **options: has_resnet(**{"width": 2, "encoder": three_planes, **options}),
    "resnet, cifar": lambda **options: has_resnet(**{"width": 2, "stem": "cifar", "encoder": three_planes, **options}),
}
everything = pytest.mark.parametrize("branches", BRANCHES)
every_network = pytest.mark.parametrize("name", SMALL)

HYBRID = {
    (has_vgg, 16, 10): 9_693_556,
    (has_vgg, 16, 100): 9_785_896,
    (has_vgg, 16, 1000): 10_709_296,
    (has_vgg, 24, 10): 19_297_060,
    (has_vgg, 24, 100): 19_389_400,
    (has_vgg, 24, 1000): 20_312_800,
    (has_resnet, 32, 10): 5_632_522,
    (has_resnet, 32, 100): 5_655_652,
    (has_resnet, 32, 1000): 5_886_952,
    (has_resnet, 64, 10): 22_358_154,
    (has_resnet, 64, 100): 22_404_324,
    (has_resnet, 64, 1000): 22_866_024,
}
ONE_BRANCH = {
    (has_vgg, 16): 4_846_778,
    (has_vgg, 24): 9_648_530,
    (has_resnet, 32): 2_817_546,
    (has_resnet, 64): 11_181_642,
}


def count(builder: Callable[..., nn.Module], **options: Any) -> int:
    def neuron() -> LIF:
        with torch.device("cpu"):  # a setting is checked, so it must have a value
            return tau_two()

    with torch.device("meta"):
        return sum(parameter.numel() for parameter in builder(neuron=neuron, **options).parameters())


def images(batch: int = 2, side: int = 32) -> Tensor:
    return torch.rand(batch, 3, side, side)


def trained_on_one_batch(network: nn.Module) -> nn.Module:
    """In eval mode, with measured ranges and statistics, and gates that are open."""
    open_gates(network)
    network(images(4))
    return network.eval()


def open_gates(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, Fusion) and module.gate is not None:
            nn.init.constant_(module.gate, 0.5)


def encoders(network: nn.Module) -> list[Encoder]:
    return [module for module in network.modules() if isinstance(module, Encoder)]


@pytest.mark.parametrize(("builder", "width", "classes"), HYBRID)
def test_both_branches_have_the_published_number_of_parameters(builder: Any, width: int, classes: int) -> None:
    assert count(builder, width=width, classes=classes) == HYBRID[builder, width, classes]


@pytest.mark.parametrize("branches", ["ann", "serial", "snn"])
@pytest.mark.parametrize(("builder", "width"), ONE_BRANCH)
def test_one_branch_has_the_parameters_of_its_share(builder: Any, width: int, branches: str) -> None:
    assert count(builder, width=width, branches=branches) == ONE_BRANCH[builder, width]


@pytest.mark.parametrize(("builder", "width", "blocks"), [(has_vgg, 16, 6), (has_resnet, 32, 9)])
def test_gates_are_all_that_gated_branches_have_more(builder: Any, width: int, blocks: int) -> None:
    assert count(builder, width=width, branches="gated") == HYBRID[builder, width, 10] + blocks


def test_channels_of_the_vgg_grow_with_those_of_the_image() -> None:
    network = has_vgg(width=2, in_channels=2, branches="ann")
    widths = [module.out_channels for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert widths == [4, 8, 16, 32, 64]
    assert network(torch.rand(2, 2, 32, 32)).shape == (2, 10)


def test_the_stem_for_small_images_keeps_their_size() -> None:
    sides = {}
    for stem in ("imagenet", "cifar"):
        network = has_resnet(width=2, stem=stem, branches="ann")
        sides[stem] = network[1](images()).shape
    assert sides == {"imagenet": (2, 16, 1, 1), "cifar": (2, 16, 4, 4)}


@everything
@pytest.mark.parametrize("side", [32, 64])
@every_network
def test_images_of_any_legal_size_become_finite_logits(name: str, side: int, branches: str) -> None:
    logits = SMALL[name](branches=branches, classes=7).eval()(images(side=side))
    assert logits.shape == (2, 7)
    assert torch.isfinite(logits).all()


@everything
@every_network
def test_two_forwards_on_one_input_are_equal(name: str, branches: str) -> None:
    network, values = trained_on_one_batch(SMALL[name](branches=branches)), images()
    assert torch.equal(network(values), network(values))


@everything
@every_network
def test_a_sample_does_not_depend_on_its_batch_mates(name: str, branches: str) -> None:
    # In double precision: rounding that depends on the batch size must not move a value over the edge of a bit.
    network, values = SMALL[name](branches=branches).double(), images().double()
    open_gates(network)
    network(values)
    together = network.eval()(values)
    alone = torch.cat([network(value[None]) for value in values])
    torch.testing.assert_close(alone, together)


@everything
@every_network
def test_gradient_reaches_the_first_convolution_of_every_branch(name: str, branches: str) -> None:
    network = SMALL[name](branches=branches)
    open_gates(network)
    F.cross_entropy(network(images(4)), torch.arange(4)).backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)
    first = [each for each in network.modules() if isinstance(each, nn.Conv2d) and each.in_channels == 3]
    assert len(first) == (2 if branches in ("add", "gated") else 1)
    for convolution in first:
        assert convolution.weight.grad is not None
        assert convolution.weight.grad.abs().sum() > 0


@every_network
def test_without_a_surrogate_serial_blocks_learn_in_the_last_block_alone(name: str) -> None:
    network = SMALL[name](branches="serial", encoder=lambda: BitPlane(surrogate="none", value_range="running"))
    F.cross_entropy(network(images(4)), torch.arange(4)).backward()
    last = "head" if name == "vgg" else "features.8"
    for key, parameter in network.named_parameters():
        assert (parameter.grad is not None) == key.startswith((last, "readout")), key


@every_network
def test_a_gated_network_first_answers_as_the_analog_one(name: str) -> None:
    analog, gated, values = SMALL[name](branches="ann"), SMALL[name](branches="gated"), images()
    gated.load_state_dict(analog.state_dict(), strict=False)
    assert torch.equal(gated.eval()(values), analog.eval()(values))


@every_network
def test_both_branches_have_the_same_names(name: str) -> None:
    keys = [key for key, _ in SMALL[name](branches="add").named_parameters()]
    analog = [key.replace(".analog.", ".") for key in keys if ".analog." in key]
    assert len(analog) > 20
    assert analog == [key.replace(".spiking.core.", ".") for key in keys if ".spiking.core." in key]


@everything
@every_network
def test_a_network_comes_back_from_its_state(name: str, branches: str) -> None:
    network, again, values = (
        trained_on_one_batch(SMALL[name](branches=branches)),
        SMALL[name](branches=branches),
        images(),
    )
    again.load_state_dict(network.state_dict())
    assert torch.equal(again.eval()(values), network(values))


@pytest.mark.parametrize(("name", "blocks"), [("vgg", 6), ("resnet", 9), ("resnet, cifar", 9)])
def test_every_block_has_a_code_of_its_own_and_a_spiking_network_one(name: str, blocks: int) -> None:
    expected = {"add": blocks, "gated": blocks, "serial": blocks, "snn": 1, "ann": 0}
    networks = {branches: SMALL[name](branches=branches, decoder=RateDecoder) for branches in BRANCHES}
    assert {branches: len(encoders(network)) for branches, network in networks.items()} == expected
    decoders = {key: sum(isinstance(m, RateDecoder) for m in network.modules()) for key, network in networks.items()}
    assert decoders == expected
    assert not [module for module in networks["ann"].modules() if isinstance(module, Neuron)]


@every_network
def test_an_input_in_code_goes_through_a_spiking_network_as_trains(name: str) -> None:
    network = SMALL[name](branches="snn").eval()
    seen: list[tuple[int, int]] = []
    for module in network.modules():
        if isinstance(module, Neuron):
            module.register_forward_hook(lambda _, inputs, train: seen.append((train.shape[0], train.shape[1])))
    network(images())
    # Five stages and a head of three; a stem, two in each of eight blocks, and four shortcuts that change shape.
    assert len(seen) == (5 + 3 if name == "vgg" else 1 + 16 + 4)
    assert set(seen) == {(3, 2)}


@pytest.mark.parametrize("branches", ["add", "serial", "snn"])
@every_network
def test_the_published_code_can_be_asked_for(name: str, branches: str) -> None:
    network = SMALL[name](branches=branches, encoder=lambda: BitPlane(**reference_parity()), decoder=lambda: None)
    assert {encoder.weights for encoder in encoders(network) if isinstance(encoder, BitPlane)} == {"reversed"}
    assert torch.isfinite(network(images())).all()


@pytest.mark.parametrize("branches", ["serial", "snn"])
def test_published_logits_without_an_analog_branch_are_values_of_spikes(branches: Any) -> None:
    def extremes(**options: Any) -> tuple[float, float]:
        torch.manual_seed(0)
        network = has_vgg(width=1, branches=branches, **options)
        with torch.no_grad():
            for bias in (module.bias for module in network.modules() if isinstance(module, nn.Linear)):
                bias.copy_(torch.linspace(-4.0, 4.0, len(bias)))
            logits = network(images())
        return logits.min().item(), logits.max().item()

    assert extremes() == (0.0, 1.0)
    low, high = extremes(plain_logits=True)
    assert low < -1.0
    assert high > 1.0


def test_plain_logits_leave_parameters_and_their_names_as_they_are() -> None:
    published, plain = has_vgg(width=1), has_vgg(width=1, plain_logits=True)
    assert [key for key, _ in plain.named_parameters()] == [key for key, _ in published.named_parameters()]


@everything
def test_vgg_refuses_images_that_its_pools_would_use_up(branches: Any) -> None:
    expected = (
        "has_vgg expects images of at least 32 x 32 pixels, since its pools leave nothing of smaller ones; got "
        "28 x 40. Enlarge or pad them, or take has_resnet(stem='cifar')."
    )
    with pytest.raises(ValueError, match=re.escape(expected)):
        has_vgg(width=1, branches=branches)(torch.rand(2, 3, 28, 40))
    assert has_resnet(width=1, stem="cifar", branches=branches)(torch.rand(2, 3, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize(("builder", "owner"), [(has_vgg, "has_vgg"), (has_resnet, "has_resnet")])
@pytest.mark.parametrize("shape", [(3, 32, 32), (2, 1, 32, 32), (8, 2, 3, 32, 32)])
def test_what_is_no_image_of_these_channels_is_refused(builder: Any, owner: str, shape: tuple[int, ...]) -> None:
    expected = (
        f"{owner} expects images [batch, 3, height, width]; got shape {shape}. Add the missing axis, or build it with "
        f"in_channels as your images have them."
    )
    with pytest.raises(ValueError, match=re.escape(expected)):
        builder(width=1)(torch.rand(shape))


UNKNOWN: dict[str, tuple[Callable[..., nn.Module], dict[str, Any]]] = {
    "has_vgg expects branches to be one of add, gated, serial, snn, ann; got 'spiking'.": (
        has_vgg,
        {"branches": "spiking"},
    ),
    "has_resnet expects branches to be one of add, gated, serial, snn, ann; got None.": (
        has_resnet,
        {"branches": None},
    ),
    "has_resnet expects stem to be one of imagenet, cifar; got 'small'.": (has_resnet, {"stem": "small"}),
}


@pytest.mark.parametrize("message", UNKNOWN)
def test_unknown_names_are_refused(message: str) -> None:
    builder, options = UNKNOWN[message]
    with pytest.raises(ValueError, match=re.escape(message)):
        builder(**options)


ONE_FOR_ALL: dict[str, nn.Module] = {"encoder": BitPlane(), "decoder": RateDecoder(), "neuron": LIF()}


@pytest.mark.parametrize("name", ONE_FOR_ALL)
@pytest.mark.parametrize(("builder", "owner"), [(has_vgg, "has_vgg"), (has_resnet, "has_resnet")])
def test_one_module_for_all_blocks_is_refused(builder: Any, owner: str, name: str) -> None:
    kind = type(ONE_FOR_ALL[name]).__name__
    expected = f"{owner} expects {name} to make one for each place; got one {kind}. Pass {name}=lambda: {kind}(...)."
    with pytest.raises(TypeError, match=re.escape(expected)):
        builder(**{name: ONE_FOR_ALL[name]})


def test_a_neuron_that_is_none_is_refused() -> None:
    expected = (
        "has_vgg expects neuron to make a neuron, such as LIF; it made ReLU. For a network without spikes pass "
        "branches='ann'."
    )
    with pytest.raises(TypeError, match=re.escape(expected)):
        has_vgg(neuron=nn.ReLU)
