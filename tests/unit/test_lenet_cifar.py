"""The LeNet of the adaptive codes: how many parameters, where its pools stand, what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikebridge import LIF, Neuron
from spikebridge.models import lenet_cifar

from .host_networks import count


def test_the_network_has_the_published_number_of_parameters() -> None:
    assert count(lenet_cifar) == 331_380
    # A code with an analog first step has another stem for it; the published network adds 63 scalars of its neurons.
    with torch.device("meta"):
        stem = sum(parameter.numel() for parameter in lenet_cifar().stem.parameters())
    assert count(lenet_cifar) + stem == 332_340 == 332_403 - 63


def test_pools_see_spikes() -> None:
    network = lenet_cifar(activation=LIF)
    assert sum(isinstance(module, Neuron) for module in network.modules()) == 4
    seen: list[set[float]] = []
    for module in network.modules():
        if isinstance(module, nn.MaxPool2d):
            module.register_forward_hook(lambda _, inputs, __: seen.append(set(inputs[0].unique().tolist())))
    network(torch.rand(3, 2, 3, 32, 32) * 4)
    assert len(seen) == 3
    assert all(values <= {0.0, 1.0} for values in seen)


@pytest.mark.parametrize(("side", "channels"), [(8, 1), (28, 1), (32, 3)])
def test_images_of_any_legal_size_become_logits(side: int, channels: int) -> None:
    network = lenet_cifar(classes=7, in_channels=channels, image_size=side)
    assert network(torch.rand(2, channels, side, side)).shape == (2, 7)


def test_images_too_small_for_the_pools_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 8 x 8 pixels; got image_size = 7. Take the cnn."):
        lenet_cifar(image_size=7)
