"""The activation a network is trained with so that it converts without loss."""

from __future__ import annotations

from torch import Tensor, nn

from ..core.counts import require_whole
from ..core.gradient import level_of, quantise
from ..core.neuron import brief, positive_setting
from ..core.positive import positive, raw_of
from ..core.shapes import along_channels, at_least_float32


class QCFS(nn.Module):
    """Quantisation, clip, floor, shift: a ReLU with ``levels`` steps up to a learned threshold.

    With one level u = threshold / levels,

        qcfs(z) = u * clamp(floor(z / u + 1/2), 0, levels)

    Gradient (a = qcfs(z)):  da/dz = 1 for -u/2 <= z < threshold + u/2, else 0;
    da/dthreshold = (a - z) / threshold there, 1 above, 0 below. The threshold is positive(raw_threshold), a
    softplus, so no optimiser can make it negative.

    One step of ``GroupNeuron(threshold, members=levels)`` computes the same function with the same arithmetic.

    Args:
        levels: L, number of levels above zero (>= 1).
        threshold: initial threshold (> 0), in units of the input; a float, or one number per channel. Start near
            the upper end of what the layer produces: 4 to 8 after BatchNorm.

    Shapes:  [batch, *unit] -> [batch, *unit], multiples of threshold / levels.
    Raises:  ValueError: levels < 1; a threshold that is not positive and finite.
    Source:  Bu et al., ICLR 2022, eq. 16.
    Deviates:  the gradient follows from the definition (the published eq. 19 does not); softplus threshold.

    >>> QCFS(levels=4, threshold=4.0)(torch.tensor([-1.0, 0.4, 0.6, 2.2, 9.0])).tolist()
    [0.0, 0.0, 1.0, 2.0, 4.0]
    """

    def __init__(self, *, levels: int = 8, threshold: float | Tensor = 4.0) -> None:
        super().__init__()
        require_whole(levels, owner="QCFS", name="levels")
        setting = positive_setting(threshold, owner="QCFS", name="threshold")
        self.levels = levels
        self.raw_threshold = nn.Parameter(raw_of(setting))

    @property
    def threshold(self) -> Tensor:
        """Where the last level is reached."""
        return positive(self.raw_threshold)

    def forward(self, values: Tensor) -> Tensor:
        level = along_channels(level_of(self.threshold, self.levels), values)
        return quantise(values.to(at_least_float32(values.dtype)) / level + 0.5, high=self.levels) * level

    def extra_repr(self) -> str:
        return f"levels={self.levels}, threshold={brief(self.threshold)}"
