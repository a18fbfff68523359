"""Whether a module still computes what its class is known for."""

from __future__ import annotations

import inspect

from torch import nn

_SETS_UP = {*vars(nn.Module), "__deepcopy__", "__str__", "reset_parameters"} - {"forward", "__call__"}
_KNOWN = ("torch.nn.", f"{__name__.partition('.')[0]}.")


def own_method(module: nn.Module, *names: str) -> str | None:
    """What a class outside of PyTorch and this library has written anew of what says what a module computes.

    A subclass that only sets things up, or has methods that nothing here knows, has nothing of its own. What has may
    compute anything, so that nothing else can take its place; so may a method that was put on the module itself.

    Args:
        module: any.
        names: which to look at; without any, all that its known classes have, but what sets them up.

    Returns:
        The first of these names; None where there is none.
    """
    held = getattr(module, "__dict__", {})
    for name in names or _equation(type(module)):
        writer = next((kind for kind in type(module).__mro__ if name in vars(kind)), None)
        if inspect.isroutine(held.get(name)) or (writer is not None and not _is_known(writer)):
            return name
    return None


def _equation(kind: type) -> tuple[str, ...]:
    """What the known classes of a class compute with, by name."""
    known = [each for each in kind.__mro__ if _is_known(each)]
    names = [name for each in known for name, what in vars(each).items() if _computes(what)]
    return tuple(name for name in dict.fromkeys(names) if name not in _SETS_UP)


def _is_known(kind: type) -> bool:
    return kind.__module__.startswith(_KNOWN)


def _computes(what: object) -> bool:
    return inspect.isroutine(what) or isinstance(what, (property, staticmethod, classmethod))


def has_hooks(module: nn.Module) -> bool:
    """Whether something looks at, or changes, what goes into the module or comes out of it."""
    return any((module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks))
