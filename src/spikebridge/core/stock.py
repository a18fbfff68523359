"""Whether a module still computes what its class is known for."""

from __future__ import annotations

from torch import nn

_EQUATION = ("forward", "resume", "layers", "initial_state", "step", "spike_value", "decay", "settings_at")
_KNOWN = ("torch.nn.", f"{__name__.partition('.')[0]}.")


def own_method(module: nn.Module, *names: str) -> str | None:
    """What a class outside of PyTorch and this library has written anew of what says what a module computes.

    A subclass that only sets things up has nothing of its own. What has may compute anything, so that nothing else can
    take its place.

    Args:
        module: any.
        names: which to look at; without any, forward, resume, and all that a neuron is made of.

    Returns:
        The first of these names; None where there is none.
    """
    for name in names or _EQUATION:
        writer = next((kind for kind in type(module).__mro__ if name in vars(kind)), None)
        if writer is not None and not writer.__module__.startswith(_KNOWN):
            return name
    return None


def has_hooks(module: nn.Module) -> bool:
    """Whether something looks at, or changes, what goes into the module or comes out of it."""
    return any((module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks))
