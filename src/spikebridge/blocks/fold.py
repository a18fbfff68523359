"""Settings per step moved to where they cost nothing: a network for inference that computes the same."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..core.per_step import PerStep, StepsTaken
from ..core.shapes import SpikeTrain
from ..core.stock import has_hooks, own_method
from ..core.time import EachStep, OverTime
from ..neurons import AdaptiveLIF
from .stem import HybridStem
from .step_norm import StepNorm
from .step_readout import FoldedReadout, StepReadout


class StepAffine(PerStep):
    """One factor and one offset per step and channel:  weight_t * x_t + bias_t. What is left of a norm in eval mode.

    Args:
        weight: [time, channel].
        bias: [time, channel].

    Shapes:  train [time, batch, channel, *rest] -> the same.
    Raises:  ValueError: weight and bias of different shapes; a train of another T.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, *, weight: Tensor, bias: Tensor) -> None:
        super().__init__(time_steps=len(weight))
        if weight.ndim != 2 or weight.shape != bias.shape:
            raise ValueError(
                f"StepAffine expects weight and bias [time, channel] of one shape; got {tuple(weight.shape)} and "
                f"{tuple(bias.shape)}."
            )
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, train: SpikeTrain) -> SpikeTrain:
        self.check_train(train)
        return self._applied(train, slice(0, self.time_steps))

    def resume(self, train: SpikeTrain, state: StepsTaken | None = None) -> tuple[SpikeTrain, StepsTaken]:
        """See :meth:`TimeAxis.resume`."""
        steps, after = self.steps_of(train, state)
        return self._applied(train, steps), after

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, time_steps={self.time_steps}"

    def _applied(self, train: SpikeTrain, steps: slice) -> SpikeTrain:
        shape = (-1, 1, self.weight.shape[1], *[1] * (train.ndim - 3))
        return train * self.weight[steps].reshape(shape) + self.bias[steps].reshape(shape)


def fold_gain(layers: nn.Module, neuron: AdaptiveLIF) -> nn.Sequential:
    """A norm and the neuron after it, with the gains in the norm:  gain_t (g x_t + h) = (gain_t g) x_t + gain_t h.

    The result computes what ``nn.Sequential(layers, neuron)`` does in eval mode, to rounding, from tensors of its own
    and without parameters in the norm or the neuron. Its neuron has gain 1.

    Args:
        layers: a :class:`StepNorm`; ``OverTime(...)`` or ``EachStep(...)`` whose last layer is a BatchNorm; or a
            :class:`HybridStem`, both of whose sequences end in one.
        neuron: what comes next.

    Raises:
        TypeError: anything else in their places.
        ValueError: a class of one's own that computes something else; a norm that hooks look at, in training
            mode or without running statistics; another T or other channels; gains that are neither one per step nor
            one per step and channel.

    >>> layers = OverTime(nn.Linear(3, 5), nn.BatchNorm1d(5)).eval()
    >>> neuron = AdaptiveLIF(time_steps=4, channels=5)
    >>> [type(module).__name__ for module in fold_gain(layers, neuron)]
    ['OverTime', 'StepAffine', 'AdaptiveLIF']
    """
    if not isinstance(neuron, AdaptiveLIF):
        raise TypeError(f"fold_gain expects an AdaptiveLIF after the norm; got {type(neuron).__name__}.")
    before, norms = _split(layers)
    for part in (layers, *norms, neuron):
        _require_stock(part, owner="fold_gain")
    pairs = [_as_affine(norm) for norm in norms]
    gain = neuron.gain.detach().double()
    gain = gain[:, None] if gain.ndim == 1 else gain
    for norm, (own, _) in zip(norms, pairs, strict=True):
        _check_fit(gain, own, norm)
    scale, shift = (_of_steps(parts, neuron.time_steps) for parts in zip(*pairs, strict=True))
    affine = StepAffine(weight=(gain * scale).to(neuron.gain.dtype), bias=(gain * shift).to(neuron.gain.dtype))
    return nn.Sequential(*copy.deepcopy(before), affine, _without_gain(neuron)).eval()


def fold_readout(readout: StepReadout) -> FoldedReadout:
    """The mean over time of a readout with its layer run once; see :class:`FoldedReadout`.

    Raises:
        TypeError: not a StepReadout.
        ValueError: a layer other than ``nn.Linear``, which need not commute with a mean, or a class of one's own that
            computes something else; a scale per class.

    >>> readout, train = StepReadout(nn.Linear(3, 2), time_steps=4), torch.rand(4, 5, 3)
    >>> torch.allclose(fold_readout(readout)(train)[0], readout(train).mean(0), atol=1e-6)
    True
    """
    if not isinstance(readout, StepReadout):
        raise TypeError(f"fold_readout expects a StepReadout; got {type(readout).__name__}.")
    if not isinstance(readout.layer, nn.Linear):
        raise ValueError(
            f"fold_readout expects a readout whose layer is nn.Linear; got {type(readout.layer).__name__}. Put what "
            f"comes before the last Linear outside of the readout."
        )
    for part in (readout, readout.layer):
        _require_stock(part, owner="fold_readout")
    if readout.per_class:
        raise ValueError(
            "fold_readout expects one scale per step; with per_class=True every class has its own mean over time. "
            "Use the readout as it is."
        )
    layer, scale = copy.deepcopy(readout.layer), readout.scale.detach()
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias.detach() * scale.mean(), requires_grad=layer.bias.requires_grad)
    return FoldedReadout(layer, scale=scale)


