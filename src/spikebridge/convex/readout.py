"""The last layer of a network whose readout was solved for: scores of what the units below have sent."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..core.shapes import SpikeTrain
from ..core.time import TimeAxis
from .features import Count, Feature, Trace
from .spike_features import Rows


class SpikeReadout(TimeAxis):
    """Scores that are linear in features of a train of spikes:  W f + b.

    Of ``rows="samples"`` there is one answer, given after the last step; of ``rows="steps"`` one at every step, from
    the spikes of that step and with the same weights. The product is computed in the type of the layer, whatever the
    spikes come in.

    Args:
        layer: W and b; its inputs are the first feature of all units, then the second, and so on.
        features: what is read of each unit; of spikes, not of membranes.
        rows: "samples" or "steps".

    Shapes:  train [time, batch, units] -> [1, batch, scores], of rows="steps" [time, batch, scores].
    Raises:  ValueError: features of a membrane, which a train does not show.

    >>> SpikeReadout(nn.Linear(3, 2), features=(Count(),))(torch.ones(4, 5, 3)).shape
    torch.Size([1, 5, 2])
    """

    def __init__(self, layer: nn.Linear, *, features: Sequence[Feature] = (Count(),), rows: Rows = "samples") -> None:
        super().__init__()
        self.layer, self.features, self.rows = layer, tuple(features), rows

    def forward(self, train: SpikeTrain) -> SpikeTrain:
        self.check_train(train)
        trace = Trace(train.flatten(2))
        read = trace.train if self.rows == "steps" else torch.cat([each(trace) for each in self.features], dim=1)[None]
        scores: Tensor = self.layer(read.to(self.layer.weight.dtype))
        return scores

    def extra_repr(self) -> str:
        return f"features={list(self.features)}, rows={self.rows}"
