"""Activations: each becomes a neuron."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...blocks.quantised import QCFS
from ..errors import ConversionError
from ..rule import Rule, Site


def _observed(site: Site) -> Tensor:
    if site.observed is None:
        raise ConversionError(
            f"'{site.name}' ({site.operation}) at {site.location} brings no threshold of its own, and thresholds = "
            f"'from_model' forbids choosing one. Train with QCFS there, or pass thresholds='percentile:99.9'."
        )
    if site.observed.item() == 0.0:
        raise ConversionError(
            f"'{site.name}' ({site.operation}) at {site.location} was (almost) never active in calibration, so "
            f"thresholds = {site.recipe.thresholds!r} gives 0. Pass more data, or thresholds='max'; an activation that "
            f"is never positive can be removed."
        )
    return site.observed


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
    threshold=_observed,
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
