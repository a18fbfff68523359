"""What learns: an architecture, its activations and, of a spiking network, its code and what differs between steps."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ..blocks.step_norm import Mode
from ..core import Encoder
from ..encoders import ENCODERS, Recorded
from ..models import MODELS
from ..neurons import NEURONS
from .adaptive_config import AdaptiveConfig
from .bounds import require_at_least, require_known
from .code_config import OWNERS, CodeConfig
from .hybrid_config import HybridConfig
from .neuron_config import NeuronConfig

ANALOG = ("ReLU", "QCFS")
CODES: dict[str, Callable[..., Encoder]] = {**ENCODERS, Recorded.__name__: Recorded}
"""What may stand first in a spiking network."""
LAYOUT = ("depth", "width", "stem", "block", "stages", "stem_width", "zero_init", "heads", "published_norms")
"""Settings that are arguments of the builders that have them."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What learns.

    Args:
        name: of the architecture: cnn, lenet, resnet, or one with hybrid blocks: hybrid_cnn,
            has_resnet, has_vgg, or a host of adaptive codes: spiking_resnet, spikformer, lenet_cifar.
        depth: layers of weights of a resnet (6 n + 2) or spiking_resnet (18, 34), blocks of a spikformer; null is the
            model's own.
        width: channels of the narrowest layers, in a model that has a choice; null is the model's own.
        stem: of has_resnet and spiking_resnet: "imagenet", or "cifar" for images of 32x32 at full size; null is the
            model's own.
        block: of spiking_resnet: "sew-add", "sew-and", "sew-iand", "ms" or "plain"; null is the model's own.
        stages: of spiking_resnet: blocks of each stage, in place of its depth, such as [3, 3, 2]; null goes by depth.
        stem_width: of spiking_resnet: channels of its stem; null is the width.
        zero_init: of spiking_resnet: whether its blocks start as shortcuts; null is the model's own.
        heads: of spikformer: groups of channels that attend by themselves; null is the model's own.
        published_norms: of spikformer: whether to hold the parameters without use; null is the model's own.
        activation: "ReLU" or "QCFS" for an ANN; the name of a neuron, such as "LIF", for an SNN.
        levels: levels of QCFS, members of a Group Neuron (>= 1).
        neuron: settings of the neuron.
        encoder: how values become a train, for an SNN; "Recorded" where they are trains already, as events are.
        code: settings of the encoder.
        time_steps: T, for an SNN and for hybrid blocks (>= 1).
        norm: of an SNN: statistics of all steps together ("joint"), of each step ("per-step"), or of each in training
            and of all in eval mode ("reference"); or of all together with one scale learned for each step
            ("step-scale"), and one shift too ("step-affine"). The norms of an own stem are "joint".
        adaptive: what differs from step to step, in an SNN.
        hybrid: what hybrid blocks are made of, in a model that has them.
    """

    name: str = "cnn"
    depth: int | None = None
    width: int | None = None
    stem: Literal["imagenet", "cifar"] | None = None
    block: Literal["sew-add", "sew-and", "sew-iand", "ms", "plain"] | None = None
    stages: tuple[int, ...] | None = None
    stem_width: int | None = None
    zero_init: bool | None = None
    heads: int | None = None
    published_norms: bool | None = None
    activation: str = "QCFS"
    levels: int = 8
    neuron: NeuronConfig = field(default_factory=NeuronConfig)
    encoder: str = "Direct"
    code: CodeConfig = field(default_factory=CodeConfig)
    time_steps: int = 4
    norm: Mode = "joint"
    adaptive: AdaptiveConfig = field(default_factory=AdaptiveConfig)
    hybrid: HybridConfig = field(default_factory=HybridConfig)

    def __post_init__(self) -> None:
        require_known("model.name", self.name, MODELS)
        require_known("model.activation", self.activation, [*ANALOG, *NEURONS])
        require_known("model.encoder", self.encoder, CODES)
        require_at_least("model.levels", self.levels, 1)
        for name in ("width", "stem_width", "heads"):
            if getattr(self, name) is not None:
                require_at_least(f"model.{name}", getattr(self, name), 1)
        require_at_least("model.time_steps", self.time_steps, 1)
        self._check_layout()
        if not self.is_spiking:
            self._refuse_spiking_settings()
            return
        self._check_neuron()
        self._check_code()
        self._check_adaptive()

    @property
    def is_spiking(self) -> bool:
        """Whether the network that is trained has neurons throughout."""
        return self.activation in NEURONS and not self.has_branches

    @property
    def takes_recordings(self) -> bool:
        """Whether the values are trains already."""
        return self.is_spiking and self.encoder == "Recorded"

    @property
    def has_branches(self) -> bool:
        """Whether the model is built of hybrid blocks, whose settings are ``hybrid``."""
        return "branches" in inspect.signature(MODELS[self.name]).parameters

    @property
    def layout(self) -> dict[str, Any]:
        """The arguments of the builder that are set."""
        return set_ones(self, LAYOUT)

    def _check_layout(self) -> None:
        """The settings that came with hosts of adaptive codes are of those; the older ones may stand anywhere."""
        known = inspect.signature(MODELS[self.name]).parameters
        for name in self.layout:
            if name not in known and name not in ("depth", "width", "stem"):
                owners = [model for model, build in MODELS.items() if name in inspect.signature(build).parameters]
                raise ValueError(
                    f"model.{name} is of {', '.join(owners)}; got model.name {self.name}. Leave it out, or take "
                    f"{owners[0]}."
                )

    def _refuse_spiking_settings(self) -> None:
        """An ANN has one step and no neuron; hybrid blocks have codes and neurons of their own."""
        own = {"neuron": NeuronConfig(), "code": CodeConfig(), "adaptive": AdaptiveConfig(), "norm": "joint"}
        what = "hybrid blocks" if self.has_branches else f"an ANN of {self.activation}"
        for name, default in own.items():
            if getattr(self, name) != default:
                raise ValueError(
                    f"model.{name} is for a spiking network, whose model.activation is a neuron; this one is "
                    f"{what}. Leave it out, or take --model.activation LIF{' and another model' * self.has_branches}."
                )

    def _check_neuron(self) -> None:
        for name in set_ones(self.neuron):
            owners = [kind for kind, made in NEURONS.items() if argument_of(name) in inspect.signature(made).parameters]
            if self.activation not in owners:
                raise ValueError(
                    f"model.neuron.{name} is of {', '.join(owners)}; got model.activation {self.activation}. Leave it "
                    f"out, or take one of these."
                )

    def _check_code(self) -> None:
        for name in set_ones(self.code):
            if self.encoder not in OWNERS[name]:
                raise ValueError(
                    f"model.code.{name} is of {' and '.join(OWNERS[name])}; got model.encoder {self.encoder}. Leave it "
                    f"out, or take --model.encoder {OWNERS[name][0]}."
                )
        if self.encoder == "Hybrid" and self.time_steps < 2:
            raise ValueError(
                f"model.encoder Hybrid sends the value at the first step and spikes after it, so it expects "
                f"model.time_steps >= 2; got {self.time_steps}. Take Direct for one step."
            )
        if self.code.thresholds is not None and self.code.rest not in (None, "Latency"):
            raise ValueError(
                f"model.code.thresholds is of Latency; got model.code.rest {self.code.rest}. Leave one of them out."
            )

    def _check_adaptive(self) -> None:
        if self.adaptive.is_on and self.neuron.learn_decay:
            raise ValueError(
                "model.neuron.learn_decay learns one decay for all steps, and model.adaptive one for each or none; got "
                "both. Leave one of them out."
            )
        if self.adaptive.stem == "own" and self.encoder != "Hybrid":
            raise ValueError(
                f"model.adaptive.stem 'own' is for a code whose first step is unlike the others, Hybrid; got "
                f"model.encoder {self.encoder}. Leave it 'shared', or take Hybrid."
            )


def set_ones(settings: Any, names: tuple[str, ...] | None = None) -> dict[str, Any]:
    """The settings of a dataclass that are not null."""
    names = tuple(each.name for each in fields(settings)) if names is None else names
    return {name: getattr(settings, name) for name in names if getattr(settings, name) is not None}


def argument_of(setting: str) -> str:
    """The argument of a neuron that a setting of it goes into."""
    return "reset" if setting == "detach_reset" else setting
