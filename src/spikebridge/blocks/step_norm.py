"""BatchNorm on trains, and which samples its statistics are of."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..core.counts import require_whole
from ..core.per_step import PerStep, StepsTaken
from ..core.shapes import SpikeTrain
from ..core.time import fold, unfold

Mode = Literal["joint", "per-step", "reference", "step-scale", "step-affine"]


class StepNorm(PerStep):
    """BatchNorm over a train:  scale_t gamma (x_t - mean_t) / sqrt(var_t + eps) + beta + shift_t.

    | mode | mean_t and var_t in training | in eval mode, running averages of | learned for each step |
    |---|---|---|---|
    | ``joint`` | of all T * batch samples together | these, shared over steps | |
    | ``per-step`` | of the batch at step t | these, kept for each step | |
    | ``reference`` | of the batch at step t | one average that every step updates in turn | |
    | ``step-scale`` | as "joint" | as "joint" | scale_t |
    | ``step-affine`` | as "joint" | as "joint" | scale_t and shift_t |

    gamma and beta are one per channel, for all steps. scale_t and shift_t are one number per step each, for all
    channels, begin at 1 and 0, and stay there in modes that do not learn them.

    "joint" is ``OverTime(BatchNorm)`` and "reference" is ``EachStep(BatchNorm)``. In the last, training and eval mode
    disagree wherever steps do, as they do for a temporal code: each step is trained on its own statistics and judged on
    a mixture of all. "per-step" trains the same and is judged on what it was trained on. "step-scale" is "joint" until
    it is trained, and then what a norm alone can do about steps: the rival of a neuron with a gain for each, which
    multiplies beta too.

    Args:
        features: C, number of channels (axis 1 of a step).
        time_steps: T, number of steps (>= 1).
        mode: which of these.
        eval_statistics: "running", or "batch" for those of the batch in eval mode too, as published accuracies of the
            reference were taken; a sample's output then depends on its batch-mates.
        eps: added to the variance (> 0).
        momentum: the share of a new batch in a running average, in [0, 1].

    Shapes:  train [time, batch, channel, *rest] -> the same.
    Raises:  ValueError: an unknown mode or statistic; a train of another T or of other channels.
    Source:  Ioffe and Szegedy, arXiv 1502.03167; "reference", the code released with He, arXiv 2408.12407; a scale
        for each step beside joint statistics, Duan et al., "Temporal effective batch normalization", NeurIPS 2022.
    Deviates:  "batch" in eval mode leaves the running averages alone; the reference lets test batches update them.
        Duan et al. scale beta with the rest, and have no shift_t.
        Statistics are those of one process; :func:`fit` makes them those of all.

    >>> norm = StepNorm(3, time_steps=4, mode="per-step")
    >>> norm(torch.randn(4, 8, 3, 5, 5)).shape, norm.running_mean.shape
    (torch.Size([4, 8, 3, 5, 5]), torch.Size([4, 3]))
    """

    running_mean: Tensor
    running_var: Tensor
    scale: nn.Parameter | None
    shift: nn.Parameter | None

    def __init__(
        self,
        features: int,
        *,
        time_steps: int,
        mode: Mode = "joint",
        eval_statistics: Literal["running", "batch"] = "running",
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__(time_steps=time_steps)
        require_whole(features, owner="StepNorm", name="features")
        _require_one_of(mode, get_args(Mode), name="mode")
        _require_one_of(eval_statistics, ("running", "batch"), name="eval_statistics")
        if not eps > 0.0:
            raise ValueError(f"StepNorm expects eps > 0; got {eps}.")
        if not 0.0 <= momentum <= 1.0:
            raise ValueError(f"StepNorm expects momentum in [0, 1]; got {momentum}.")
        self.features, self.mode, self.eval_statistics = features, mode, eval_statistics
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.scale = nn.Parameter(torch.ones(time_steps)) if mode in ("step-scale", "step-affine") else None
        self.shift = nn.Parameter(torch.zeros(time_steps)) if mode == "step-affine" else None
        kept = (time_steps, features) if mode == "per-step" else (features,)
        self.register_buffer("running_mean", torch.zeros(kept))
        self.register_buffer("running_var", torch.ones(kept))

    @property
    def looks_at_batch(self) -> bool:
        """Whether the statistics are those of the batch at hand."""
        return self.training or self.eval_statistics == "batch"

    def of_steps(self) -> tuple[Tensor, Tensor] | None:
        """Factor [time, 1] and offset [time, channel] of a BatchNorm's output, in the modes that learn them.

        The equation above is  scale_t y_t + ((1 - scale_t) beta + shift_t)  for y_t = gamma (x_t - ...) / ... + beta.
        """
        if self.scale is None:
            return None
        factor = self.scale[:, None]
        offset = (1.0 - factor) * self.bias
        return factor, offset if self.shift is None else offset + self.shift[:, None]

    def forward(self, train: SpikeTrain) -> SpikeTrain:
        self.check_train(train)
        self._check_features(train)
        return self._normalised(train, slice(0, self.time_steps))

    def resume(self, train: SpikeTrain, state: StepsTaken | None = None) -> tuple[SpikeTrain, StepsTaken]:
        """See :meth:`TimeAxis.resume`.

        Raises:
            ValueError: the statistics are those of the batch, which a piece of a train does not have.
        """
        if self.looks_at_batch:
            raise ValueError(
                f"{self._name()} cannot take pieces of a train while it uses the statistics of the batch. "
                f"Call .eval(), with eval_statistics='running'."
            )
        self._check_features(train)
        steps, after = self.steps_of(train, state)
        return self._normalised(train, steps), after

    def extra_repr(self) -> str:
        return (
            f"{self.features}, time_steps={self.time_steps}, mode={self.mode}, eval_statistics={self.eval_statistics}"
        )

    def _normalised(self, train: SpikeTrain, steps: slice) -> SpikeTrain:
        if self.mode == "per-step":
            mean, var = self.running_mean[steps].flatten(), self.running_var[steps].flatten()
            return self._step_by_step(train, mean, var, self.momentum)
        if self.mode == "reference" and self.looks_at_batch:
            return self._as_reference(train)
        normal = self._batch_norm(fold(train), self.running_mean, self.running_var, self.momentum)
        return self._rescaled(unfold(normal, time_steps=train.shape[0]), steps)

    def _rescaled(self, normal: SpikeTrain, steps: slice) -> SpikeTrain:
        learned = self.of_steps()
        if learned is None:
            return normal
        factor, offset = (each[steps].reshape(normal.shape[0], 1, -1, *[1] * (normal.ndim - 3)) for each in learned)
        return (factor * normal + offset).to(normal.dtype)  # narrow trains times wide numbers are wide

    def _as_reference(self, train: SpikeTrain) -> SpikeTrain:
        time = train.shape[0]
        mean, var = self.running_mean.new_zeros(2, time * self.features).unbind()
        normal = self._step_by_step(train, mean, var, 1.0)  # which leaves the batch's own in mean and var
        if self.training:
            ages = torch.arange(time - 1, -1, -1, dtype=mean.dtype, device=mean.device)
            share = self.momentum * (1.0 - self.momentum) ** ages
            for kept, of_steps in ((self.running_mean, mean), (self.running_var, var)):
                kept.mul_((1.0 - self.momentum) ** time).add_(share.to(kept) @ of_steps.view(time, -1))
        return normal

    def _step_by_step(self, train: SpikeTrain, mean: Tensor, var: Tensor, momentum: float) -> SpikeTrain:
        """Each step by statistics of its own: a BatchNorm of time * channel channels."""
        side_by_side = train.transpose(0, 1).flatten(1, 2)
        normal = self._batch_norm(side_by_side, mean, var, momentum)
        return normal.reshape(train.shape[1], -1, *train.shape[2:]).transpose(0, 1)

    def _batch_norm(self, values: Tensor, mean: Tensor, var: Tensor, momentum: float) -> Tensor:
        """Updates ``mean`` and ``var`` in training; they are shaped like the channels of ``values``."""
        times = values.shape[1] // self.features
        is_kept = self.training or not self.looks_at_batch
        return F.batch_norm(
            values,
            mean if is_kept else None,
            var if is_kept else None,
            self.weight.repeat(times),
            self.bias.repeat(times),
            self.looks_at_batch,
            momentum,
            self.eps,
        )

    def _check_features(self, train: SpikeTrain) -> None:
        if train.ndim < 3 or train.shape[2] != self.features:
            raise ValueError(
                f"{self._name()} expects a train [time, batch, {self.features}, *rest]; got shape "
                f"{tuple(train.shape)}. Build it with the channels of the layer before."
            )


def _require_one_of(value: str, known: tuple[str, ...], *, name: str) -> None:
    if value not in known:
        raise ValueError(f"StepNorm expects {name} to be one of {', '.join(map(repr, known))}; got {value!r}.")
