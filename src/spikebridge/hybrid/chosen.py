"""Which modules of a network are meant: by name, by type, or by asking."""

from __future__ import annotations

import difflib
import fnmatch
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from torch import nn

from ..blocks.hybrid import HybridBlock
from .runs import run_named

One: TypeAlias = "str | type[nn.Module] | Callable[[str, nn.Module], bool]"
Where: TypeAlias = "One | Iterable[One]"
Found: TypeAlias = "dict[str, tuple[str, ...]]"
"""What was matched, by the name it was matched as: the names of the modules."""

_MOST_SHOWN = 12


def chosen(model: nn.Module, where: Where, *, owner: str = "hybridize") -> list[str]:
    """The names of what ``where`` matches and what lies in no other match, in the order of the model.

    Raises:
        TypeError: see :func:`matched`.
        ValueError: see :func:`matched`; a name that is spelt out lies within another match; two runs overlap; a module
            whose weights PyTorch reads without calling it.
    """
    found = matched(model, where, owner=owner)
    order = {name: place for place, (name, _) in enumerate(_inside(model, ""))}
    outermost = [name for name in found if _around(name, found) is None]
    for name in [one for one in _several(where, owner) if isinstance(one, str) and one in found]:
        if name not in outermost:
            outer = _around(name, found)
            raise ValueError(f"{owner} was given {name!r}, which lies within {outer!r}. Leave one of them out.")
    _refuse_overlaps(outermost, found, owner)
    for name in outermost:
        _require_called(model, found[name][0], owner)
    return sorted(outermost, key=lambda name: order[found[name][0]])


def matched(model: nn.Module, where: Where, *, owner: str, asked: Mapping[str, nn.Module] | None = None) -> Found:
    """Everything that ``where`` matches.

    The model itself is never matched, nor is what lies within a HybridBlock.

    Args:
        model: the network.
        where: a name as in ``model.named_modules()``, a run such as "features.0:3" (see :func:`runs_of`), a pattern
            such as "layer2.*", a type, a function of (name, module), or several of these.
        owner: who asks; errors quote it.
        asked: the modules that functions are asked about; None is all.

    Raises:
        TypeError: ``where`` is nothing of the kind.
        ValueError: a name, a pattern, a function or all types together matched nothing.
    """
    known, several = dict(_inside(model, "")), _several(where, owner)
    found: Found = {}
    for one in several:
        if isinstance(one, str):
            found |= _of_name(model, known, one, owner)
        elif not isinstance(one, type):
            found |= _of_predicate(model, known if asked is None else asked, one, owner)
    types = tuple(one for one in several if isinstance(one, type))
    return found | (_of_types(model, known, types, owner) if types else {})


def is_within(name: str, roots: Iterable[str]) -> bool:
    """Whether the module of this name is one of these, or in one of them."""
    return any(name == root or name.startswith(f"{root}.") for root in roots)


def _around(name: str, found: Found) -> str | None:
    """Another match that all of this one lies in."""
    others = (other for other in found if other != name)
    return next((o for o in others if all(is_within(root, found[o]) for root in found[name])), None)


def _refuse_overlaps(outermost: list[str], found: Found, owner: str) -> None:
    held: dict[str, str] = {}
    for name in outermost:
        for root in found[name]:
            if root in held:
                raise ValueError(f"{owner} was given {held[root]!r} and {name!r}, which share {root!r}. Leave one out.")
            held[root] = name


def _inside(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Every module by each of its names, but for what is inside of a hybrid block."""
    for name, child in module._modules.items():
        if child is not None and not isinstance(child, HybridBlock):
            yield f"{prefix}{name}", child
            yield from _inside(child, f"{prefix}{name}.")


def _several(where: Where, owner: str) -> list[One]:
    is_one = isinstance(where, str | type) or not isinstance(where, Iterable)
    several: list[One] = [where] if is_one else list(where)  # type: ignore[list-item, arg-type]
    if several and all(isinstance(one, str) or (callable(one) and not isinstance(one, nn.Module)) for one in several):
        return several
    raise TypeError(
        f"{owner} expects where to be a name or names, such as 'layer2.*', a type or types, or a function of "
        f"(name, module); got {where!r}."
    )


def _of_name(model: nn.Module, known: Mapping[str, nn.Module], name: str, owner: str) -> Found:
    run = None if name in known else run_named(model, name, owner=owner)
    if run is not None:
        return {name: run.roots}
    matching = [name] if name in known else [each for each in known if fnmatch.fnmatchcase(each, name)]
    if not matching:
        raise ValueError(f"{owner} found no module {name!r} in {type(model).__name__}. {_nearest(name, known)}")
    return {each: (each,) for each in matching}


def _of_types(
    model: nn.Module, known: Mapping[str, nn.Module], types: tuple[type[nn.Module], ...], owner: str
) -> Found:
    found: Found = {name: (name,) for name, module in known.items() if isinstance(module, types)}
    if not found:
        wanted = " or ".join(kind.__name__ for kind in types)
        itself = isinstance(model, types)
        advice = "The model itself is one: wrap it, nn.Sequential(model)." if itself else f"There are {_types(known)}."
        raise ValueError(f"{owner} found no {wanted} in {type(model).__name__}. {advice}")
    return found


def _of_predicate(
    model: nn.Module, known: Mapping[str, nn.Module], predicate: Callable[[str, nn.Module], bool], owner: str
) -> Found:
    found: Found = {name: (name,) for name, module in known.items() if predicate(name, module)}
    if not found:
        raise ValueError(
            f"{owner} expects where to be true of a module; it is of none of {len(known)} in {type(model).__name__}. "
            f"There are {_types(known)}."
        )
    return found


def _nearest(name: str, known: Mapping[str, nn.Module]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    close = close or difflib.get_close_matches(name.rpartition(".")[2], known, n=3, cutoff=0.5)
    if close:
        return f"The nearest are {', '.join(map(repr, close))}."
    return f"There are {_listed([repr(each) for each in known])}."


def _types(known: Mapping[str, nn.Module]) -> str:
    counts = Counter(type(module).__name__ for module in known.values())
    return _listed([f"{kind} ({count})" for kind, count in sorted(counts.items())]) if counts else "none"


def _listed(words: list[str]) -> str:
    more = len(words) - _MOST_SHOWN
    return ", ".join(words[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _require_called(model: nn.Module, name: str, owner: str) -> None:
    parent = model.get_submodule(name.rpartition(".")[0])
    is_torchs = type(parent).__module__.startswith("torch.nn.modules")
    if is_torchs and not isinstance(parent, (nn.Sequential, nn.ModuleList, nn.ModuleDict)):
        raise ValueError(
            f"{owner} cannot replace {name!r}: {type(parent).__name__} reads its weights and does not call it. Leave "
            f"it out: where=lambda name, module: isinstance(module, ...) and name != {name!r}."
        )
