"""Operations that only rearrange, or do nothing when the network is not being trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..rule import Rule, Site


def _mixes_batch(site: Site) -> str | None:
    start = site.module.start_dim if isinstance(site.module, nn.Flatten) else site.argument(1, "start_dim", 0)
    return "flattens the batch axis, which would mix samples and steps; flatten from axis 1" if start == 0 else None


def _drops(site: Site) -> str | None:
    drops = site.module is None and site.argument(2, "training", True)
    return "drops units in eval mode too; pass training=self.training" if drops else None


class _Viewed(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.view(values.size(0), -1)


FLATTEN = Rule(
    name="flatten",
    matches=(nn.Flatten, torch.flatten, "flatten"),
    refuse=_mixes_batch,
    example=lambda: (nn.Flatten(), torch.linspace(-1, 1, 96).reshape(2, 3, 4, 4)),
)

RESHAPE = Rule(
    name="reshape",
    matches=(torch.reshape, "view", "reshape", "contiguous"),
    example=lambda: (_Viewed(), torch.linspace(-1, 1, 96).reshape(2, 3, 4, 4)),
)

IDENTITY = Rule(
    name="identity",
    matches=(nn.Identity,),
    example=lambda: (nn.Identity(), torch.linspace(-1, 1, 24).reshape(4, 6)),
)

DROPOUT = Rule(
    name="dropout",
    matches=(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, F.dropout, F.dropout1d, F.dropout2d, F.dropout3d),
    refuse=_drops,
    example=lambda: (nn.Dropout(0.5).eval(), torch.linspace(-1, 1, 24).reshape(4, 6)),
)
