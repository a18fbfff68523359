"""Names to things, derived from what a package exports: no decorator, no second list."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
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
