"""Numbers of levels, members, steps and bits."""

from __future__ import annotations


def require_whole(value: object, *, owner: str, name: str) -> None:
    """Refuse what is not a whole number of at least one.

    Raises:  ValueError: names the owner, the setting and what it was.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{owner} expects {name} >= 1, a whole number; got {value!r}.")