def _require_stock(part: nn.Module, *, owner: str) -> None:
    """Refuse what may compute something else than its class is known for."""
    if (name := own_method(part)) is not None:
        raise ValueError(
            f"{owner} knows what the classes of PyTorch and spikebridge compute; {type(part).__name__} has a {name} of "
            f"its own. Use it as it is."
        )
    if has_hooks(part) and not isinstance(part, OverTime | EachStep | HybridStem):
        raise ValueError(
            f"{owner} computes the same in another way; this {type(part).__name__} has hooks, which may change it or "
            f"would be lost. Remove them."
        )


def _split(layers: nn.Module) -> tuple[list[nn.Module], list[_BatchNorm | StepNorm]]:
    """What comes before the norm, lifted; and the norm, or one of step 0 and one of the others."""
    if isinstance(layers, StepNorm):
        return [], [layers]
    parts = [layers.first, layers.rest] if isinstance(layers, HybridStem) else [layers]
    norms = [_last_norm(part) for part in parts]
    if not isinstance(layers, OverTime | EachStep | HybridStem) or None in norms:
        raise TypeError(
            f"fold_gain expects a StepNorm, or OverTime(...) or EachStep(...) or HybridStem(...) that ends in a "
            f"BatchNorm, before the neuron; got {type(layers).__name__}. Pass the layer that normalises the neuron's "
            f"currents."
        )
    rests = [list(part)[:-1] for part in parts if isinstance(part, nn.Sequential)]
    if isinstance(layers, HybridStem):
        before: list[nn.Module] = [HybridStem(*(nn.Sequential(*rest) for rest in rests))]
    else:
        lift = OverTime if isinstance(layers, OverTime) else EachStep  # a subclass may be built from other things
        before = [lift(*rests[0])] if rests[0] else []
    return before, [norm for norm in norms if norm is not None]


def _last_norm(layers: nn.Module) -> _BatchNorm | None:
    last = layers[len(layers) - 1] if isinstance(layers, nn.Sequential) and len(layers) else None
    return last if isinstance(last, _BatchNorm) else None


def _as_affine(norm: _BatchNorm | StepNorm) -> tuple[Tensor, Tensor]:
    """Factor and offset of a norm in eval mode, [channel] or [time, channel], in float64: gains multiply them."""
    mean, var = norm.running_mean, norm.running_var
    looks = norm.looks_at_batch if isinstance(norm, StepNorm) else norm.training
    if looks or mean is None or var is None:
        raise ValueError(
            f"fold_gain expects a norm with running statistics, in eval mode; this {type(norm).__name__} uses those of "
            f"the batch. Call .eval() once it is trained."
        )
    with torch.no_grad():
        scale = torch.rsqrt(var.double() + norm.eps)
        scale = scale if norm.weight is None else scale * norm.weight.double()
        shift = -mean.double() * scale
        shift = shift if norm.bias is None else shift + norm.bias.double()
        learned = norm.of_steps() if isinstance(norm, StepNorm) else None
        return (scale, shift) if learned is None else (learned[0] * scale, learned[0] * shift + learned[1])


def _of_steps(parts: tuple[Tensor, ...], time_steps: int) -> Tensor:
    """What holds for every step: the one part, or one of step 0 and one of the others."""
    return parts[0] if len(parts) == 1 else torch.cat([parts[0][None], parts[1].expand(time_steps - 1, -1)])


def _check_fit(gain: Tensor, scale: Tensor, norm: Any) -> None:
    channels = scale.shape[-1]
    if gain.ndim != 2 or gain.shape[1] not in (1, channels):
        raise ValueError(
            f"fold_gain expects gains [time] or [time, {channels}], as wide as the norm; got {list(gain.shape)}."
        )
    if isinstance(norm, StepNorm) and norm.time_steps != len(gain):
        raise ValueError(
            f"fold_gain expects a norm and a neuron of one T; got time_steps={norm.time_steps} and {len(gain)}."
        )


def _without_gain(neuron: AdaptiveLIF) -> AdaptiveLIF:
    return AdaptiveLIF(
        time_steps=neuron.time_steps,
        channels=neuron.channels or None,
        learn_leak=False,
        learn_gain=False,
        leak=neuron.leak.detach(),
        gain=torch.ones_like(neuron.gain.detach()),
        threshold=neuron.threshold,
        reset=neuron.reset,
        surrogate=neuron.surrogate,
    )
