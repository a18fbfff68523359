"""From values to the columns of a dictionary, by spiking witnesses: a module to fit a readout on, and to keep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..blocks import SpikingNetwork
from ..core.encoder import Encoder
from ..core.modes import in_mode
from ..core.neuron import Neuron, run
from .bits import BitDictionary, require_binary
from .columns import Dictionary
from .dense import DenseDictionary
from .features import Feature, Spike, Trace
from .packing import pack

CURRENTS = 1 << 23
"""Numbers of the last layer's trains that are computed at a time."""

Rows = Literal["samples", "steps"]


class Origin(NamedTuple):
    """Where a column comes from: which feature of which unit."""

    feature: Feature
    unit: int


class SpikeFeatures(nn.Module):
    """The features of witnesses, side by side: column f * units + u is feature f of unit u.

    Put a linear layer behind it and it is the network that a readout was solved for.

    Args:
        body: witnesses, from trains to trains of spikes; an ``nn.Sequential`` that ends in a neuron shows its membrane
            too. Without an encoder, any module from values to [batch, *unit], which count as one step, such as a
            submodule of a trained network.
        encoder: turns values into the train that the body receives.
        features: what is read of each unit; of ``rows="steps"``, nothing but the spike of the step.
        rows: "samples", or "steps": every step of every sample is a row of its own, all steps of a sample together.

    Shapes:  values [batch, *unit] -> [batch, features * units], of rows="steps" [batch * time, units].
    Raises:  ValueError: no feature, an unknown rows, several features of steps, or a body that changes the batch.

    >>> from spikebridge import Direct
    >>> from spikebridge.convex import Count, gaussian_witness
    >>> features = SpikeFeatures(gaussian_witness(3, (7,)), encoder=Direct(time_steps=4), features=(Spike(), Count()))
    >>> features(torch.ones(5, 3)).shape, features.origin(8, columns=14)
    (torch.Size([5, 14]), Origin(feature=Count(), unit=1))
    """

    def __init__(
        self,
        body: nn.Module,
        *,
        encoder: Encoder | None = None,
        features: Sequence[Feature] = (Spike(),),
        rows: Rows = "samples",
    ) -> None:
        super().__init__()
        if not features or rows not in ("samples", "steps"):
            raise ValueError(
                f"SpikeFeatures expects features and rows 'samples' or 'steps'; got {len(features)} and {rows!r}."
            )
        if rows == "steps" and tuple(features) != (Spike(),):
            raise ValueError(f"SpikeFeatures with rows='steps' reads the spike of each step; got {list(features)}.")
        self.body, self.encoder = body, encoder
        self.features, self.rows = tuple(features), rows

    def forward(self, values: Tensor) -> Tensor:
        trace = self.trace(values)
        if self.rows == "steps":
            return trace.train.transpose(0, 1).flatten(0, 1)
        return torch.cat([feature(trace) for feature in self.features], dim=1)

    def trace(self, values: Tensor) -> Trace:
        """What the units do with a batch of values."""
        train = values if self.encoder is None else self.encoder(values)
        *below, last = self.body.children() if isinstance(self.body, nn.Sequential) else [self.body]
        if isinstance(last, Neuron) and self.encoder is not None:
            sent, state = run(last, nn.Sequential(*below)(train))
            membrane = getattr(state, "membrane", None)
            return self._seen(Trace(sent, None if membrane is None else membrane.flatten(1)), len(values))
        sent = self.body(train)
        return self._seen(Trace(sent[None] if self.encoder is None else sent), len(values))

    def origin(self, column: int, *, columns: int) -> Origin:
        """Where a column comes from.

        Args:
            column: its number.
            columns: how many there are in all.

        Raises:  ValueError: no such column, or columns that are no multiple of the features.
        """
        units, rest = divmod(columns, len(self.features))
        if rest or not 0 <= column < columns:
            raise ValueError(
                f"SpikeFeatures of {len(self.features)} features expects one of a multiple of as many columns; got "
                f"column {column} of {columns}."
            )
        return Origin(self.features[column // units], column % units)

    @property
    def is_binary(self) -> bool:
        """Whether all columns are zeros and ones."""
        return all(feature.is_binary for feature in self.features)

    @staticmethod
    def _seen(trace: Trace, batch: int) -> Trace:
        if trace.train.ndim < 3 or trace.train.shape[1] != batch:
            raise ValueError(
                f"SpikeFeatures expects its body to send a train [time, batch={batch}, *unit], or [batch={batch}, "
                f"*unit] where there is no encoder; got shape {tuple(trace.train.shape)}, time first."
            )
        return trace._replace(train=trace.train.flatten(2))

    def extra_repr(self) -> str:
        return f"features={list(self.features)}, rows={self.rows}"


def spike_dictionary(features: SpikeFeatures, values: Tensor, *, batch_size: int | None = None) -> Dictionary:
    """The columns of all features for all values: bits where they are zeros and ones, else the numbers themselves.

    Args:
        features: witnesses and what is read of them; run in eval mode, without a gradient.
        values: [samples, *unit], on the witnesses' device.
        batch_size: samples at a time; None is as many as keep the trains small.

    Raises:  ValueError: no value, or features of 0 and 1 that turn out to be something else.

    >>> from spikebridge import Direct
    >>> from spikebridge.convex import gaussian_witness
    >>> spike_dictionary(SpikeFeatures(gaussian_witness(3, (7,)), encoder=Direct(time_steps=4)), torch.ones(5, 3))
    BitDictionary(5 rows, 7 columns, 5.6e-05 MB)
    """
    if len(values) == 0:
        raise ValueError("spike_dictionary expects at least one sample; got none.")
    with torch.no_grad(), in_mode(features, training=False):
        first = features.trace(values[:1])
        size = batch_size or max(64, CURRENTS // first.train.numel() // 64 * 64)
        blocks = (features(batch).detach().cpu().numpy() for batch in torch.split(values, size))
        if features.is_binary:
            return _packed(blocks)
        return DenseDictionary(np.concatenate([_narrow(block) for block in blocks]))


def before_readout(network: SpikingNetwork) -> tuple[nn.Sequential, Encoder]:
    """The witnesses in a trained network of ours: its body up to the last neuron, and its encoder.

    Raises:  ValueError: a body that is no sequence, or has no neuron in it.
    """
    parts = list(network.body.children()) if isinstance(network.body, nn.Sequential) else []
    last = max((place for place, part in enumerate(parts) if isinstance(part, Neuron)), default=-1)
    if last < 0:
        raise ValueError(
            f"before_readout expects a SpikingNetwork whose body is an nn.Sequential with neurons in it; got "
            f"{type(network.body).__name__}. Pass the part that makes the spikes to SpikeFeatures."
        )
    return nn.Sequential(*parts[: last + 1]), network.encoder


def _packed(blocks: Iterator[NDArray[Any]]) -> BitDictionary:
    """Rows block after block, packed as soon as 64 of them are there."""
    words, rows, left = [], 0, None
    for block in blocks:
        rows += len(block)
        waiting = require_binary(block if left is None else np.concatenate([left, block]))
        whole = len(waiting) // 64 * 64
        words.append(pack(waiting[:whole].T))
        left = waiting[whole:]
    if left is not None and len(left):
        words.append(pack(left.T))
    return BitDictionary(np.concatenate(words, axis=1), rows)


def _narrow(block: NDArray[Any]) -> NDArray[Any]:
    """Counts in one byte each, other numbers as they are."""
    octets = np.clip(np.nan_to_num(block), 0, 255).astype(np.uint8)
    return octets if np.array_equal(octets, block) else block
