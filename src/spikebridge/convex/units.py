"""Single units by their numbers: a family without end, of which any column can be made, and made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..blocks import SpikingNetwork
from ..core.encoder import Encoder
from ..core.neuron import Neuron, run
from ..encoders import Recorded
from ..neurons import LIF
from .bits import BitDictionary
from .columns import Floats, Index
from .features import CountAtLeast, Feature, FirstSpikeBy, Spike
from .generation import Generated
from .penalties import Penalty
from .pricing import ThresholdPricer
from .reconstruct import ExactReadout, reconstruct
from .snapping import OnGrid
from .spike_features import Rows, SpikeFeatures, spike_dictionary
from .witnesses import network_of

Name = tuple[float, ...]
"""Of a column: (w_1, ..., w_inputs, bias, threshold) of the unit, and the number of the feature."""
SLOW_LIF = partial(LIF, decay=0.99)
SILENT = 1e30
"""A threshold that no membrane reaches."""


class Units:
    """All units of one kind over given inputs, each known by its weights, bias and threshold: a row of numbers.

    What a unit does is what it does in a network of witnesses: :func:`~spikebridge.convex.network_of` moves its weights
    to the grid of exact currents, and the neuron runs as it does everywhere. So its columns are the same to the last
    bit whoever makes them, and whatever other units are made with it.

    Args:
        values: [samples, *unit], of which the columns are made.
        encoder: turns values into trains.
        neuron: makes a layer of neurons from ``threshold``, [units].
        features: what is read of each unit, all of 0 and 1.
        rows: "samples", or "steps": every step of every sample is a row, as of :class:`SpikeFeatures`.
        below: witnesses that the units see; None lets them see the encoder's train.
        grid: rounds analog inputs; None for trains of 0 and 1, as those of witnesses are.

    Raises:
        ValueError: a feature that is not 0 or 1, or none; a grid although something is below; rows that
            :class:`SpikeFeatures` refuses.

    >>> from spikebridge import Direct
    >>> units = Units(torch.tensor([[0.0, 1.0], [1.0, 1.0]]), encoder=Direct(time_steps=1))
    >>> units.dictionary(np.array([[2.0, 0.0, 0.5, 1.0]])).take(np.array([0])).T.tolist()
    [[0.0, 1.0]]
    """

    def __init__(
        self,
        values: Tensor,
        *,
        encoder: Encoder,
        neuron: Callable[..., Neuron[Any]] = SLOW_LIF,
        features: Sequence[Feature] = (Spike(),),
        rows: Rows = "samples",
        below: nn.Sequential | None = None,
        grid: OnGrid | None = None,
    ) -> None:
        if not features or not all(feature.is_binary for feature in features) or (below is not None and grid):
            raise ValueError(
                f"Units expects features of 0 and 1, and a grid only where no witnesses are below; got "
                f"{list(features)}, grid={grid}. Of counts, take CountAtLeast; witnesses round their own inputs."
            )
        SpikeFeatures(nn.Identity(), encoder=encoder, features=features, rows=rows)  # refuses what it cannot read
        self.encoder, self.neuron, self.features, self.rows = encoder, neuron, tuple(features), rows
        self.below, self.grid = below, grid
        with torch.no_grad():
            train = encoder(values)
            train = train if below is None else below(train)
            self.train = (train if grid is None else grid(train)).flatten(2)
        self.inputs = self.train.shape[2]

    def dictionary(self, rows: Floats) -> BitDictionary:
        """The columns of units, for the values given: those of the first feature, then of the second, and so on.

        Shapes:  [k, inputs + 2] -> [samples, features * k], of rows="steps" [samples * time, k].
        """
        encoder = Recorded(time_steps=len(self.train))
        features = SpikeFeatures(self._layer(rows), encoder=encoder, features=self.features, rows=self.rows)
        made = spike_dictionary(features, self.train.transpose(0, 1))
        assert isinstance(made, BitDictionary)
        return made

    def names(self, rows: Floats, columns: Index) -> list[Name]:
        """Names of columns of :meth:`dictionary`."""
        feature, unit = np.divmod(columns, len(rows))
        return [(*rows[u].tolist(), int(f)) for f, u in zip(feature, unit, strict=True)]

    def network(self, found: Generated | Sequence[Generated]) -> SpikingNetwork:
        """The network of the units that were found, by pricers of these, and the readout that was solved for them.

        Its scores are those of ``exact_readout(found.solution)`` on ``found.columns``, bit for bit, as
        :func:`~spikebridge.convex.reconstruct` makes them; where no column is in use, one unit stays. Of several
        questions, each with units of its own, the scores stand in a row, and weights are on one grid for all.

        Args:
            found: what :func:`~spikebridge.convex.generate_columns` found, for one question or for each of several.

        Raises:  ValueError: nothing found, names that are not those of such units, and what ``reconstruct`` refuses.
        """
        each = [found] if isinstance(found, Generated) else list(found)
        if not each:
            raise ValueError("Units.network expects what was found for one question at least; got an empty sequence.")
        numbers = [self._numbers(one) for one in each]
        units = np.vstack([one[:, :-1] for one in numbers])
        idle = np.concatenate([np.zeros(self.inputs + 1), np.ones(1)])
        rows, place = np.unique(units if len(units) else idle[None], axis=0, return_inverse=True)
        places = np.split(place.reshape(-1)[: len(units)], np.cumsum([len(one) for one in numbers])[:-1])
        readouts = [
            self._readout(one, number[:, -1].astype(np.intp) * len(rows) + where, len(self.features) * len(rows))
            for one, number, where in zip(each, numbers, places, strict=True)
        ]
        layer = self._layer(rows)
        body = layer if self.below is None else nn.Sequential(*self.below, *layer)
        features = SpikeFeatures(body, encoder=self.encoder, features=self.features, rows=self.rows)
        return reconstruct(features, readouts)

    def _numbers(self, found: Generated) -> Floats:
        """Weights, bias and threshold of the unit, and the feature, of every column: [columns, inputs + 3]."""
        names = [name for _, name in found.names]
        if any(np.shape(name) != (self.inputs + 3,) for name in names):
            raise ValueError(
                f"Units.network expects names of units of {self.inputs} inputs; got others, such as {names[0]!r}. Take "
                f"what pricers of these units alone have found."
            )
        return np.asarray(names, dtype=np.float64).reshape(-1, self.inputs + 3)

    @staticmethod
    def _readout(found: Generated, columns: Index, inputs: int) -> ExactReadout:
        """The readout of one question, on the columns of all."""
        given = np.asarray(found.solution.weights).reshape(len(columns), np.size(found.solution.intercept))
        weights = np.zeros((inputs, given.shape[1]))
        weights[columns] = given
        return ExactReadout(weights, np.reshape(found.solution.intercept, -1))

    def drawn(self, units: int, generator: np.random.Generator) -> Floats:
        """Gaussian weights, fan-in scaled and 1 / 4 to 4 times that, with biases alike: [units, inputs + 2]."""
        scale = self.inputs**-0.5 * 2.0 ** generator.uniform(-2.0, 2.0, size=(units, 1))
        rows = generator.normal(size=(units, self.inputs + 1)) * scale
        return np.hstack([rows, np.ones((units, 1))])

    def tuned(self, rows: Floats, dual: Floats, penalty: Penalty) -> Floats:
        """The same units at the thresholds at which size(d^T u) is largest, where these can be told exactly.

        Whether a unit has fired by a step is whether its membrane, as it is without spikes, has reached the threshold
        by then: one more case for :class:`ThresholdPricer`. Of other features, or several, units stay as they are.
        """
        step = _first_step(self.features, len(self.train)) if self.rows == "samples" else None
        if step is None:
            return rows
        priced = ThresholdPricer(self._highest(rows, step)).price(dual, penalty, above=-1.0, most=len(rows))
        tuned: Floats = rows.copy()
        for unit, threshold in priced.names:
            if threshold > 0.0:  # no threshold makes a unit fire whatever it receives
                tuned[unit, -1] = threshold
        return tuned

    def _highest(self, rows: Floats, step: int) -> Floats:
        """The largest membrane up to a step, were there no spikes, 0 at least: [samples, units]."""
        connections, neuron = self._layer(np.hstack([rows[:, :-1], np.full((len(rows), 1), SILENT)]))
        assert isinstance(neuron, Neuron)
        highest, state = torch.zeros(1), None
        with torch.no_grad():
            for current in connections(self.train[: step + 1]).split(1):
                _, state = run(neuron, current, state)
                highest = torch.maximum(highest, state.membrane)
        return np.asarray(highest.numpy(), dtype=np.float64)

    def _layer(self, rows: NDArray[Any]) -> nn.Sequential:
        numbers = torch.from_numpy(rows)
        weights, biases, thresholds = numbers[:, :-2], numbers[:, -2], numbers[:, -1].float()
        return network_of(
            [(weights[None], biases[None])], neuron=lambda: self.neuron(threshold=thresholds), grid=self.grid
        )


def _first_step(features: Sequence[Feature], time_steps: int) -> int | None:
    """The step up to which the only feature asks whether the unit has fired; None where another thing is asked."""
    if len(features) == 1 and isinstance(features[0], FirstSpikeBy):
        return features[0].step
    return time_steps - 1 if features == (CountAtLeast(1),) else None
