"""A head that reads only some of its inputs, and a network without what nobody reads."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .answers import Reset, answer_of


class Picked(nn.Module):
    """A linear layer on some of the inputs:  weight x[..., kept] + bias.

    Args:
        layer: the layer, with one input for each that is kept.
        kept: indices of the inputs that are read, [inputs of layer].

    Shapes:  [*, inputs] -> [*, classes].

    >>> head = Picked(nn.Linear(2, 3), kept=torch.tensor([0, 5]))
    >>> head(torch.zeros(4, 8)).shape
    torch.Size([4, 3])
    """

    kept: Tensor

    def __init__(self, layer: nn.Linear, *, kept: Tensor) -> None:
        super().__init__()
        if kept.shape != (layer.in_features,):
            raise ValueError(
                f"Picked expects one index for each input of its layer, {layer.in_features}; got shape "
                f"{tuple(kept.shape)}."
            )
        self.layer = layer
        self.register_buffer("kept", kept)

    def forward(self, values: Tensor) -> Tensor:
        picked: Tensor = self.layer(values.index_select(-1, self.kept))
        return picked


def with_head(model: nn.Module, name: str, weight: Tensor, bias: Tensor | None) -> nn.Module:
    """A copy of a network with other numbers in its head: weight [classes, inputs], bias [classes]."""
    result = copy.deepcopy(model)
    layer = copy.deepcopy(_linear(result, name))  # by itself: weights that it shares with others stay theirs
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    _put(result, name, layer)
    return result


def shrunk(
    model: nn.Module, name: str, kept: Tensor, values: Any, *, reset: Reset | None = None
) -> tuple[nn.Module, str | None]:
    """A copy of a network whose head reads the inputs ``kept`` alone, and the layer that was made smaller with it.

    Where the units that nobody reads any more can be taken out of the layer that makes them, they are: its rows, and
    the entries of what has one per unit behind it (norms, neurons with a setting per channel). That this leaves the
    answers as they are is not argued but checked, on ``values``; where it does not, the head alone reads fewer.

    Args:
        model: the network.
        name: of its head, whose other inputs have weights of zero.
        kept: indices of inputs, ascending.
        values: one batch.
        reset: clears the state of a network that keeps it in itself.
    """
    wanted = answer_of(model, values, reset=reset)
    for maker in _makers(model, name, values, reset=reset):
        candidate = _without(model, maker, name, kept)
        try:
            found = answer_of(candidate, values, reset=reset)
        except (RuntimeError, ValueError, IndexError):
            continue
        if found.shape == wanted.shape and torch.allclose(found, wanted, rtol=1e-4, atol=1e-5):
            return candidate, maker
    return picking(model, name, kept), None


def picking(model: nn.Module, name: str, kept: Tensor) -> nn.Module:
    """A copy of a network whose head reads the inputs ``kept`` alone; all else is as it was."""
    result = copy.deepcopy(model)
    _put(result, name, Picked(_narrow(_linear(result, name), kept), kept=kept))
    return result


def _makers(model: nn.Module, name: str, values: Any, *, reset: Reset | None) -> list[str]:
    """Layers with as many outputs as the head has inputs, those called last first."""
    wide = _linear(model, name).in_features
    order: list[str] = []

    def hook(called: str) -> Callable[[nn.Module, Any], None]:
        def seen(*_: Any) -> None:
            if called in order:
                order.remove(called)
            order.append(called)

        return seen

    hooks = [part.register_forward_pre_hook(hook(key)) for key, part in model.named_modules() if _outputs(part) == wide]
    try:
        answer_of(model, values, reset=reset)
    finally:
        for handle in hooks:
            handle.remove()
    return [key for key in reversed(order) if key != name]


def _without(model: nn.Module, maker: str, head: str, kept: Tensor) -> nn.Module:
    """A copy in which the units that are not kept are gone from their maker, the head, and all in between."""
    result = copy.deepcopy(model)
    _put(result, head, _narrow(_linear(result, head), kept))
    layer = result.get_submodule(maker)
    wide = _outputs(layer)
    cut(layer, kept, wide)
    is_behind = False
    for key, part in result.named_modules():
        is_behind |= key == maker
        if is_behind and key not in (maker, head) and not _outputs(part):
            cut(part, kept, wide)
    for attribute in ("out_features", "out_channels"):
        if hasattr(layer, attribute):
            setattr(layer, attribute, len(kept))
    return result


def cut(part: nn.Module, kept: Tensor, wide: int | None) -> None:
    """Of every tensor with one entry per unit along its first axis, those that are kept."""
    for key, tensor in list(_own(part)):
        if tensor.ndim and tensor.shape[0] == wide:
            narrow = tensor.detach()[kept].clone()
            if isinstance(tensor, nn.Parameter):
                setattr(part, key, nn.Parameter(narrow, requires_grad=tensor.requires_grad))
            else:
                part.register_buffer(key, narrow, persistent=key in part.state_dict())
    if isinstance(part, _BatchNorm) and part.num_features == wide:
        part.num_features = len(kept)


def _own(part: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from part.named_parameters(recurse=False)
    yield from part.named_buffers(recurse=False)


def _outputs(part: nn.Module) -> int | None:
    if isinstance(part, nn.Linear):
        return part.out_features
    if isinstance(part, (nn.Conv1d, nn.Conv2d, nn.Conv3d)) and part.groups == 1:
        return part.out_channels
    return None


def _narrow(layer: nn.Linear, kept: Tensor) -> nn.Linear:
    result = copy.deepcopy(layer)
    result.weight = nn.Parameter(layer.weight.detach()[:, kept].clone(), requires_grad=layer.weight.requires_grad)
    result.in_features = len(kept)
    return result


def _linear(model: nn.Module, name: str) -> nn.Linear:
    layer = model.get_submodule(name)
    assert isinstance(layer, nn.Linear)
    return layer


def _put(model: nn.Module, name: str, part: nn.Module) -> None:
    *path, last = name.split(".")
    setattr(model.get_submodule(".".join(path)), last, part)
