"""The first layers of a network whose first frame is analog and whose others are spikes."""

from __future__ import annotations

import torch
from torch import nn

from ..core.shapes import SpikeTrain
from ..core.time import TimeAxis, fold, unfold


class HybridStem(TimeAxis):
    """Step 0 through layers of its own, all other steps through others:  [first(s_0), rest(s_1), ..., rest(s_T-1)].

    For ``Hybrid`` codes. With a BatchNorm in each, the analog frame is normalised by itself and the spikes, all steps
    together, by themselves; for a norm of each step, put a ``StepNorm`` behind the stem and none into it. The gradient
    of step 0 reaches ``first`` only, that of the others ``rest`` only.

    Args:
        first: stateless layers for one frame, such as ``nn.Sequential(nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32))``.
        rest: stateless layers of the same output shape; they are lifted over time here.

    Shapes:  train [time, batch, *unit] -> train [time, batch, *other].
    Raises:
        TypeError: what is no module.
        ValueError: layers that know time, or that give other shapes than one another; see :meth:`check_train`.
    Source:  He, arXiv 2408.12407, as the published code has it.

    >>> stem = HybridStem(nn.Conv2d(1, 8, 3), nn.Conv2d(1, 8, 3))
    >>> stem(torch.zeros(4, 2, 1, 6, 6)).shape
    torch.Size([4, 2, 8, 4, 4])
    """

    def __init__(self, first: nn.Module, rest: nn.Module) -> None:
        super().__init__()
        for name, layers in (("first", first), ("rest", rest)):
            if not isinstance(layers, nn.Module):
                raise TypeError(
                    f"HybridStem expects {name} to be a module, such as nn.Conv2d(3, 32, 3); got {layers!r}."
                )
            timed = [(f"{name}.{at}", part) for at, part in layers.named_modules() if isinstance(part, TimeAxis)]
            if timed:
                raise ValueError(
                    f"HybridStem expects {name} to know no time; '{timed[0][0].rstrip('.')}' "
                    f"({type(timed[0][1]).__name__}) takes trains. Pass the layers without it: HybridStem lifts them "
                    f"itself. Norms of each step and neurons come after: nn.Sequential(HybridStem(...), StepNorm(...))."
                )
        self.first, self.rest = first, rest

    def forward(self, train: SpikeTrain) -> SpikeTrain:
        self.check_train(train)
        return self.resume(train)[0]

    def resume(self, train: SpikeTrain, state: bool | None = None) -> tuple[SpikeTrain, bool]:
        """See :meth:`TimeAxis.resume`; the state is whether step 0 has been."""
        pieces = [] if state else [self.first(train[0])[None]]
        others = train if state else train[1:]
        if len(others):
            pieces.append(unfold(self.rest(fold(others)), time_steps=len(others)))
        if any(piece.shape[1:] != pieces[0].shape[1:] for piece in pieces):
            raise ValueError(
                f"{self._name()} expects layers of one output shape; first gave {tuple(pieces[0].shape[1:])} and rest "
                f"{tuple(pieces[1].shape[1:])}. Give both the same channels, kernel and stride."
            )
        return torch.cat(pieces), True
