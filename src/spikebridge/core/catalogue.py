"""Names to things, derived from what a package exports: no decorator, no second list."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, cast

Kind = TypeVar("Kind")


def catalogue(namespace: Mapping[str, Any], base: Callable[..., Kind]) -> Mapping[str, type[Kind]]:
    """The concrete subclasses of ``base`` that a package exports, by name.

    Call it last in a package: ``NEURONS = catalogue(globals(), Neuron)``. Command-line names, contract tests and
    documentation iterate over the result, so an export line is all that a new class needs.

    >>> sorted(catalogue({"int": int, "bool": bool, "str": str}, int))
    ['bool', 'int']
    """
    # `base` is a class; typed as a callable because an abstract class is not a `type[Kind]` to type checkers.
    wanted = cast(type[Kind], base)
    things = {name: thing for name, thing in namespace.items() if inspect.isclass(thing) and issubclass(thing, wanted)}
    return MappingProxyType({name: thing for name, thing in things.items() if not inspect.isabstract(thing)})


def nearest(name: str, known: Iterable[str], *, is_brief: bool = False) -> str:
    """What a wrong name was probably meant to be, as the end of an error message.

    Args:
        name: the wrong one.
        known: the right ones.
        is_brief: leave out the list of all that are known.

    >>> nearest("grup", ["if", "group"])
    "Did you mean 'group'? Known: 'group', 'if'."
    >>> nearest("?", ["if", "group"])
    "Known: 'group', 'if'."
    """
    names = sorted(known)
    lowered = {each.lower(): each for each in names}
    close = difflib.get_close_matches(name.lower(), lowered, n=1)
    guess = [f"Did you mean '{lowered[close[0]]}'?"] if close else []
    return " ".join(guess if is_brief else [*guess, f"Known: {', '.join(repr(each) for each in names)}."])
