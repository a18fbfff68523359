"""Activations: each becomes a neuron."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...blocks.quantised import QCFS
from ..rule import Rule, Site, observed_threshold


def _rounding(site: Site) -> str:
    if not isinstance(site.recipe.neuron, str):
        return "as the neuron function decides"
    levels = 1 if site.recipe.neuron == "if" else site.recipe.members
    return f"clipped at the threshold, {levels} level{'s' if levels > 1 else ''} per step"


def _agreement(site: Site) -> str:
    assert isinstance(site.module, QCFS)
    trained = site.module.levels
    if site.recipe.neuron in ("group", "signed-group") and site.recipe.members == trained:
        return "identical at T = 1: members = levels"
    return f"trained with {trained} levels; {_rounding(site)}"


def _own(site: Site) -> Tensor:
    assert isinstance(site.module, QCFS)
    return site.module.threshold.detach().clone()


RELU = Rule(
    name="ReLU",
    matches=(nn.ReLU, F.relu, F.relu_, torch.relu, torch.relu_, "relu", "relu_"),
    fidelity="spiking",
    threshold=observed_threshold,
    note=_rounding,
    example=lambda: (nn.Sequential(nn.Linear(6, 5), nn.ReLU()), torch.linspace(-1, 1, 24).reshape(4, 6)),
)

QUANTISED_RELU = Rule(
    name="QCFS",
    matches=(QCFS,),
    fidelity="spiking",
    threshold=_own,
    note=_agreement,
    example=lambda: (nn.Sequential(nn.Linear(6, 5), QCFS(levels=16)), torch.linspace(-1, 1, 24).reshape(4, 6)),
)
