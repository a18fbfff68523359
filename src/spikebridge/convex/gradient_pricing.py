"""Pricing by surrogate gradients: units climb the relaxation of d^T u, and what they then do is what is offered."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ..core.gradient import Sigmoid
from ..core.neuron import run
from .features import CountAtLeast, Feature, FirstSpikeBy, MembraneAbove, Spike, Trace
from .losses import Floats
from .penalties import Penalty
from .unit_pricing import UnitPricer
from .units import Units

SIGMOID = Sigmoid()
RELAXED = (Spike, CountAtLeast, FirstSpikeBy, MembraneAbove)
NEARLY, TINY = 1.0 - 1e-6, 1e-12


class GradientPricer(UnitPricer):
    """Adam on the weights and biases of all starts at once, along the gradients that surrogates stand in for.

        maximise over w, b   v^T (d^T u),  v = argmax over penalty(v) <= 1 of v^T (d^T u), anew at every step

    for the best of a unit's columns d. So the gradient is that of size(d^T u), with every spike's derivative that of
    the neuron's surrogate. Spikes on the way are true ones, and the best units of the way are kept. Thresholds stay, as
    scaling a unit is the same.

    Args:
        units: as for :class:`UnitPricer`, and so on; of features that are spikes, or a level that a count, a first
            spike or a membrane reaches.
        pool: likewise.
        starts: likewise.
        steps: of the optimiser (>= 0).
        rate: of Adam, in units of the root mean square weight of each start (> 0).
        seed: likewise.

    Raises:  ValueError: likewise, or a feature that has no relaxation.
    Source:  units fitted to the gradient of the loss, Mason et al., NIPS 1999 (boosting as gradient descent); through
        surrogates, ours.

    >>> from spikebridge import Direct
    >>> from spikebridge.convex import L1
    >>> values = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> pricer = GradientPricer(Units(values, encoder=Direct(time_steps=1)))
    >>> pricer.price(np.array([[-1.0], [2.0], [-1.0], [1.0]]), L1(), above=0.0, most=1).columns.T.tolist()
    [[0.0, 1.0, 0.0, 1.0]]
    """

    def __init__(
        self, units: Units, *, pool: int = 256, starts: int = 16, steps: int = 20, rate: float = 0.1, seed: int = 0
    ) -> None:
        super().__init__(units, pool=pool, starts=starts, seed=seed)
        if steps < 0 or not rate > 0.0:
            raise ValueError(f"GradientPricer expects steps >= 0 and rate > 0; got {steps} and {rate}.")
        if not all(isinstance(feature, RELAXED) for feature in units.features):
            raise ValueError(
                f"GradientPricer expects features among {', '.join(kind.__name__ for kind in RELAXED)}; got "
                f"{list(units.features)}. SearchPricer takes any feature of 0 and 1."
            )
        self.steps, self.rate = steps, rate

    def improved(self, rows: Floats, dual: Floats, penalty: Penalty, generator: np.random.Generator) -> Floats:
        best: Floats = rows.copy()
        sizes = self.sizes(rows, dual, penalty)
        given = torch.from_numpy(rows[:, :-1]).float()
        scale = given.square().mean(1, keepdim=True).sqrt().clamp(min=TINY)
        directions = nn.Parameter(given / scale)
        optimiser = torch.optim.Adam([directions], lr=self.rate, maximize=True)
        for _ in range(self.steps):
            with torch.enable_grad():
                columns = self._columns(scale * directions, rows[:, -1])
                agreement = (columns * torch.from_numpy(_wanted(columns, dual, penalty)).to(columns)).sum()
                (directions.grad,) = torch.autograd.grad(agreement, directions)
            optimiser.step()
            moved = np.hstack([(scale * directions).detach().double().numpy(), rows[:, -1:]])
            reached = self.sizes(moved, dual, penalty)
            rises = reached > sizes
            best[rises], sizes[rises] = moved[rises], reached[rises]
        return best

    def _columns(self, weights: Tensor, thresholds: Floats) -> Tensor:
        """Columns with a gradient: [features, rows, k]."""
        neuron = self.units.neuron(threshold=torch.from_numpy(thresholds).float())
        train, state = run(neuron, nn.functional.linear(self.units.train, weights[:, :-1], weights[:, -1]))
        if self.units.rows == "steps":
            return train.transpose(0, 1).flatten(0, 1)[None]
        trace = Trace(train, getattr(state, "membrane", None))
        return torch.stack([relaxed(feature, trace) for feature in self.units.features])


def relaxed(feature: Feature, trace: Trace) -> Tensor:
    """The feature itself, with a gradient: a level reached is a spike, whose derivative is a surrogate's.

    Shapes:  trace of [time, batch, units] -> [batch, units].
    """
    if isinstance(feature, CountAtLeast):
        return SIGMOID(trace.train.sum(0) - feature.count)
    if isinstance(feature, FirstSpikeBy):
        return SIGMOID(trace.train[: feature.step + 1].sum(0) - 1.0)
    if isinstance(feature, MembraneAbove) and trace.membrane is not None:
        return SIGMOID(trace.membrane - feature.bias)
    return feature(trace)


def _wanted(columns: Tensor, dual: Floats, penalty: Penalty) -> Floats:
    """What each unit's best column is to agree with, u v; 0 for its other columns: [features, samples, k]."""
    products = np.einsum("fnk,nc->fkc", columns.detach().double().numpy(), dual)
    sizes = np.stack([penalty.sizes(each).max(axis=1) for each in products])
    is_best = sizes == sizes.max(axis=0)
    along = np.stack([dual @ _steepest(each, penalty).T for each in products])
    return np.asarray(along * is_best[:, None])


def _steepest(products: Floats, penalty: Penalty) -> Floats:
    """For every row g, the v of penalty 1 with v^T g = size(g):  [k, C] -> [k, C].

    By Moreau, prox at a step s takes from g its projection on the ball of sizes up to s; at a step just below the size
    what is left points along v.
    """
    sizes = penalty.sizes(products).max(axis=1, keepdims=True)
    scaled = np.divide(products, sizes, out=np.zeros_like(products), where=sizes > 0.0)
    left = penalty.prox(scaled, NEARLY) / (1.0 - NEARLY)
    return np.asarray(left, dtype=np.float64)
