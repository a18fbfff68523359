"""What the commands beside training are asked to do, typed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """A test of a trained run; what is None is as the run was made.

    Args:
        run: the run's folder, with its config.yaml.
        checkpoint: "best", "last", or a file.
        root: folder of all data sets.
        neurons: what an ANN is converted to: any of "group", "signed-group" and "if".
        members: of each Group Neuron.
        time_steps: T up to which an ANN's conversion is measured.
        thresholds: of ReLUs, as for convert.
        calibrate: "bias", "weights" or "none".
        accelerator: "auto", "cpu", "gpu" or "mps".
    """

    run: Path
    checkpoint: str = "best"
    root: Path | None = None
    neurons: tuple[str, ...] | None = None
    members: int | None = None
    time_steps: int | None = None
    thresholds: str | None = None
    calibrate: Literal["none", "bias", "weights"] | None = None
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Settings of the demo.

    Args:
        seed: of the split, the initial weights and the order of training.
        epochs: passes over the training images, for each of the two networks (>= 1).
        levels: levels of the QCFS activations, and members of each Group Neuron (>= 1).
        output: folder for the figures, the table and the record; made if it is missing.
    """

    seed: int = 0
    epochs: int = 30
    levels: int = 8
    output: Path = Path("runs/demo")

    def __post_init__(self) -> None:
        for name in ("epochs", "levels"):
            if getattr(self, name) < 1:
                raise ValueError(f"demo expects {name} >= 1; got {getattr(self, name)}.")


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """A conversion.

    Args:
        target: the folder of a trained run, or MODULE:FUNCTION, an import path of what makes a network, such as
            torchvision.models:resnet18.
        explain: only say what would become of every call; needs no data.
        weights: for MODULE:FUNCTION, a file of weights: safetensors, or a state dict that torch.save wrote.
        samples: for MODULE:FUNCTION, calibration inputs [samples, *unit]: a .npy file, or the only tensor of a
            .safetensors file. A run has its own training data.
        root: folder of all data sets; None is the default one.
        neuron: "group", "signed-group" or "if".
        time_steps: T (>= 1).
        members: levels of a Group Neuron; None takes those of the run's QCFS, else 16.
        thresholds: "mse", "lloyd", "percentile:P", "max" or "from_model".
        granularity: a threshold per "channel" or per "layer".
        calibrate: "bias" or "none".
        max_pool: "exact", "pre" or "average".
        unsupported: "error", "differential" or "keep".
    """

    target: str
    explain: bool = False
    weights: Path | None = None
    samples: Path | None = None
    root: Path | None = None
    neuron: str = "group"
    time_steps: int = 1
    members: int | None = None
    thresholds: str = "mse"
    granularity: str = "channel"
    calibrate: str = "none"
    max_pool: str = "exact"
    unsupported: str = "error"
