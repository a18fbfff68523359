"""From settings to the things they name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from ..blocks import QCFS, RateDecoder, SpikingNetwork
from ..data import Split, find
from ..encoders import ENCODERS
from ..models import MODELS
from ..neurons import NEURONS
from ..training import CropFlip, CrossEntropy, Learner, Machines, Mixup, PerStepCrossEntropy
from .config import DataConfig, ModelConfig, ObjectiveConfig, OptimiserConfig, TrainConfig


def network_for(config: TrainConfig, split: Split) -> tuple[nn.Module, int]:
    """The freshly initialised network for a data set, and the number of classes."""
    value, _ = split.train[0]
    classes = len(find(config.data.name).classes)
    return build_network(config.model, unit=tuple(value.shape), classes=classes, seed=config.seed), classes


def build_network(config: ModelConfig, *, unit: tuple[int, ...], classes: int, seed: int) -> nn.Module:
    """The network that a run trains, freshly initialised: [batch, *unit] -> [batch, classes].

    Raises:  ValueError: samples that are not images of equal sides.
    """
    if len(unit) != 3 or unit[1] != unit[2]:
        raise ValueError(
            f"model.name '{config.name}' expects square images [channels, height, width]; the data has samples of "
            f"shape {list(unit)}. Choose an image set, or train a network of your own from Python (docs/training.md)."
        )
    torch.manual_seed(seed)
    options: dict[str, Any] = {"in_channels": unit[0], "image_size": unit[1], "classes": classes}
    chosen = {name: getattr(config, name) for name in ("depth", "width", "stem")}
    options |= {name: value for name, value in chosen.items() if value is not None}
    builder = MODELS[config.name]
    known = inspect.signature(builder).parameters
    made = hybrid_options(config) if config.has_branches else {"activation": activation_of(config)}
    body = builder(**made, **{key: value for key, value in options.items() if key in known})
    if not config.is_spiking:
        return body
    return SpikingNetwork(body, encoder=ENCODERS[config.encoder](time_steps=config.time_steps))


def hybrid_options(config: ModelConfig) -> dict[str, Any]:
    """What builds the hybrid blocks of a network."""
    hybrid = config.hybrid
    settings: dict[str, Any] = {"time_steps": config.time_steps}
    kind: Callable[..., nn.Module] = ENCODERS[hybrid.code]
    known = inspect.signature(kind).parameters
    if "value_range" in known:
        is_unit = hybrid.value_range == "unit"
        settings |= {"value_range": (0.0, 1.0), "outside": "clip"} if is_unit else {"value_range": hybrid.value_range}
    names = ("order", "surrogate", "rescale", "edge", "rounding", "weights", "phase")
    settings |= {name: getattr(hybrid, name) for name in names if name in known}
    decoder = RateDecoder if hybrid.decoder == "rate" else None
    return {"branches": hybrid.branches, "encoder": partial(kind, **settings), "decoder": decoder}


def machines_of(config: TrainConfig) -> Machines:
    """Where a run runs."""
    places: dict[str, Any] = {name: getattr(config, name) for name in Machines.__dataclass_fields__}
    return Machines(**places)


def activation_of(config: ModelConfig) -> Callable[[], nn.Module]:
    """What makes the network's activations."""
    if config.activation == "QCFS":
        return partial(QCFS, levels=config.levels)
    kinds: dict[str, Callable[..., nn.Module]] = {"ReLU": nn.ReLU, **NEURONS}
    kind = kinds[config.activation]
    known = inspect.signature(kind).parameters
    settings = {"members": config.levels, "time_steps": config.time_steps}
    return partial(kind, **{name: value for name, value in settings.items() if name in known})


def build_learner(config: TrainConfig, network: nn.Module, *, classes: int, compiled: bool) -> Learner:
    """The network with its objective, optimiser and augmentation."""
    return Learner(
        network,
        objective=_objective(config.objective),
        optimiser=_optimiser(config.optimiser),
        warm_up=config.optimiser.warm_up,
        augment=_augment(config.data),
        mix=Mixup(alpha=config.objective.mixup, classes=classes) if config.objective.mixup else None,
        compiled=compiled,
        channels_last=config.channels_last,
    )


def _objective(config: ObjectiveConfig) -> Any:
    if config.name == "per-step":
        return PerStepCrossEntropy(label_smoothing=config.label_smoothing, regularisation=config.regularisation)
    return CrossEntropy(label_smoothing=config.label_smoothing)


def _optimiser(config: OptimiserConfig) -> Any:
    if config.name == "sgd":
        settings: dict[str, Any] = {"momentum": config.momentum, "nesterov": config.momentum > 0}
        return partial(torch.optim.SGD, lr=config.rate, weight_decay=config.weight_decay, **settings)
    return partial(torch.optim.AdamW, lr=config.rate, weight_decay=config.weight_decay)


def _augment(config: DataConfig) -> CropFlip | None:
    return CropFlip(padding=config.padding) if config.augment == "crop-flip" else None
