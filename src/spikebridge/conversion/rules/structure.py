"""Operations that only rearrange, or do nothing when the network is not being trained."""

from __future__ import annotations

import operator
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..rule import Rule, Site
from .refusals import drops


def _image() -> Tensor:
    return torch.linspace(-1, 1, 96).reshape(2, 3, 4, 4)


class _Call(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, values: Tensor) -> Tensor:
        return self.function(values)


def _mixes_batch(site: Site) -> str | None:
    start = site.module.start_dim if isinstance(site.module, nn.Flatten) else site.argument(1, "start_dim", 0)
    return "flattens the batch axis, which would mix samples and steps; flatten from axis 1" if start == 0 else None


def _not_a_view(site: Site) -> str | None:
    name = site.argument(1, "name")
    return None if name in ("mT", "H", "real") else f".{name} has no rule"


FLATTEN = Rule(
    name="flatten",
    matches=(nn.Flatten, torch.flatten, "flatten"),
    refuse=_mixes_batch,
    example=lambda: (nn.Flatten(), _image()),
)

RESHAPE = Rule(
    name="reshape",
    matches=(
        *(torch.reshape, nn.Unflatten, torch.unflatten, torch.squeeze, torch.unsqueeze, torch.broadcast_to),
        *("view", "reshape", "unflatten", "squeeze", "unsqueeze", "expand", "expand_as", "repeat", "contiguous"),
        *("clone", "detach", "view_as", "reshape_as", "broadcast_to", "to", "float", "type_as"),
        *(torch.clone, torch.detach, torch.repeat_interleave),
    ),
    example=lambda: (_Call(lambda x: x.view(x.size(0), -1)), _image()),
)

PERMUTE = Rule(
    name="permute",
    matches=(
        *(torch.permute, torch.transpose, torch.swapaxes, torch.swapdims, torch.movedim, torch.moveaxis),
        *("permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis"),
        *(torch.roll, torch.flip, torch.rot90, "roll", "flip"),
        *(nn.PixelShuffle, nn.PixelUnshuffle, nn.ChannelShuffle, F.pixel_shuffle, F.pixel_unshuffle, F.channel_shuffle),
        *(nn.Fold, nn.Unfold, F.unfold, F.fold),
        "torchvision.ops.misc.Permute",
    ),
    example=lambda: (_Call(lambda x: x.permute(0, 2, 3, 1)), _image()),
)

ATTRIBUTE = Rule(
    name="transposed attribute",
    matches=(getattr,),
    refuse=_not_a_view,
    example=lambda: (_Call(lambda x: x.mT), _image()),
)

CONCATENATE = Rule(
    name="concatenate",
    matches=(torch.cat, torch.concat, torch.concatenate, torch.stack, torch.hstack, torch.dstack),
    example=lambda: (_Call(lambda x: torch.cat([x, x[:, :1]], 1)), _image()),
)

SLICE = Rule(
    name="slice, split, chunk",
    matches=(
        *(operator.getitem, torch.split, torch.chunk, torch.unbind, torch.narrow, torch.select, torch.index_select),
        *(torch.tensor_split, "split", "chunk", "unbind", "narrow", "select", "index_select", "tensor_split"),
    ),
    example=lambda: (_Call(lambda x: x.chunk(2, 2)[1][:, 1:, ::2]), _image()),
)

PAD = Rule(
    name="pad",
    matches=(
        *(F.pad, nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d, nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d),
        *(nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d),
        *(nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d),
        "torchvision.models.swin_transformer._patch_merging_pad",
    ),
    example=lambda: (_Call(lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1))), _image()),
)

INTERPOLATE = Rule(
    name="interpolate",
    matches=(F.interpolate, nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d),
    example=lambda: (nn.Upsample(scale_factor=2, mode="bilinear"), _image()),
)

IDENTITY = Rule(
    name="identity",
    matches=(nn.Identity,),
    example=lambda: (nn.Identity(), torch.linspace(-1, 1, 24).reshape(4, 6)),
)

DROPOUT = Rule(
    name="dropout",
    matches=(
        *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout),
        *(F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout),
    ),
    refuse=drops("units", position=2),
    example=lambda: (nn.Dropout(0.5).eval(), torch.linspace(-1, 1, 24).reshape(4, 6)),
)

DROP_ROWS = Rule(
    name="stochastic depth",
    matches=("torchvision.ops.stochastic_depth.stochastic_depth",),
    refuse=drops("samples", position=3),
    example=lambda: (nn.Identity(), torch.linspace(-1, 1, 24).reshape(4, 6)),
)
