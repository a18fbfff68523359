"""Witnesses: spiking units whose weights are given, not trained, and whose spikes are the columns of a dictionary.

A network of witnesses is ``nn.Sequential(OverTime(...), neuron, OverTime(...), neuron, ...)``, from trains to trains.
Several branches that do not see each other may stand side by side in it; they are computed together.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..core.neuron import Neuron
from ..core.time import OverTime
from ..neurons import LIF
from .grouped import GroupedLinear, linear
from .snapping import OnGrid, snapped

NeuronFactory = Callable[[], Neuron[Any]]
Layer = tuple[Tensor, Tensor]
"""Weight [branches, units, inputs] and bias [branches, units]; all branches of a first layer see the same inputs."""


def slow_lif() -> LIF:
    """The neuron of arXiv 2605.08022: decay 0.99, threshold 1, reset by subtraction."""
    return LIF(decay=0.99)


def gaussian_witness(
    inputs: int,
    widths: Sequence[int],
    *,
    branches: int | Sequence[int] = 1,
    scaling: str | Sequence[float] = "fan-in",
    bias: float = 0.0,
    neuron: NeuronFactory = slow_lif,
    grid: OnGrid | None = None,
    seed: int = 0,
) -> nn.Sequential:
    """Units with independent Gaussian weights, in branches that do not see each other.

    W_l ~ N(0, sigma_l^2), b_l ~ N(0, (bias sigma_l)^2), then moved to the nearest numbers whose currents float32
    computes exactly (:func:`~spikebridge.convex.snapping.snapped`). Every layer of every branch draws from a stream of
    its own; so a column is the same to the last bit whether its branch is made alone or among thousands, and in
    whatever batch.

    Args:
        inputs: numbers at a step.
        widths: units of each layer of one branch, first to last.
        branches: how many, or which of them: ``[3]`` is the fourth alone, as it is among ten.
        scaling: sigma: "fan-in" is 1 / sqrt(fan-in), "none" is 1, or one number for each layer
            (:func:`critical_scaling` finds them).
        bias: standard deviation of biases, in units of sigma.
        neuron: makes the neurons of a layer, whose spikes must be worth 1.
        grid: rounds the inputs; None for spikes and other trains of 0 and 1.
        seed: of all branches.

    Shapes:  the network: train [time, batch, inputs] -> train [time, batch, branches * widths[-1]], branch by branch.
    Raises:  ValueError: no width, a width or number below 1, an unknown scaling, or spikes worth another number.
        TypeError: a number in the place of widths.
    Source:  arXiv 2605.08022 ("CVX"): Gaussian weights without scaling; grids, branches' own streams, biases are ours.

    >>> gaussian_witness(6, (4, 2), branches=10)(torch.zeros(5, 3, 6)).shape
    torch.Size([5, 3, 20])
    """
    chosen = range(branches) if isinstance(branches, int) else branches
    if isinstance(widths, Integral):
        raise TypeError(f"gaussian_witness expects a width for each layer, as a sequence; got {widths}: ({widths},).")
    if inputs < 1 or not widths or min(widths) < 1 or len(chosen) < 1 or min(chosen) < 0:
        raise ValueError(
            f"gaussian_witness expects inputs, branches and a width for each layer, all >= 1; got {inputs}, "
            f"{len(chosen)} and {tuple(widths)}."
        )
    fans = (inputs, *widths[:-1])
    spreads = _spreads(scaling, fans)
    layers = []
    for place, (fan, units, spread) in enumerate(zip(fans, widths, spreads, strict=True)):
        drawn = np.stack([_drawn(units, fan + 1, [seed, branch, place]) for branch in chosen]) * spread
        layers.append((torch.from_numpy(drawn[..., :fan]), torch.from_numpy(drawn[..., fan] * bias)))
    return network_of(layers, neuron=neuron, grid=grid)


def perturbed_witness(
    network: nn.Sequential,
    *,
    copies: int | Sequence[int],
    spread: float = 0.1,
    grid: OnGrid | None = None,
    seed: int = 0,
) -> nn.Sequential:
    """Copies of given witnesses with noise on their weights, side by side.

    W_k = W + spread rms(W) N(0, 1), the same for biases, moved to the grid of exact currents.

    Args:
        network: of ``OverTime(nn.Linear(...))`` and neurons in turn, such as a trained network without its readout.
        copies: how many, or which of them.
        spread: noise, in units of the root mean square weight of each layer; 0 is the network itself, on the grid.
        grid: rounds the inputs, as in :func:`gaussian_witness`.
        seed: of all copies.

    Raises:  ValueError: another kind of network, no copy, or a spread below 0.
    """
    chosen = range(copies) if isinstance(copies, int) else copies
    if len(chosen) < 1 or not spread >= 0:
        raise ValueError(f"perturbed_witness expects copies >= 1 and spread >= 0; got {len(chosen)} and {spread}.")
    layers = []
    for place, layer in enumerate(linears_of(network)):
        weight = layer.weight.detach().double()
        bias = torch.zeros(len(weight), dtype=weight.dtype) if layer.bias is None else layer.bias.detach().double()
        both = torch.cat([weight, bias[:, None]], dim=1).numpy()
        size = spread * float(weight.square().mean().sqrt())
        noise = np.stack([_drawn(*both.shape, [seed, number, place]) for number in chosen])  # type: ignore[call-arg]
        noise[..., -1] *= layer.bias is not None
        moved = torch.from_numpy(both + size * noise)
        layers.append((moved[..., :-1], moved[..., -1]))
    neurons = (part for part in network if isinstance(part, Neuron))
    return network_of(layers, neuron=lambda: _copied(next(neurons), len(chosen)), grid=grid)


def network_of(layers: Sequence[Layer], *, neuron: NeuronFactory, grid: OnGrid | None = None) -> nn.Sequential:
    """Witnesses of given weights, moved to the grid of exact currents.

    Args:
        layers: weight [branches, units, inputs] and bias [branches, units] of each layer.
        neuron: makes the neurons of a layer, first to last.
        grid: rounds the inputs; None for trains of 0 and 1.
    """
    parts: list[nn.Module] = []
    for place, (weight, bias) in enumerate(layers):
        branches, units, fan = weight.shape
        step, limit = (grid.step, grid.limit) if grid is not None and place == 0 else (1.0, 1.0)
        rows, offsets = snapped(weight.reshape(-1, fan), bias.reshape(-1), step=step, limit=limit)
        is_shared = place == 0 or branches == 1
        layer = (
            linear(rows, offsets)
            if is_shared
            else GroupedLinear(rows.reshape(branches, units, fan), offsets.reshape(branches, units))
        )
        rounding = [grid] if grid is not None and place == 0 else []
        parts += [OverTime(*rounding, layer), _checked(neuron())]
    return nn.Sequential(*parts).requires_grad_(False).eval()


def as_layers(network: nn.Sequential) -> nn.Sequential:
    """The same witnesses with an ``nn.Linear`` for every group of branches: a network of stock layers, for pruning.

    Spikes and membranes stay the same to the last bit. The matrices are block-diagonal, with as many zeros as branches
    ask for: first leave out the branches not needed.
    """
    result = copy.deepcopy(network)
    for lifted in result:
        if isinstance(lifted, OverTime) and isinstance(lifted[-1], GroupedLinear):
            lifted[-1] = lifted[-1].as_linear()
    return result.requires_grad_(False).eval()


def linears_of(network: nn.Sequential) -> list[nn.Linear]:
    """The linear layers of a network of ``OverTime(nn.Linear(...))`` and neurons in turn, first to last.

    Raises:  ValueError: another kind of network.
    """
    lifted, neurons = list(network[::2]), list(network[1::2])
    layers = [part[-1] for part in lifted if isinstance(part, OverTime) and isinstance(part[-1], nn.Linear)]
    is_layered = len(layers) == len(neurons) == len(lifted) > 0
    if not is_layered or not all(isinstance(neuron, Neuron) for neuron in neurons):
        raise ValueError(
            f"Expected OverTime(nn.Linear(...)) and neurons in turn; got "
            f"{', '.join(type(part).__name__ for part in network)}. Cut a network before its readout."
        )
    return layers


def _spreads(scaling: str | Sequence[float], fans: Sequence[int]) -> list[float]:
    if scaling == "fan-in":
        return [fan**-0.5 for fan in fans]
    if scaling == "none":
        return [1.0 for _ in fans]
    if isinstance(scaling, str) or len(scaling) != len(fans) or not min(scaling) > 0:
        raise ValueError(
            f"gaussian_witness expects scaling 'fan-in', 'none', or {len(fans)} numbers > 0; got {scaling!r}."
        )
    return list(scaling)


def _drawn(units: int, numbers: int, seed: Sequence[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.random.default_rng(seed).standard_normal((units, numbers))


def _checked(neuron: Neuron[Any]) -> Neuron[Any]:
    if bool((torch.as_tensor(neuron.spike_value) != 1.0).any()):
        raise ValueError(f"Witnesses expect neurons whose spikes are worth 1, as those of LIF are; got {neuron}.")
    return neuron


def _copied(neuron: Neuron[Any], copies: int) -> Neuron[Any]:
    """A neuron whose settings per unit, if it has any, are repeated for each copy."""
    result = copy.deepcopy(neuron)
    for name, setting in [*result.named_parameters(recurse=False), *result.named_buffers(recurse=False)]:
        if setting.numel() > 1:
            repeated = setting.detach().repeat(copies)
            setattr(result, name, nn.Parameter(repeated) if isinstance(setting, nn.Parameter) else repeated)
    return result
