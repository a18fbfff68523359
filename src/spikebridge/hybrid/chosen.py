"""Which modules of a network are meant: by name, by type, or by asking."""

from __future__ import annotations

import difflib
import fnmatch
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias, cast

from torch import nn

from ..blocks.hybrid import HybridBlock

Where: TypeAlias = (
    "str | Sequence[str] | type[nn.Module] | tuple[type[nn.Module], ...] | Callable[[str, nn.Module], bool]"
)

_MOST_SHOWN = 12


def chosen(model: nn.Module, where: Where) -> list[str]:
    """The names of the modules that ``where`` matches and that lie in no other match, in the order of the model.

    The model itself is never matched, nor is what lies within a HybridBlock.

    Raises:
        TypeError: ``where`` is nothing of the kind.
        ValueError: nothing matched, or a name matched nothing; a name that is spelt out lies within another match; a
            module whose weights PyTorch reads without calling it.
    """
    known = dict(_inside(model, ""))
    found = _found(model, known, where)
    outermost = [name for name in known if name in found and not any(name.startswith(f"{o}.") for o in found)]
    for name in outermost:
        _require_called(model, name)
    return outermost


def _inside(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Every module by each of its names, but for what is inside of a hybrid block."""
    for name, child in module._modules.items():
        if child is not None and not isinstance(child, HybridBlock):
            yield f"{prefix}{name}", child
            yield from _inside(child, f"{prefix}{name}.")


def _found(model: nn.Module, known: dict[str, nn.Module], where: Where) -> set[str]:
    names = [where] if isinstance(where, str) else where
    types = (where,) if isinstance(where, type) else where
    if isinstance(types, tuple) and types and all(isinstance(kind, type) for kind in types):
        kinds = cast("tuple[type[nn.Module], ...]", types)
        return _of_types(model, known, kinds)
    if isinstance(names, (list, tuple, set, frozenset)) and names and all(isinstance(name, str) for name in names):
        return _of_names(model, known, cast("Sequence[str]", names))
    if callable(where) and not isinstance(where, nn.Module):
        return _of_predicate(model, known, cast("Callable[[str, nn.Module], bool]", where))
    raise TypeError(
        f"hybridize expects where to be a name or names, such as 'layer2.*', a type or types, or a function of "
        f"(name, module); got {where!r}."
    )


def _of_names(model: nn.Module, known: dict[str, nn.Module], names: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        matching = {name} if name in known else {each for each in known if fnmatch.fnmatchcase(each, name)}
        if not matching:
            raise ValueError(f"hybridize found no module {name!r} in {type(model).__name__}. {_nearest(name, known)}")
        found |= matching
    spelt = [name for name in names if name in known]
    within = next(((name, outer) for name in spelt for outer in found if name.startswith(f"{outer}.")), None)
    if within is not None:
        raise ValueError(f"hybridize was given {within[0]!r}, which lies within {within[1]!r}. Leave one of them out.")
    return found


def _of_types(model: nn.Module, known: dict[str, nn.Module], types: tuple[type[nn.Module], ...]) -> set[str]:
    found = {name for name, module in known.items() if isinstance(module, types)}
    if not found:
        wanted = " or ".join(kind.__name__ for kind in types)
        itself = isinstance(model, types)
        advice = "The model itself is one: wrap it, nn.Sequential(model)." if itself else f"There are {_types(known)}."
        raise ValueError(f"hybridize found no {wanted} in {type(model).__name__}. {advice}")
    return found


def _of_predicate(
    model: nn.Module, known: dict[str, nn.Module], predicate: Callable[[str, nn.Module], Any]
) -> set[str]:
    found = {name for name, module in known.items() if predicate(name, module)}
    if not found:
        raise ValueError(
            f"hybridize expects where to be true of a module; it is of none of {len(known)} in {type(model).__name__}. "
            f"There are {_types(known)}."
        )
    return found


def _nearest(name: str, known: dict[str, nn.Module]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    close = close or difflib.get_close_matches(name.rpartition(".")[2], known, n=3, cutoff=0.5)
    if close:
        return f"The nearest are {', '.join(map(repr, close))}."
    return f"There are {_listed([repr(each) for each in known])}."


def _types(known: dict[str, nn.Module]) -> str:
    counts = Counter(type(module).__name__ for module in known.values())
    return _listed([f"{kind} ({count})" for kind, count in sorted(counts.items())]) if counts else "none"


def _listed(words: list[str]) -> str:
    more = len(words) - _MOST_SHOWN
    return ", ".join(words[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _require_called(model: nn.Module, name: str) -> None:
    parent = model.get_submodule(name.rpartition(".")[0])
    is_torchs = type(parent).__module__.startswith("torch.nn.modules")
    if is_torchs and not isinstance(parent, (nn.Sequential, nn.ModuleList, nn.ModuleDict)):
        raise ValueError(
            f"hybridize cannot replace {name!r}: {type(parent).__name__} reads its weights and does not call it. Leave "
            f"it out: where=lambda name, module: isinstance(module, ...) and name != {name!r}."
        )
