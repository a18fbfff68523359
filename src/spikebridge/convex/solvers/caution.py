"""How far a solver trusts the curvature that a loss has at a point."""

from __future__ import annotations

from dataclasses import dataclass, field

MORE, LESS, SMALLEST = 10.0, 0.3, 1e-4


@dataclass
class Caution:
    """The share of a parabola above the loss in a Hessian: more when steps must be cut, less when they need not.

    Attributes:
        least: the share that is always there.
        share: the present one.
    """

    least: float
    share: float = field(init=False)

    def __post_init__(self) -> None:
        self.share = 30.0 * self.least

    def learn(self, step: float) -> None:
        """From a step taken: 1 is the whole, 0 none."""
        if step == 1.0:
            self.share = max(self.least, LESS * self.share if self.share > SMALLEST else 0.0)
        else:
            self.share = min(1.0, max(0.1, MORE * self.share))
