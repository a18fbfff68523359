"""An answer in which steps weigh differently."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..core.per_step import PerStep, StepsTaken
from ..core.shapes import SpikeTrain
from ..core.time import OverTime, TimeAxis, fold, unfold


class StepReadout(PerStep):
    """The last layer of a spiking network, with a scale for every step:  scale_t * layer(x_t).

    What follows takes the mean over time, as ``SpikingNetwork`` does, so the answer is (1 / T) sum_t scale_t *
    layer(x_t), and after t steps the mean of the first t. At initialisation every scale is 1 and nothing has changed.

    Args:
        layer: stateless, from values to values, such as ``nn.Linear(256, 10)``; it is lifted over time here.
            ``OverTime(...)`` is taken for what it lifts.
        time_steps: T, number of steps (>= 1).
        learn: make ``scale`` a parameter; a buffer otherwise.
        per_class: one scale per step and output instead of one per step; needs a layer with ``out_features``.

    Shapes:  train [time, batch, *unit] -> train [time, batch, *other].
    Raises:  ValueError: a train of another T; a layer that takes trains itself; per_class without ``out_features``.
    Source:  He, arXiv 2408.12407, and the code released with it; per_class is an addition.

    >>> readout = StepReadout(nn.Linear(3, 2), time_steps=4)
    >>> train = torch.rand(4, 5, 3)
    >>> torch.equal(readout(train), OverTime(readout.layer)(train))
    True
    """

    scale: Tensor

    def __init__(self, layer: nn.Module, *, time_steps: int, learn: bool = True, per_class: bool = False) -> None:
        super().__init__(time_steps=time_steps)
        self.layer = _lowered(layer)
        shape = (time_steps, self._classes()) if per_class else (time_steps,)
        self.per_class = per_class
        if learn:
            self.scale = nn.Parameter(torch.ones(shape))
        else:
            self.register_buffer("scale", torch.ones(shape))

    def forward(self, train: SpikeTrain) -> SpikeTrain:
        self.check_train(train)
        return self._scaled(train, self.scale)

    def resume(self, train: SpikeTrain, state: StepsTaken | None = None) -> tuple[SpikeTrain, StepsTaken]:
        """See :meth:`TimeAxis.resume`."""
        steps, after = self.steps_of(train, state)
        return self._scaled(train, self.scale[steps]), after

    def extra_repr(self) -> str:
        return f"time_steps={self.time_steps}, learn={isinstance(self.scale, nn.Parameter)}, per_class={self.per_class}"

    def _scaled(self, train: SpikeTrain, scale: Tensor) -> SpikeTrain:
        outputs = unfold(self.layer(fold(train)), time_steps=train.shape[0])
        between = outputs.ndim - scale.ndim
        if self.per_class:
            return outputs * scale.reshape(scale.shape[0], *[1] * between, scale.shape[1])
        return outputs * scale.reshape(-1, *[1] * between)

    def _classes(self) -> int:
        classes = getattr(self.layer, "out_features", None)
        if not isinstance(classes, int):
            raise ValueError(
                f"StepReadout(per_class=True) expects a layer with out_features, such as nn.Linear(256, 10); got "
                f"{type(self.layer).__name__}. Put what comes before the last Linear outside."
            )
        return classes


class FoldedReadout(PerStep):
    """The mean of a :class:`StepReadout`, with the layer run once:  W mean_t(scale_t x_t) + b mean_t(scale_t).

    A layer that adds and scales commutes with the mean, so one product of the mean does for T. The answer comes as a
    train of one step, whose mean is itself; what it would have been after fewer steps is not kept.

    Args:
        layer: the readout's layer, its bias already times mean_t(scale_t).
        scale: [time].

    Shapes:  train [time, batch, *unit] -> train [1, batch, *other].
    Raises:  ValueError: a train of another T.
    """

    weights: Tensor

    def __init__(self, layer: nn.Module, *, scale: Tensor) -> None:
        super().__init__(time_steps=len(scale))
        self.layer = layer
        self.register_buffer("weights", scale.detach() / len(scale))

    def forward(self, train: SpikeTrain) -> SpikeTrain:
        self.check_train(train)
        answer: Tensor = self.layer(torch.tensordot(self.weights.to(train), train, dims=1))
        return answer[None]


def _lowered(layer: nn.Module) -> nn.Module:
    if isinstance(layer, OverTime):
        layer = layer[0] if len(layer) == 1 else nn.Sequential(*layer)
    timed = [type(module).__name__ for module in layer.modules() if isinstance(module, TimeAxis)]
    if timed:
        raise ValueError(
            f"StepReadout lifts a layer that knows no time; {timed[0]} takes trains itself. Put it before the readout."
        )
    return layer
