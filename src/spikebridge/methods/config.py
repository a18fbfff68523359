"""What a run is asked to do, typed; the command line and YAML files fill it, and no module ever sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..conversion import Recipe
from ..core.devices import Precision, fast_precision
from .bounds import require_at_least, require_known, require_within
from .model_config import ModelConfig as ModelConfig

CONVERTED = ("group", "signed-group", "if")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What is learned.

    Training images may be changed, in this order, as they are: in [0, 1], before any code.

    Args:
        name: of the data set; ``spikebridge data list`` lists them.
        root: folder of all data sets; None is the default one.
        time_steps: frames of a recording, in a set of events; null is ``model.time_steps``.
        train: at most so many training samples, drawn by the seed (>= 1); null takes all.
        validation: at most so many validation samples, likewise.
        batch_size: samples of one optimiser step, over all devices together (>= 1).
        augment: "none", or "crop-flip": shifts and mirrors training images.
        padding: largest shift of "crop-flip", in pixels.
        policy: "none", or what torchvision draws for each image: "rand-augment", "trivial-augment" or "auto-augment".
        operations: of "rand-augment", one after the other (>= 1).
        magnitude: of "rand-augment", in [0, 30].
        erase: probability of erasing a rectangle of a training image, in [0, 1].
        workers: processes that load data, for each device.
    """

    name: str = "digits"
    root: Path | None = None
    time_steps: int | None = None
    train: int | None = None
    validation: int | None = None
    batch_size: int = 128
    augment: Literal["none", "crop-flip"] = "none"
    padding: int = 4
    policy: Literal["none", "rand-augment", "trivial-augment", "auto-augment"] = "none"
    operations: int = 1
    magnitude: int = 9
    erase: float = 0.0
    workers: int = 0

    def __post_init__(self) -> None:
        require_at_least("data.batch_size", self.batch_size, 1)
        require_at_least("data.padding", self.padding, 0)
        require_at_least("data.operations", self.operations, 1)
        require_within("data.magnitude", self.magnitude, 0, 30)
        require_within("data.erase", self.erase, 0, 1)
        require_at_least("data.workers", self.workers, 0)
        for name in ("time_steps", "train", "validation"):
            if (size := getattr(self, name)) is not None:
                require_at_least(f"data.{name}", size, 1)

    @property
    def is_augmented(self) -> bool:
        """Whether training images are changed."""
        return self.augment != "none" or self.policy != "none" or self.erase > 0


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """What training makes small.

    Args:
        name: "mean" (cross-entropy of the mean over time) or "per-step" (mean of every step's cross-entropy).
        label_smoothing: share of the target spread over all classes, in [0, 1).
        regularisation: of "per-step", in [0, 1].
        mixup: alpha of mixup; 0 mixes nothing.
        mixup_until: epochs with mixup; those after it mix nothing. Null mixes to the end.
    """

    name: Literal["mean", "per-step"] = "mean"
    label_smoothing: float = 0.0
    regularisation: float = 0.0
    mixup: float = 0.0
    mixup_until: int | None = None

    def __post_init__(self) -> None:
        require_within("objective.label_smoothing", self.label_smoothing, 0, 0.999)
        require_within("objective.regularisation", self.regularisation, 0, 1)
        require_at_least("objective.mixup", self.mixup, 0)
        if self.mixup_until is not None:
            require_at_least("objective.mixup_until", self.mixup_until, 1)
            if not self.mixup:
                raise ValueError(
                    f"objective.mixup_until says when mixup ends; got {self.mixup_until} and objective.mixup 0, which "
                    f"mixes nothing. Pass objective.mixup, such as 0.5, or leave mixup_until out."
                )


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """How it is made small.

    Args:
        name: "adamw" or "sgd".
        rate: peak learning rate (> 0); it rises over ``warm_up`` epochs and falls along half a cosine.
        weight_decay: of kernels and matrices (>= 0); neurons, norms and biases do not decay.
        momentum: of "sgd", in [0, 1).
        warm_up: epochs until the peak, or a part of one (>= 0).
    """

    name: Literal["adamw", "sgd"] = "adamw"
    rate: float = 1e-3
    weight_decay: float = 1e-2
    momentum: float = 0.9
    warm_up: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.rate < math.inf:
            raise ValueError(f"optimiser.rate expects a number > 0; got {self.rate}.")
        require_at_least("optimiser.weight_decay", self.weight_decay, 0)
        require_within("optimiser.momentum", self.momentum, 0, 0.9999)
        require_at_least("optimiser.warm_up", self.warm_up, 0)


