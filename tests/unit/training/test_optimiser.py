"""Which parameters decay, how the rate moves, how images are shifted."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import LIF, QCFS, AdaptiveLIF, Direct, GroupNeuron, Neuron, SpikingNetwork
from spikebridge.models import MODELS
from spikebridge.training import CropFlip, parameter_groups
from spikebridge.training.optimiser import warm_up_cosine

from ...networks import BY_ACTIVATION


class StepwiseLeak(Neuron[Any]):
    """Has one leak per step and channel: a matrix that must not decay."""

    def __init__(self) -> None:
        super().__init__()
        self.leak = nn.Parameter(torch.ones(4, 16))

    def initial_state(self, current: Tensor) -> Any:
        return (torch.zeros_like(current),)

    def step(self, current: Tensor, state: Any) -> Any:
        return current, state


ACTIVATIONS: dict[str, Any] = {
    "ReLU": nn.ReLU,
    "QCFS": QCFS,
    "LIF": lambda: LIF(learn_decay=True),
    "GroupNeuron": GroupNeuron,
    "per step": StepwiseLeak,
    "AdaptiveLIF": lambda: AdaptiveLIF(channels=None),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("model", BY_ACTIVATION)
def test_every_parameter_is_in_one_group_and_only_kernels_and_matrices_decay(model: str, activation: str) -> None:
    network = MODELS[model](activation=ACTIVATIONS[activation])
    decaying, steady = (group["params"] for group in parameter_groups(network))
    assert len(decaying) > 3
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert sorted(map(id, [*decaying, *steady])) == sorted(map(id, trained))
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert {id(parameter) for parameter in decaying} == {id(layer.weight) for layer in layers}
    assert parameter_groups(network)[1]["weight_decay"] == 0.0


def test_layers_inside_a_spiking_network_decay_as_they_do_outside() -> None:
    body = MODELS["cnn"](activation=LIF)
    network = SpikingNetwork(body, encoder=Direct(time_steps=2))
    assert [len(group["params"]) for group in parameter_groups(network)] == [
        len(group["params"]) for group in parameter_groups(body)
    ]


def test_frozen_parameters_are_left_out() -> None:
    layer = nn.Linear(3, 2)
    layer.weight.requires_grad_(False)
    assert [len(group["params"]) for group in parameter_groups(layer)] == [0, 1]


def test_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    factors = [warm_up_cosine(step, warm_up=10, total=100) for step in range(101)]
    assert max(factors) == factors[9] == factors[10] == 1.0
    assert all(earlier < later for earlier, later in pairwise(factors[:10]))
    assert all(earlier > later for earlier, later in pairwise(factors[10:]))
    assert factors[100] == pytest.approx(0.0)
    assert factors[55] == pytest.approx(0.5)  # half-way down
    assert warm_up_cosine(0, warm_up=0, total=10) == 1.0


def test_augmented_images_are_shifts_and_mirrors_of_their_own() -> None:
    images = torch.rand(64, 2, 5, 6)
    changed = CropFlip(padding=2)(images)
    assert changed.shape == images.shape
    kinds = set()
    for image, result in zip(images, changed, strict=True):
        padded = F.pad(image, [2] * 4)
        candidates = {
            (row, column, flip): padded[:, row : row + 5, column : column + 6].flip(-1 if flip else ())
            for row in range(5)
            for column in range(5)
            for flip in (False, True)
        }
        found = [place for place, candidate in candidates.items() if torch.equal(candidate, result)]
        assert len(found) == 1
        kinds.add(found[0])
    assert len({flip for _, _, flip in kinds}) == 2
    assert len({row for row, _, _ in kinds}) == len({column for _, column, _ in kinds}) == 5


def test_no_padding_and_no_mirror_change_nothing() -> None:
    images = torch.rand(3, 1, 4, 4)
    assert torch.equal(CropFlip(padding=0, flip=False)(images), images)


def test_a_network_without_a_trained_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expects at least one parameter that is trained; got a network where none"):
        parameter_groups(nn.Linear(3, 2).requires_grad_(False))
