"""Layers upon layers of units that a readout chose."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from spikebridge.convex import gaussian_witness
from spikebridge.convex.stacking import stacked
from spikebridge.convex.witnesses import linears_of

INPUTS, STEPS = 4, 3


class Solution(NamedTuple):
    weights: np.ndarray
    intercept: np.ndarray


def draw(inputs: int, units: int, layer: int) -> nn.Sequential:
    return gaussian_witness(inputs, (units,), scaling="none", seed=layer)


def choosing(*units: list[int], asked: list[nn.Sequential]) -> Any:
    """Readouts with a weight on these units, layer by layer."""
    waiting = iter(units)

    def solve(network: nn.Sequential) -> Solution:
        asked.append(network)
        weights = np.zeros((network[-2][-1].out_features, 2))
        weights[next(waiting), 1] = 1.0
        return Solution(weights, np.zeros(2))

    return solve


def test_a_layer_sees_the_chosen_units_of_the_layer_below() -> None:
    asked: list[nn.Sequential] = []
    network = stacked(INPUTS, widths=(20, 10, 30), draw=draw, solve=choosing([2, 5, 11], [0, 9], asked=asked))
    assert [(layer.in_features, layer.out_features) for layer in linears_of(network)] == [(4, 3), (3, 2), (2, 30)]
    train = (torch.rand(STEPS, 8, INPUTS) < 0.5).float()
    first = asked[0](train)[..., [2, 5, 11]]
    second = draw(3, 10, 1)(first)[..., [0, 9]]
    assert torch.equal(network(train), draw(2, 30, 2)(second))
    assert [len(linears_of(each)) for each in asked] == [1, 2]


def test_one_layer_is_drawn_and_nothing_solved() -> None:
    asked: list[nn.Sequential] = []
    network = stacked(INPUTS, widths=(20,), draw=draw, solve=choosing(asked=asked))
    assert not asked
    train = (torch.rand(STEPS, 8, INPUTS) < 0.5).float()
    assert torch.equal(network(train), draw(INPUTS, 20, 0)(train))


def test_a_unit_that_any_question_reads_stays() -> None:
    def solve(network: nn.Sequential) -> list[Solution]:
        both = []
        for unit in (3, 7):
            weights = np.zeros((2, 20, 1))
            weights[1, unit] = 1.0
            both.append(Solution(weights.reshape(40, 1), np.zeros(1)))
        return both

    network = stacked(INPUTS, widths=(20, 5), draw=draw, solve=solve, slots=2)
    assert torch.equal(linears_of(network)[0].weight, linears_of(draw(INPUTS, 20, 0))[0].weight[[3, 7]])


def test_no_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"stacked expects a width for each layer; got none\."):
        stacked(INPUTS, widths=(), draw=draw, solve=choosing(asked=[]))
