"""What a reconstruction is asked to do, typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .bounds import require_at_least, require_known, require_within

METHODS = ("gaussian", "trained", "stacked", "surrogate")


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """What is learned.

    Args:
        name: "first-last-xor", "addition", or a data set, whose images and series are cut into ``time_steps`` pieces.
        root: folder of all data sets; None is the default one.
        time_steps: T: bits of a string, pieces of an image, frames of a recording (>= 1). Sums have digits + 1 steps.
        train: at most so many training samples; None takes all.
        validation: at most so many validation samples.
        base: of "addition".
        digits: of each number that is added in training.
        samples: sums in all three parts.
        longer: sums in each test set of longer numbers.
    """

    name: str = "first-last-xor"
    root: Path | None = None
    time_steps: int = 8
    train: int | None = None
    validation: int | None = None
    base: int = 2
    digits: int = 5
    samples: int = 4096
    longer: int = 1000

    def __post_init__(self) -> None:
        for name in ("time_steps", "digits", "samples", "longer"):
            require_at_least(f"task.{name}", getattr(self, name), 1)
        for name in ("train", "validation"):
            if (size := getattr(self, name)) is not None:
                require_at_least(f"task.{name}", size, 2)


@dataclass(frozen=True, kw_only=True)
class WitnessConfig:
    """The units whose spikes a readout may use.

    Args:
        widths: of the layers of neurons of one branch, first to last.
        branches: that do not see each other, side by side; of drawn units only (>= 1).
        scaling: of drawn weights: "fan-in", "none", or "critical", at which every layer fires at ``rate``.
        rate: spikes for each unit and step, in (0, 1), of "critical".
        decay: of the neurons' membrane, in [0, 1).
        read: what of the last layer is read: its spikes of the "last" step, of "every" step, or their "count". A task
            with a question at every step reads the spikes of that step.
    """

    widths: tuple[int, ...] = (1024,)
    branches: int = 1
    scaling: Literal["fan-in", "none", "critical"] = "fan-in"
    rate: float = 0.2
    decay: float = 0.9
    read: Literal["last", "count", "every"] = "count"

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"witnesses.widths expects a width >= 1 for each layer; got {list(self.widths)}.")
        require_at_least("witnesses.branches", self.branches, 1)
        require_within("witnesses.rate", self.rate, 0.001, 0.999)
        require_within("witnesses.decay", self.decay, 0, 0.9999)


@dataclass(frozen=True, kw_only=True)
class ReadoutConfig:
    """The convex problem of the readout, a softmax, solved at strengths from strong to weak; validation chooses.

    Args:
        penalty: "group" drops units for all classes together, "l1" single weights.
        strengths: values of lambda, from the smallest that makes all weights 0 downwards (>= 2).
        lowest: the last of them, as a share of the first, in (0, 1).
        tol: relative duality gap to reach.
        max_time: seconds for one strength, after which the best so far is taken, with its gap.
    """

    penalty: Literal["group", "l1"] = "group"
    strengths: int = 10
    lowest: float = 1e-2
    tol: float = 1e-3
    max_time: float = 10.0

    def __post_init__(self) -> None:
        require_at_least("readout.strengths", self.strengths, 2)
        require_within("readout.lowest", self.lowest, 1e-9, 0.999)
        require_within("readout.tol", self.tol, 1e-12, 0.5)
        require_at_least("readout.max_time", self.max_time, 0.01)


@dataclass(frozen=True, kw_only=True)
class SurrogateConfig:
    """Training by surrogate gradients, of the whole network.

    Args:
        epochs: passes over the training set (>= 1).
        batch_size: of an optimiser step (>= 1).
        rate: peak learning rate (> 0).
    """

    epochs: int = 60
    batch_size: int = 64
    rate: float = 5e-3

    def __post_init__(self) -> None:
        require_at_least("surrogate.epochs", self.epochs, 1)
        require_at_least("surrogate.batch_size", self.batch_size, 1)
        if not self.rate > 0:
            raise ValueError(f"surrogate.rate expects a number > 0; got {self.rate}.")


@dataclass(frozen=True, kw_only=True)
class ReconstructConfig:
    """One reconstruction.

    Args:
        name: of the run; its folder is ``output/name``.
        method: where the units come from: "gaussian" draws them, "trained" takes those of a network trained by
            surrogate gradients, "stacked" draws each layer on those units of the one below that a readout chose.
            "surrogate" solves nothing: it is the trained network itself.
        fine_tune: train the reconstructed network on, by surrogate gradients.
        seed: of the data, the units and all else that is drawn.
        task: what is learned.
        witnesses: the units.
        readout: the convex problem.
        surrogate: training by surrogate gradients.
        output: folder of all runs.
    """

    name: str
    method: Literal["gaussian", "trained", "stacked", "surrogate"] = "gaussian"
    fine_tune: bool = False
    seed: int = 0
    task: TaskConfig = field(default_factory=TaskConfig)
    witnesses: WitnessConfig = field(default_factory=WitnessConfig)
    readout: ReadoutConfig = field(default_factory=ReadoutConfig)
    surrogate: SurrogateConfig = field(default_factory=SurrogateConfig)
    output: Path = Path("runs")

    def __post_init__(self) -> None:
        require_known("method", self.method, METHODS)
        require_within("seed", self.seed, 0, 2**32 - 1)
        if self.name in ("", ".", "..") or Path(self.name).name != self.name:
            raise ValueError(f"name expects the name of one folder, such as 'xor-8'; got {self.name!r}.")

    @property
    def folder(self) -> Path:
        """Where the run leaves everything."""
        return self.output / self.name


@dataclass(frozen=True, kw_only=True)
class PolishConfig:
    """A trained run whose readout is solved anew.

    Args:
        run: the run's folder, with its config.yaml.
        checkpoint: "best", "last", or a file.
        penalty: "group" drops inputs of the readout for all classes together, "l1" single weights.
        strengths: how many values of lambda (>= 1).
        tol: relative duality gap to reach.
        accelerator: "auto", "cpu", "gpu" or "mps".
    """

    run: Path
    checkpoint: str = "best"
    penalty: Literal["group", "l1"] = "group"
    strengths: int = 12
    tol: float = 1e-4
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"

    def __post_init__(self) -> None:
        require_at_least("strengths", self.strengths, 1)
        require_within("tol", self.tol, 1e-12, 0.5)
