"""From units and a solved readout to a network of neurons that answers what the readout answers, bit for bit."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..blocks import SpikingNetwork
from .features import Membrane, MembraneAbove
from .grid import quantum_for, rounded
from .readout import SpikeReadout
from .shrink import cut
from .spike_features import SpikeFeatures
from .witnesses import as_layers, linears_of

Floats = NDArray[np.float64]


class Solved(Protocol):
    """What a convex problem gives, such as :class:`~spikebridge.convex.Solution`."""

    @property
    def weights(self) -> Floats:
        """[inputs] or [inputs, outputs]."""

    @property
    def intercept(self) -> Any:
        """A number or [outputs]."""


class ExactReadout(NamedTuple):
    """Weights [inputs, outputs] and intercept [outputs] whose products with whole numbers are exact."""

    weights: Floats
    intercept: Floats

    def scores(self, dictionary: Any) -> Floats:
        """D W + b: [samples, outputs], without rounding.

        Args:
            dictionary: [samples, inputs] of whole numbers, a :class:`Dictionary` or an array.
        """
        products: Floats = (
            dictionary.matvec(self.weights) if hasattr(dictionary, "matvec") else dictionary @ self.weights
        )
        return products + self.intercept


def exact_readout(solutions: Solved | Sequence[Solved], *, largest: int = 1) -> ExactReadout:
    """A solution on a grid so coarse that float64 computes its scores without rounding, in any order.

    Weights become the nearest multiples of q = 2^-k, with k as large as scores W f + b of whole numbers f in
    [0, largest] allow: about 15 digits of the largest score, so the objective moves by as little. What is gained:
    every machine, batch size and library gives the same scores, to the last bit.

    Args:
        solutions: one, or several of the same inputs, whose outputs stand in a row.
        largest: the largest input: 1 for spikes, T for counts.

    >>> class Solution(NamedTuple):
    ...     weights: Floats = np.array([0.1, -0.3])
    ...     intercept: Floats = np.array([0.7])
    >>> readout = exact_readout(Solution())
    >>> bool(abs(readout.weights[:, 0] - [0.1, -0.3]).max() < 1e-14)
    True
    """
    each = solutions_in(solutions)
    weights = np.concatenate([_columns(one.weights) for one in each], axis=1)
    intercept = np.concatenate([np.asarray(one.intercept, dtype=np.float64).reshape(-1) for one in each])
    quantum = quantum_for(np.concatenate([largest * np.abs(weights).ravel(), np.abs(intercept)]))
    return ExactReadout(rounded(weights, quantum), rounded(intercept, quantum))


def reconstruct(features: SpikeFeatures, solutions: Solved | Sequence[Solved], *, prune: bool = True) -> SpikingNetwork:
    """The network of neurons whose hidden layers are the witnesses and whose last layer is a solved readout.

    Its scores are those of :func:`exact_readout` on the features' spikes, in float64: for the same spikes the same
    bits, in any batch, on any machine, before and after saving. The spikes themselves are the same in any batch where
    the currents are exact, as those of :func:`~spikebridge.convex.gaussian_witness` are.

    Units that no output reads are left out of the last layer of witnesses, and then, from the last layer to the
    first, those that no unit above reads any more: rows of weights that are not there. One unit stays in each layer.

    Args:
        features: witnesses with their encoder, and what was read of them when the solutions were found. It is copied.
            Units are left out of ``OverTime(nn.Linear(...))`` and neurons in turn; another body stays whole.
        solutions: one, or one for each question, whose outputs then stand in a row.
        prune: leave units out.

    Shapes:  the network: values [batch, *unit] -> scores [batch, outputs], float64; of rows="steps" the scores of
        every step are its ``train_out``: [time, batch, outputs].
    Raises:  ValueError: no encoder, features of a membrane, or solutions of another number of inputs.
    Source:  arXiv 2605.08022; leaving units out and exact scores are ours.

    >>> from spikebridge import Direct
    >>> from spikebridge.convex import Spike, fit_sparse, gaussian_witness, spike_dictionary
    >>> features = SpikeFeatures(gaussian_witness(4, (50,)), encoder=Direct(time_steps=3), features=(Spike(),))
    >>> values = (torch.rand(40, 4) < 0.5).float()
    >>> dictionary, classes = spike_dictionary(features, values), values[:, 0].long().numpy()
    >>> solution = fit_sparse(dictionary, classes, loss="softmax", strength=0.02)
    >>> network = reconstruct(features, solution)
    >>> bool((network(values).detach().numpy() == exact_readout(solution).scores(dictionary)).all())
    True
    """
    if features.encoder is None:
        raise ValueError(
            "reconstruct expects features with an encoder, which declares T; got none. Pass SpikeFeatures(body, "
            "encoder=Direct(time_steps=T)), or Recorded for values with steps of their own."
        )
    if any(isinstance(feature, Membrane | MembraneAbove) for feature in features.features):
        raise ValueError(
            f"reconstruct expects features of spikes, which its layers send; got {list(features.features)}. Take "
            f"Spike, Count or another of them."
        )
    exact = exact_readout(solutions, largest=1 if features.is_binary else features.encoder.time_steps)
    slots = len(features.features)
    body = copy.deepcopy(features.body)
    weights = exact.weights
    if isinstance(body, nn.Sequential) and is_layered(body):
        body = as_layers(body)
        units = linears_of(body)[-1].out_features
        _require_units(units, slots, len(weights))
        if prune:
            kept = units_read(solutions, slots=slots)
            body = pruned(body, torch.from_numpy(kept))
            weights = weights.reshape(slots, units, -1)[:, kept].reshape(slots * len(kept), -1)
    readout = SpikeReadout(_linear(weights, exact.intercept), features=features.features, rows=features.rows)
    parts = list(body) if isinstance(body, nn.Sequential) else [body]
    return SpikingNetwork(nn.Sequential(*parts, readout), encoder=features.encoder).eval()


def units_read(solutions: Solved | Sequence[Solved], *, slots: int = 1) -> NDArray[np.intp]:
    """Which units have a weight that is not zero, in any of the solutions; the first where none has.

    Args:
        solutions: weights of slots * units inputs, all units of the first slot first.
        slots: features of each unit.
    """
    weights = np.concatenate([_columns(one.weights) for one in solutions_in(solutions)], axis=1)
    found = np.flatnonzero(weights.reshape(slots, -1, weights.shape[1]).any(axis=(0, 2)))
    return found if len(found) else np.zeros(1, dtype=np.intp)


def solutions_in(solutions: Solved | Sequence[Solved]) -> list[Solved]:
    """One solution or several, as a list."""
    given: Any = solutions
    each = [given] if hasattr(given, "weights") else list(given)
    if not each:
        raise ValueError("reconstruct expects one solution at least; got an empty sequence.")
    return each


def is_layered(body: nn.Module) -> bool:
    """Whether a body is witnesses as :func:`~spikebridge.convex.network_of` makes them, so that units can go."""
    try:
        linears_of(as_layers(body))  # type: ignore[arg-type]
    except (ValueError, TypeError, AttributeError):
        return False
    return True


def pruned(network: nn.Sequential, kept: Tensor) -> nn.Sequential:
    """Witnesses without the last units that are not kept, and without all that only those have read.

    Args:
        network: ``OverTime(nn.Linear(...))`` and neurons in turn.
        kept: indices of units of the last layer.

    Raises:  ValueError: another kind of network.
    """
    result = copy.deepcopy(network)
    layers, neurons = linears_of(result), list(result[1::2])
    for place in range(len(layers) - 1, -1, -1):
        linear = layers[place]
        wide = linear.out_features
        for part in (linear, neurons[place]):
            cut(part, kept, wide)
        linear.out_features = len(kept)
        if place == 0:
            break
        read = (linear.weight != 0.0).any(0).nonzero().flatten()
        kept = read if len(read) else torch.zeros(1, dtype=torch.long)
        linear.weight = nn.Parameter(linear.weight.detach()[:, kept].clone(), linear.weight.requires_grad)
        linear.in_features = len(kept)
    return result


def _require_units(units: int, slots: int, inputs: int) -> None:
    if inputs != slots * units:
        raise ValueError(
            f"reconstruct expects weights for {slots * units} inputs, {slots} feature(s) of {units} units; got "
            f"{inputs}. Pass the features that the solutions were found on."
        )


def _columns(weights: Floats) -> Floats:
    array = np.asarray(weights, dtype=np.float64)
    return array[:, None] if array.ndim == 1 else array


def _linear(weights: Floats, intercept: Floats) -> nn.Linear:
    layer = nn.Linear(len(weights), weights.shape[1], dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weights.T.copy()))
        layer.bias.copy_(torch.from_numpy(intercept))
    return layer