@dataclass(frozen=True, kw_only=True)
class ConversionConfig:
    """What a trained ANN is converted to, and measured as.

    Args:
        neurons: any of "group", "signed-group" and "if", each once; none of them converts nothing.
        members: of each Group Neuron; None takes ``model.levels``.
        time_steps: T up to which it is measured (>= 1), and for which thresholds are chosen.
        thresholds: of ReLUs: "mse", "lloyd", "percentile:P", "max" or "from_model".
        granularity: a threshold per "channel" or per "layer".
        calibrate: "bias", "weights" or "none".
    """

    neurons: tuple[str, ...] = ("group",)
    members: int | None = None
    time_steps: int = 4
    thresholds: str = "mse"
    granularity: Literal["channel", "layer"] = "channel"
    calibrate: Literal["none", "bias", "weights"] = "none"

    def __post_init__(self) -> None:
        for neuron in self.neurons:
            require_known("conversion.neurons", neuron, CONVERTED)
        if len(set(self.neurons)) < len(self.neurons):
            raise ValueError(
                f"conversion.neurons expects each neuron once; got {', '.join(self.neurons)}. Leave one out."
            )
        require_at_least("conversion.time_steps", self.time_steps, 1)
        if self.members is not None:
            require_at_least("conversion.members", self.members, 1)
        Recipe(thresholds=self.thresholds)  # refuses what is no policy


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run.

    Args:
        name: of the run; its folder is ``output/name``.
        seed: of the split, the initial weights, the order of batches and all else that is drawn.
        epochs: passes over the training set (>= 1).
        data: what is learned.
        model: what learns.
        objective: what training makes small.
        optimiser: how.
        conversion: what the trained ANN is converted to; null converts nothing. SNNs and
            models of hybrid blocks are never converted.
        precision: of the arithmetic; "auto" is "bf16-mixed" where the device knows bfloat16, else "32-true". Records
            and saved settings have what it came to.
        accelerator: "auto", "cpu", "gpu" or "mps".
        devices: per machine: a number, or "auto".
        num_nodes: number of machines.
        strategy: how several devices share the work.
        compile: whether ``torch.compile`` makes steps faster.
        channels_last: whether images lie in memory with their channels last.
        output: folder of all runs.
    """

    name: str
    seed: int = 0
    epochs: int = 10
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    conversion: ConversionConfig | None = field(default_factory=ConversionConfig)
    precision: Precision | Literal["auto"] = "auto"
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    devices: int | Literal["auto"] = "auto"
    num_nodes: int = 1
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    compile: bool = True
    channels_last: bool = True
    output: Path = Path("runs")

    def __post_init__(self) -> None:
        if self.precision == "auto":
            object.__setattr__(self, "precision", fast_precision(self.accelerator))
        if self.conversion is not None and (not self.conversion.neurons or self.model.has_branches):
            object.__setattr__(self, "conversion", None)
        require_at_least("epochs", self.epochs, 1)
        require_at_least("num_nodes", self.num_nodes, 1)
        require_within("seed", self.seed, 0, 2**32 - 1)
        if isinstance(self.devices, int):
            require_at_least("devices", self.devices, 1)
        self._check_recordings()
        processes = self.num_nodes * (self.devices if isinstance(self.devices, int) else 1)
        if processes < 1 or self.data.batch_size % processes:
            raise ValueError(
                f"data.batch_size is that of all devices together, here {processes}, which share it evenly; got "
                f"{self.data.batch_size}. Take a multiple of {processes}."
            )
        if self.name in ("", ".", "..") or Path(self.name).name != self.name:
            raise ValueError(f"name expects the name of one folder, such as 'lenet-qcfs'; got {self.name!r}.")

    def _check_recordings(self) -> None:
        """What is a train already has its own number of steps, and no way to be shifted or mirrored as one image."""
        if not self.model.takes_recordings:
            if self.data.time_steps is not None:
                raise ValueError(
                    f"data.time_steps is of recordings, which model.encoder Recorded takes; got "
                    f"{self.data.time_steps} and model.encoder {self.model.encoder}. Leave it out."
                )
            return
        if self.data.time_steps not in (None, self.model.time_steps):
            raise ValueError(
                f"data.time_steps and model.time_steps are one T for recordings; got {self.data.time_steps} and "
                f"{self.model.time_steps}. Leave data.time_steps out: model.time_steps is both."
            )
        if self.data.is_augmented:
            raise ValueError(
                "data.augment, data.policy and data.erase change images; got model.encoder Recorded, whose values are "
                "recordings. Leave them out."
            )

    @property
    def folder(self) -> Path:
        """Where the run leaves everything."""
        return self.output / self.name
