"""A saved network that is smaller than the one it was made from, put together again."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .shrink import picking


def filled(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a network with saved numbers, and the shapes and types that these have, in eval mode.

    Layers are as wide as their weights, and a head that was saved with the inputs it reads, as
    :class:`~spikebridge.convex.shrink.Picked` is, becomes one.

    Args:
        model: of the same layers, of any width.
        state: as of ``state_dict`` of the network that was saved.

    Raises:  ValueError: numbers of other layers.

    >>> wide, narrow = nn.Sequential(nn.Linear(4, 9)), nn.Sequential(nn.Linear(4, 2))
    >>> filled(wide, narrow.state_dict())
    Sequential(
      (0): Linear(in_features=4, out_features=2, bias=True)
    )
    """
    result = copy.deepcopy(model)
    for key in [key for key in state if key.endswith(".kept")]:
        name = key.removesuffix(".kept")
        if name in dict(result.named_modules()) and isinstance(result.get_submodule(name), nn.Linear):
            result = picking(result, name, torch.zeros(1, dtype=torch.long))
    own = result.state_dict()
    strange = [key for key in {*own} ^ {*state} if key not in own or key not in state]
    strange += [key for key in {*own} & {*state} if own[key].ndim != state[key].ndim]
    if strange:
        raise ValueError(
            f"The saved numbers are those of other layers than {type(model).__name__} has; {len(strange)} differ, such "
            f"as '{min(strange)}'. Make the network as it was made before it was saved."
        )
    for name, part in result.named_modules():
        _fill(part, {key.rpartition(".")[2]: state[key] for key in own if key.rpartition(".")[0] == name})
    return result.eval()


def _fill(part: nn.Module, saved: Mapping[str, Tensor]) -> None:
    for key, tensor in saved.items():
        old = getattr(part, key)
        new = tensor.detach().clone().to(old.device)
        if isinstance(old, nn.Parameter):
            setattr(part, key, nn.Parameter(new, requires_grad=old.requires_grad))
        else:
            part.register_buffer(key, new)
    if isinstance(part, nn.Linear):
        part.out_features, part.in_features = part.weight.shape
    if isinstance(part, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        part.out_channels, part.in_channels = part.weight.shape[0], part.weight.shape[1] * part.groups
    if isinstance(part, _BatchNorm) and part.running_mean is not None:
        part.num_features = len(part.running_mean)
