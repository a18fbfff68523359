"""Norms that tell steps apart, in the places of those that do not."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..blocks import StepNorm
from ..blocks.step_norm import Mode
from ..core.time import OverTime


def with_step_norms(network: nn.Module, *, time_steps: int, mode: Mode) -> nn.Module:
    """Every BatchNorm that ends lifted layers becomes a :class:`StepNorm` behind them; the network is changed.

    ``OverTime(conv, norm)`` becomes ``nn.Sequential(OverTime(conv), StepNorm(...))``, which starts with the norm's
    scale and shift. Layers that know no time, as those of a ``HybridStem``, stay as they are.

    Args:
        network: from trains to trains.
        time_steps: T, number of steps.
        mode: of the statistics, and what else differs between steps; see :class:`StepNorm`.

    Raises:  ValueError: a BatchNorm that other layers follow in the same lifted ones, or none at all.
    """
    count = 0
    for parent_name, parent in list(network.named_modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, OverTime) and any(isinstance(layer, _BatchNorm) for layer in child):
                *before, norm = child
                if not isinstance(norm, _BatchNorm) or any(isinstance(layer, _BatchNorm) for layer in before):
                    raise ValueError(
                        f"model.norm '{mode}' expects a BatchNorm to be the last of the layers that are lifted "
                        f"together; '{f'{parent_name}.{name}'.lstrip('.')}' has more behind it. Leave model.norm out."
                    )
                own = _as_step_norm(norm, time_steps=time_steps, mode=mode)
                parent.register_module(name, nn.Sequential(type(child)(*before), own))
                count += 1
    if not count:
        raise ValueError(f"model.norm '{mode}' expects a network with BatchNorm; got one without. Leave it out.")
    return network


def _as_step_norm(norm: _BatchNorm, *, time_steps: int, mode: Mode) -> StepNorm:
    momentum = 0.1 if norm.momentum is None else norm.momentum
    made = StepNorm(norm.num_features, time_steps=time_steps, mode=mode, eps=norm.eps, momentum=momentum)
    made.weight, made.bias = norm.weight, norm.bias
    return made
