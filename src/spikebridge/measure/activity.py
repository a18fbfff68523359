"""How sparse a network's activations and weights are, and how much memory it takes; named as in NeuroBench."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ..blocks.quantised import QCFS
from ..core.neuron import Neuron
from .forward import run_once

ACTIVATIONS: tuple[type[nn.Module], ...] = (
    *(QCFS, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Threshold),
)
"""Modules of an ANN whose outputs are its activations."""


def activation_sparsity(network: nn.Module, values: Tensor, *, time_steps: int | None = None) -> dict[str, float]:
    """The share of zeros among what each neuron, or each activation module, sends, by its name in the network.

    Layers that are called several times give the share over all their calls. An ANN whose activations are function
    calls has no module to look at, and an empty answer.

    Args:
        network: any network.
        values: one batch, as the network takes it.
        time_steps: T for a network whose T is a dial; None is its own.

    Source:  ActivationSparsity of NeuroBench (Yik et al., arXiv 2304.04640).
    Deviates:  one share per layer in place of one for the network; activation modules of ANNs beside neurons.

    >>> activation_sparsity(nn.Sequential(nn.ReLU()), torch.tensor([[1.0, -1.0, -2.0, -3.0]]))
    {'0': 0.75}
    """
    zeros: dict[str, list[int]] = {}

    def remember(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: Any, output: Tensor) -> None:
            seen = zeros.setdefault(name, [0, 0])
            seen[0] += int((output == 0).sum())
            seen[1] += output.numel()

        return hook

    watched: dict[str, Any] = {
        name: module for name, module in network.named_modules() if isinstance(module, (Neuron, *ACTIVATIONS))
    }
    handles = [
        module.register_forward_hook(remember(getattr(module, "label", "") or name)) for name, module in watched.items()
    ]
    try:
        run_once(network, values, time_steps=time_steps, owner="activation_sparsity")
    finally:
        for handle in handles:
            handle.remove()
    return {name: none / total for name, (none, total) in zeros.items() if total}


def connection_sparsity(network: nn.Module) -> float:
    """The share of zeros among all weights of two axes or more, in [0, 1]; 0 where there are none.

    Source:  ConnectionSparsity of NeuroBench (Yik et al., arXiv 2304.04640).

    >>> layer = nn.Linear(2, 2)
    >>> _ = nn.init.eye_(layer.weight)
    >>> connection_sparsity(layer)
    0.5
    """
    weights = [parameter for parameter in network.parameters() if parameter.ndim >= 2]
    total = sum(weight.numel() for weight in weights)
    return sum(int((weight == 0).sum()) for weight in weights) / total if total else 0.0


def footprint(network: nn.Module) -> int:
    """Bytes of all parameters and buffers; what is shared counts once.

    Source:  Footprint of NeuroBench (Yik et al., arXiv 2304.04640).

    >>> footprint(nn.Linear(3, 2))
    32
    """
    return sum(tensor.numel() * tensor.element_size() for tensor in (*network.parameters(), *network.buffers()))
