"""BatchNorm whose statistics are those of the whole batch, however many processes share it, on any device."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.distributed as dist
from lightning.pytorch.plugins import LayerSync
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

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


class SyncedBatchNorm(_BatchNorm):
    """BatchNorm over the samples of all processes together.

    With n_p samples a channel in process p, and sums over all processes:

        mean = sum_p sum x / sum_p n_p,    var = sum_p sum (x - mean)^2 / sum_p n_p

    Two exchanges, each differentiable, so gradients flow between processes too.

    Deviates:  ``torch.nn.SyncBatchNorm`` computes the same and runs on accelerators only.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Any rank: the layer it replaces has been checked when it was built."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise by the statistics of all processes in training, by the running ones in eval mode."""
        if not (self.training and dist.is_available() and dist.is_initialized()):
            return super().forward(input)
        values = input.to(at_least_float32(input.dtype))
        axes = [axis for axis in range(values.ndim) if axis != 1]
        shape = [1, -1, *[1] * (values.ndim - 2)]
        here = torch.cat([values.sum(axes), values.new_tensor([values.numel() / values.shape[1]])])
        everywhere = cast(Tensor, _SumOfAll.apply(here))
        count = everywhere[-1]
        mean = everywhere[:-1] / count
        centred = values - mean.view(shape)
        variance = cast(Tensor, _SumOfAll.apply(centred.square().sum(axes))) / count
        self._remember(mean.detach(), variance.detach(), count.detach())
        normal = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.weight is not None:
            normal = normal * self.weight.view(shape)
        if self.bias is not None:
            normal = normal + self.bias.view(shape)
        return normal.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * count / (count - 1), share)


class SyncEverywhere(LayerSync):
    """Lightning's place for replacing norms by synced ones, and for putting them back after training.

    The layers stay the objects they are, with their parameters, buffers and hooks; only their class changes, to
    PyTorch's ``SyncBatchNorm`` on accelerators and to :class:`SyncedBatchNorm` on the CPU, and back.

    Deviates:  Lightning's own leaves every norm a new object of a private class.

    Args:
        device: where training runs.
    """

    def __init__(self, device: torch.device) -> None:
        self.kind: type[_BatchNorm] = SyncedBatchNorm if device.type == "cpu" else nn.SyncBatchNorm

    def apply(self, model: nn.Module) -> nn.Module:
        """Make every BatchNorm a synced one."""
        for layer in model.modules():
            if type(layer) in _KINDS:
                layer.__dict__["_was"] = type(layer)
                layer.__dict__["process_group"] = None  # what SyncBatchNorm reads: all processes
                layer.__class__ = self.kind
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Undo :meth:`apply`."""
        for layer in model.modules():
            if "_was" in layer.__dict__:
                layer.__class__ = layer.__dict__.pop("_was")
                del layer.__dict__["process_group"]
        return model


_KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
