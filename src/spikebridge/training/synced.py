"""Norms whose statistics are those of the whole batch, however many processes share it, on any device."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.distributed as dist
from lightning.pytorch.plugins import LayerSync
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..blocks.step_norm import StepNorm
from ..core.shapes import at_least_float32


class _SumOfAll(torch.autograd.Function):
    """The sum of a tensor over all processes; so is the gradient's."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        return _summed(own)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient)


def _summed(own: Tensor) -> Tensor:
    total = own.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


def _has_others() -> bool:
    return dist.is_available() and dist.is_initialized()


def _standardised(values: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(x - mean) / sqrt(var + eps) for each channel (axis 1) of all processes' samples; mean, var and their number.

    With n_p samples a channel in process p, and sums over all processes:

        mean = sum_p sum x / sum_p n_p,    var = sum_p sum (x - mean)^2 / sum_p n_p

    Two exchanges, each differentiable, so gradients flow between processes too.
    """
    axes = [axis for axis in range(values.ndim) if axis != 1]
    here = torch.cat([values.sum(axes), values.new_tensor([values.numel() / values.shape[1]])])
    everywhere = cast(Tensor, _SumOfAll.apply(here))
    count = everywhere[-1]
    mean = everywhere[:-1] / count
    centred = values - _along(mean, values)
    variance = cast(Tensor, _SumOfAll.apply(centred.square().sum(axes))) / count
    return centred * _along(torch.rsqrt(variance + eps), values), mean.detach(), variance.detach(), count.detach()


def _affine(normal: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    scaled = normal if weight is None else normal * _along(weight, normal)
    return scaled if bias is None else scaled + _along(bias, scaled)


def _along(channels: Tensor, like: Tensor) -> Tensor:
    """One number per channel, shaped to broadcast over axis 1."""
    return channels.view(-1, *[1] * (like.ndim - 2))


class SyncedBatchNorm(_BatchNorm):
    """BatchNorm over the samples of all processes together; see :func:`_standardised`.

    Deviates:  ``torch.nn.SyncBatchNorm`` computes the same and runs on accelerators only.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Any rank: the layer it replaces has been checked when it was built."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise by the statistics of all processes in training, by the running ones in eval mode."""
        if not (self.training and _has_others()):
            return super().forward(input)
        values = input.to(at_least_float32(input.dtype))
        normal, mean, variance, count = _standardised(values, self.eps)
        self._remember(mean, variance, count)
        return _affine(normal, self.weight, self.bias).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * count / (count - 1), share)


class SyncedStepNorm(StepNorm):
    """StepNorm whose statistics, of each step or of all together, are over the samples of all processes.

    Running averages are over all of them too, and so the same in every process. In eval mode nothing is exchanged:
    with ``eval_statistics="batch"`` every process uses those of its own batch.
    """

    def _batch_norm(self, values: Tensor, mean: Tensor, var: Tensor, momentum: float) -> Tensor:
        if not (self.training and _has_others()):
            return super()._batch_norm(values, mean, var, momentum)
        normal, own_mean, own_var, count = _standardised(values.to(at_least_float32(values.dtype)), self.eps)
        with torch.no_grad():
            mean.lerp_(own_mean.to(mean), momentum)
            var.lerp_((own_var * count / (count - 1)).to(var), momentum)
        times = values.shape[1] // self.features
        return _affine(normal, self.weight.repeat(times), self.bias.repeat(times)).to(values.dtype)


class SyncEverywhere(LayerSync):
    """Lightning's place for replacing norms by synced ones, and for putting them back after training.

    The layers stay the objects they are, with their parameters, buffers and hooks; only their class changes, and back:
    that of a BatchNorm to PyTorch's ``SyncBatchNorm`` on accelerators and to :class:`SyncedBatchNorm` on the CPU, that
    of a StepNorm to :class:`SyncedStepNorm`.

    Deviates:  Lightning's own leaves every norm a new object of a private class.

    Args:
        device: where training runs.
    """

    def __init__(self, device: torch.device) -> None:
        self.kind: type[_BatchNorm] = SyncedBatchNorm if device.type == "cpu" else nn.SyncBatchNorm

    def apply(self, model: nn.Module) -> nn.Module:
        """Make every BatchNorm and StepNorm a synced one."""
        for layer in model.modules():
            if type(layer) in _KINDS:
                layer.__dict__["_was"] = type(layer)
                layer.__dict__["process_group"] = None  # what SyncBatchNorm reads: all processes
                layer.__class__ = self.kind
            elif type(layer) is StepNorm:
                layer.__dict__["_was"] = StepNorm
                layer.__class__ = SyncedStepNorm
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Undo :meth:`apply`."""
        for layer in model.modules():
            if "_was" in layer.__dict__:
                layer.__class__ = layer.__dict__.pop("_was")
                layer.__dict__.pop("process_group", None)
        return model


_KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
