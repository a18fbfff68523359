"""From settings to the things they name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from ..adaptive import adapt
from ..blocks import QCFS, RateDecoder, SpikingNetwork
from ..core import SURROGATES, Encoder
from ..core.reset import RESETS, detached
from ..data import Split, find, load
from ..encoders import ENCODERS, Hybrid
from ..models import MODELS
from ..neurons import NEURONS
from ..training import CrossEntropy, Learner, Machines, Mixup, PerStepCrossEntropy
from ..training.augment import Chain, CropFlip
from ..training.mixing import Until
from ..training.policies import erasing, policy
from .config import DataConfig, ObjectiveConfig, OptimiserConfig, TrainConfig
from .model_config import CODES, ModelConfig, set_ones
from .step_norms import with_step_norms


def split_for(config: TrainConfig) -> Split:
    """The data of a run, of which the test set is always whole; recordings of as many frames as the network has steps.

    Raises:  ValueError, DataError: as ``load``.
    """
    time_steps = config.model.time_steps if config.model.takes_recordings else None
    split = load(config.data.name, root=config.data.root, seed=config.seed, time_steps=time_steps)
    train = split.train.at_most(config.data.train, seed=config.seed)
    return Split(train, split.validation.at_most(config.data.validation, seed=config.seed), split.test)


def network_for(config: TrainConfig, split: Split) -> tuple[nn.Module, int]:
    """The freshly initialised network for a data set, and the number of classes."""
    value, _ = split.train[0]
    classes = len(find(config.data.name).classes)
    return build_network(config.model, unit=tuple(value.shape), classes=classes, seed=config.seed), classes


def build_network(config: ModelConfig, *, unit: tuple[int, ...], classes: int, seed: int) -> nn.Module:
    """The network that a run trains, freshly initialised: [batch, *unit] -> [batch, classes].

    Raises:  ValueError: samples that are not images of equal sides, or recordings of such frames.
    """
    image = _image_of(config, unit)
    torch.manual_seed(seed)
    options: dict[str, Any] = {"in_channels": image[0], "image_size": image[1], "classes": classes, **config.layout}
    builder = MODELS[config.name]
    known = inspect.signature(builder).parameters
    made = hybrid_options(config) if config.has_branches else {"activation": activation_of(config)}
    body = builder(**made, **{key: value for key, value in options.items() if key in known})
    return _spiking(config, body, unit) if config.is_spiking else body


def _spiking(config: ModelConfig, body: nn.Module, unit: tuple[int, ...]) -> nn.Module:
    """A network from trains to trains behind its code, and what differs in it from step to step."""
    code, steps = code_of(config), config.time_steps
    network: nn.Module = SpikingNetwork(body, encoder=code)
    if config.adaptive.is_on:
        network = adapt(network, steps, **vars(config.adaptive), encoder=code, batch=torch.zeros(1, *unit))
    if config.norm != "joint":
        changed = with_step_norms(network.get_submodule("body"), time_steps=steps, mode=config.norm)
        network = SpikingNetwork(changed, encoder=code)
    return network


def _image_of(config: ModelConfig, unit: tuple[int, ...]) -> tuple[int, ...]:
    """[channels, side, side] of what the first layer sees, in an image or in a frame of a recording."""
    if config.takes_recordings:
        if len(unit) != 4:
            raise ValueError(
                f"model.encoder Recorded expects recordings [time, channels, height, width]; the data has samples of "
                f"shape {list(unit)}. Choose a set of events, or a code, such as --model.encoder Direct."
            )
        if unit[0] != config.time_steps:
            raise ValueError(
                f"model.time_steps expects the frames of a recording, {unit[0]}; got {config.time_steps}. Pass "
                f"--model.time_steps {unit[0]}, or load recordings of {config.time_steps} frames."
            )
        unit = unit[1:]
    elif len(unit) == 4:
        raise ValueError(
            f"model.name '{config.name}' expects images; the data has recordings [time, channels, height, width] of "
            f"shape {list(unit)}, which are trains already. Pass --model.encoder Recorded and a neuron as "
            f"--model.activation."
        )
    if len(unit) != 3 or unit[1] != unit[2]:
        raise ValueError(
            f"model.name '{config.name}' expects square images [channels, height, width]; the data has samples of "
            f"shape {list(unit)}. Choose an image set, or train a network of your own from Python (docs/training.md)."
        )
    return unit


def hybrid_options(config: ModelConfig) -> dict[str, Any]:
    """What builds the hybrid blocks of a network."""
    hybrid = config.hybrid
    settings: dict[str, Any] = {"time_steps": config.time_steps}
    kind: Callable[..., nn.Module] = ENCODERS[hybrid.code]
    known = inspect.signature(kind).parameters
    if "value_range" in known:
        is_unit = hybrid.value_range == "unit"
        settings |= {"value_range": (0.0, 1.0), "outside": "clip"} if is_unit else {"value_range": hybrid.value_range}
    settings |= hybrid.of_code
    decoder = RateDecoder if hybrid.decoder == "rate" else None
    return {"branches": hybrid.branches, "encoder": partial(kind, **settings), "decoder": decoder}


def code_of(config: ModelConfig) -> Encoder:
    """What turns values into the train that a spiking network receives."""
    settings, steps = set_ones(config.code), config.time_steps
    kind = CODES[config.encoder]
    if config.encoder != "Hybrid" or not settings:
        return kind(time_steps=steps, **settings)
    rest: Callable[..., Encoder] = ENCODERS[settings.pop("rest", "Latency")]
    if isinstance(settings.get("thresholds", ""), str) and rest is ENCODERS["Latency"]:
        settings["levels"] = steps  # silence is one of them, as in the code's own rest
    return Hybrid(rest=rest(time_steps=steps - 1, **settings), time_steps=steps)


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
    return partial(kind, **{name: value for name, value in settings.items() if name in known}, **_neuron(config))


def _neuron(config: ModelConfig) -> dict[str, Any]:
    """The settings of the neurons that are not their own."""
    settings = set_ones(config.neuron)
    if "surrogate" in settings:
        settings["surrogate"] = SURROGATES[settings["surrogate"]]()
    name, is_detached = settings.pop("reset", None), settings.pop("detach_reset", False)
    reset = RESETS[name or "subtract"]
    if name or is_detached:
        settings["reset"] = detached(reset) if is_detached else reset
    return settings


def build_learner(config: TrainConfig, network: nn.Module, *, classes: int, compiled: bool) -> Learner:
    """The network with its objective, optimiser and augmentation."""
    learner = Learner(
        network,
        objective=_objective(config.objective),
        optimiser=_optimiser(config.optimiser),
        warm_up=config.optimiser.warm_up,
        augment=_augment(config.data),
        mix=Mixup(alpha=config.objective.mixup, classes=classes) if config.objective.mixup else None,
        compiled=compiled,
        channels_last=config.channels_last,
    )
    if learner.mix is not None and config.objective.mixup_until is not None:
        learner.mix = Until(learner.mix, epochs=config.objective.mixup_until, now=lambda: learner.current_epoch)
    return learner


def _objective(config: ObjectiveConfig) -> Any:
    if config.name == "per-step":
        return PerStepCrossEntropy(label_smoothing=config.label_smoothing, regularisation=config.regularisation)
    return CrossEntropy(label_smoothing=config.label_smoothing)


def _optimiser(config: OptimiserConfig) -> Any:
    if config.name == "sgd":
        settings: dict[str, Any] = {"momentum": config.momentum, "nesterov": config.momentum > 0}
        return partial(torch.optim.SGD, lr=config.rate, weight_decay=config.weight_decay, **settings)
    return partial(torch.optim.AdamW, lr=config.rate, weight_decay=config.weight_decay)


def _augment(config: DataConfig) -> Chain | None:
    """What is drawn anew for every training image, in the order of the settings."""
    changes: list[Any] = [CropFlip(padding=config.padding)] if config.augment == "crop-flip" else []
    if config.policy != "none":
        changes.append(policy(config.policy, operations=config.operations, magnitude=config.magnitude))
    if config.erase:
        changes.append(erasing(config.erase))
    return Chain(*changes) if changes else None
