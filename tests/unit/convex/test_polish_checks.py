"""A polished network is held to what its new head says: on all validation data, from any start, wherever data are."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spikebridge.convex import polish
from spikebridge.convex.heads import find_head, see
from spikebridge.convex.shrink import Picked, picking, with_head

from .test_polish import CLASSES, HIDDEN, INPUTS, TRAIN, VALIDATION, made, rule

CLOSE = 1e-5


class Again(nn.Module):
    """The last layer is called before the end too, so its weights are the body's."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(INPUTS, CLASSES), nn.Linear(CLASSES, CLASSES)

    def forward(self, values: Tensor) -> Tensor:
        """[batch, INPUTS] -> [batch, CLASSES]."""
        return self.last(torch.relu(self.last(self.first(values))))


def test_a_head_that_is_called_before_the_end_is_refused() -> None:
    torch.manual_seed(0)
    with pytest.raises(ValueError, match="a head that is the last thing a network does; with other weights in 'last'"):
        polish(Again(), TRAIN, VALIDATION, strengths=[1e-3])


class Hidden(nn.Module):
    """Units look unread on a training batch, and are read by a shortcut on others."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, CLASSES)

    def forward(self, values: Tensor) -> Tensor:
        """[batch, INPUTS] -> [batch, CLASSES]."""
        hidden = torch.relu(self.body(values))
        if hidden.shape[-1] == HIDDEN or (values < 2.0).all():
            return self.head(hidden)
        return self.head(hidden).flip(-1)


def test_a_smaller_network_is_held_to_all_validation_data() -> None:
    torch.manual_seed(0)
    network = Hidden()
    with torch.no_grad():
        network.body.weight[:4] = 0.0
    inside = polish(network, TRAIN, VALIDATION, strengths=[3e-3])
    assert inside.smaller == "body"
    far = torch.cat([VALIDATION[0][0][:9], torch.full((1, INPUTS), 3.0)])
    found = polish(network, TRAIN, [*VALIDATION, (far, rule(far))], strengths=[3e-3])
    assert found.replaced and found.smaller is None
    assert isinstance(found.model.get_submodule("head"), Picked)


@pytest.mark.parametrize("penalty", ["group", "l1"])
def test_the_objective_does_not_rise_from_a_solved_head_at_a_loose_gap(penalty: Any) -> None:
    network = made("analog")
    solved = polish(network, TRAIN, VALIDATION, strengths=[0.01], tol=1e-9, penalty=penalty).model
    found = polish(solved, TRAIN, VALIDATION, strengths=[0.02, 0.01], tol=1e-2, penalty=penalty)
    for point in found.path:
        assert point.objective <= point.old_objective
        assert point.old_excess >= 0.0
        assert point.certificate.dual <= point.objective and point.certificate.relative_gap <= 1e-2


class Elsewhere(Tensor):
    """Values on another device: nothing takes them before they are moved."""

    def to(self, *_: Any, **__: Any) -> Tensor:
        """What arrives."""
        return self.as_subclass(Tensor)


class Here(nn.Module):
    """Refuses values that were not moved."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, values: Tensor) -> Tensor:
        """[batch, INPUTS] -> [batch, CLASSES]."""
        if isinstance(values, Elsewhere):
            raise RuntimeError("Expected all tensors to be on the same device")
        return self.body(values)


def test_batches_are_moved_to_the_network() -> None:
    train, validation = (
        [(values.as_subclass(Elsewhere), targets) for values, targets in part] for part in (TRAIN, VALIDATION)
    )
    found = polish(Here(made("analog")), train, validation, strengths=2)
    assert found.path[0].objective == polish(made("analog"), TRAIN, VALIDATION, strengths=2).path[0].objective


@pytest.mark.parametrize("name", ["analog", "summed"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_networks_of_other_types_are_polished(dtype: torch.dtype, name: str) -> None:
    network = made(name).to(dtype)
    train, validation = ([(values.to(dtype), targets) for values, targets in part] for part in (TRAIN, VALIDATION))
    head = find_head(network, train)
    assert see(network, head, train).features.shape[1] == HIDDEN
    found = polish(network, train, validation, strengths=np.int64(3))
    assert found.replaced and len(found.path) == 3
    for point in found.path:
        assert point.objective <= point.old_objective
        for part in (point.weights, point.intercept / head.bias_share):
            assert torch.equal(torch.from_numpy(part).to(dtype).double(), torch.from_numpy(part))


def test_validation_accuracy_is_the_networks_own_and_never_falls() -> None:
    """In bfloat16 many answers tie, and those of the head alone are not the network's."""
    told = 0
    for seed in range(12):
        torch.manual_seed(seed)
        values, rule = torch.randn(600, 6), torch.randn(6, 3)
        targets = (values @ rule + 0.5 * torch.randn(600, 3)).argmax(1)
        network = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3))
        optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
        for _ in range(40):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(values[:300]), targets[:300]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        network, values = network.bfloat16(), values.bfloat16()
        held_out = [(values[300:], targets[300:])]
        found = polish(network, [(values[:300], targets[:300])], held_out, strengths=[1e-2, 1e-3, 1e-4])
        before, after = (
            (each(values[300:]).argmax(1) == targets[300:]).double().mean() for each in (network, found.model)
        )
        assert after >= before == found.old_accuracy
        assert found.chosen is None or found.chosen.accuracy == after
        told += found.replaced
    assert told > 3


class Scaled(nn.Linear):
    """A linear layer of one's own."""


def test_a_head_keeps_its_kind_and_what_is_frozen() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), Scaled(HIDDEN, CLASSES))
    network.get_submodule("2").requires_grad_(False)
    before = copy.deepcopy(network.state_dict())
    weight, bias = torch.randn(CLASSES, HIDDEN), torch.randn(CLASSES)
    for result in (with_head(network, "2", weight, bias), picking(network, "2", torch.tensor([1, 4]))):
        head = result.get_submodule("2")
        layer = head.layer if isinstance(head, Picked) else head
        assert isinstance(layer, Scaled) and layer.in_features == layer.weight.shape[1]
        assert not layer.weight.requires_grad and not layer.bias.requires_grad
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
