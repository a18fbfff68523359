"""A saved smaller network is put together again from one of the same layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from spikebridge.convex.filling import filled
from spikebridge.convex.shrink import Picked, picking, shrunk

from .test_polish import CLASSES, HIDDEN, INPUTS, TRAIN, made

HEADS = {"analog": "3", "spiking": "body.2.0", "summed": "head"}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("make", [lambda *given: shrunk(*given, TRAIN[0][0])[0], picking])
def test_a_smaller_network_comes_back_from_its_numbers(name: str, make: Any) -> None:
    network = made(name)
    with torch.no_grad():
        network.get_submodule(HEADS[name]).weight[:, [1, 2, 4, 5, 6, *range(8, HIDDEN)]] = 0.0
    smaller = make(network, HEADS[name], torch.tensor([0, 3, 7])).double()
    again = filled(made(name), smaller.state_dict())
    assert isinstance(again.get_submodule(HEADS[name]), Picked) == (make is picking)
    assert str(again) == str(smaller.eval())
    values = TRAIN[0][0].double() if name != "spiking" else TRAIN[0][0]
    with torch.no_grad():
        again, smaller = (again, smaller) if name != "spiking" else (again.float(), smaller.float())
        assert torch.equal(again(values), smaller(values))


def test_convolutions_have_the_channels_of_their_weights() -> None:
    wide = nn.Sequential(nn.Conv2d(2, 8, 3, groups=2), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, CLASSES))
    narrow = nn.Sequential(nn.Conv2d(2, 4, 3, groups=2), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, CLASSES))
    assert str(filled(wide, narrow.state_dict())) == str(narrow)


def test_numbers_of_other_layers_are_refused() -> None:
    other = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    with pytest.raises(ValueError, match=r"those of other layers than Sequential has; 9 differ, such as '1\.bias'"):
        filled(made("analog"), other.state_dict())
    with pytest.raises(ValueError, match=r"1 differ, such as '0\.weight'"):
        filled(other, {**other.state_dict(), "0.weight": torch.zeros(3)})
