"""Several modules in a row of an nn.Sequential as one, such as convolution, norm and activation of a flat VGG."""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from torch import nn

Kind: TypeAlias = "type[nn.Module] | tuple[type[nn.Module], ...]"

_SLICE = re.compile(r"(?:(?P<parent>.*)\.)?(?P<start>\d*):(?P<stop>\d*)")


class Run(NamedTuple):
    """Children ``start`` to ``stop`` - 1 of an nn.Sequential."""

    parent: str
    keys: tuple[str, ...]

    @property
    def roots(self) -> tuple[str, ...]:
        """The children's names in the network."""
        return tuple(f"{self.parent}.{key}".lstrip(".") for key in self.keys)


def runs_of(model: nn.Module, *kinds: Kind) -> list[str]:
    """The names of all runs of these types, one directly behind the other in an nn.Sequential: "features.0:3", ...

    A name says parent and places as a Python slice does, so "features.0:3" are the first three children. Runs do not
    overlap. Names of :func:`hybridize` may be written so by hand as well.

    Args:
        model: where to look.
        kinds: for each place a type, or several to choose from.

    Raises:
        TypeError: something that is no type.
        ValueError: there is none.

    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3))
    >>> runs_of(net, nn.Conv2d, nn.BatchNorm2d, (nn.ReLU, nn.SiLU))
    ['0:3']
    """
    flat = [each for kind in kinds for each in (kind if isinstance(kind, tuple) else (kind,))]
    if not flat or not all(isinstance(each, type) for each in flat):
        raise TypeError(f"runs_of expects types, such as nn.Conv2d, nn.BatchNorm2d, nn.ReLU; got {kinds!r}.")
    found = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Sequential):
            prefix = f"{name}." if name else ""
            found += [f"{prefix}{start}:{start + len(kinds)}" for start in _starts(list(module), kinds)]
    if not found:
        wanted = ", ".join(each.__name__ for each in flat)
        raise ValueError(
            f"runs_of found no {wanted} directly behind one another in an nn.Sequential of {type(model).__name__}. "
            f"Where a forward calls them, name the module that has it."
        )
    return found


def _starts(children: list[nn.Module], kinds: tuple[Kind, ...]) -> list[int]:
    found: list[int] = []
    for start in range(len(children) - len(kinds) + 1):
        is_free = not found or start >= found[-1] + len(kinds)
        if is_free and all(isinstance(child, kind) for child, kind in zip(children[start:], kinds, strict=False)):
            found.append(start)
    return found


def run_named(model: nn.Module, name: str, *, owner: str) -> Run | None:
    """The run that a name such as "features.0:3" stands for; None for a name of another form.

    Raises:  ValueError: no nn.Sequential of that name, or places that it has not.
    """
    match = _SLICE.fullmatch(name)
    if match is None:
        return None
    parent = match["parent"] or ""
    sequential = dict(model.named_modules(remove_duplicate=False)).get(parent)
    if not isinstance(sequential, nn.Sequential):
        what = "is no module" if sequential is None else f"is {type(sequential).__name__}"
        raise ValueError(
            f"{owner} expects {name!r} to be places in an nn.Sequential; {parent!r} {what}. Name the module that calls "
            f"these."
        )
    start, stop = int(match["start"] or 0), int(match["stop"] or len(sequential))
    if not start < stop <= len(sequential):
        raise ValueError(
            f"{owner} expects the places in {name!r} to be start:stop with start < stop <= {len(sequential)}, as "
            f"{parent or type(model).__name__!r} has {len(sequential)} modules."
        )
    return Run(parent, tuple(sequential._modules)[start:stop])


def placed(network: nn.Module, name: str) -> str:
    """The name of the module that ``name`` stands for, which is made if it is that of a run.

    A run's modules go into one nn.Sequential in the place of the first, and identities into the places of the others,
    so that no other module changes its name or its place.
    """
    is_module = name in dict(network.named_modules(remove_duplicate=False))
    run = None if is_module else run_named(network, name, owner="hybridize")
    if run is None:
        return name
    parent = network.get_submodule(run.parent)
    group = nn.Sequential(*(parent.get_submodule(key) for key in run.keys))
    group.training = parent.training
    for key in run.keys:
        parent._modules[key] = group if key == run.keys[0] else nn.Identity()
    return run.roots[0]
