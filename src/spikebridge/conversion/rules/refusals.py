"""Refusals that several rules share."""

from __future__ import annotations

from collections.abc import Callable

from ..rule import Site


def over_batch(does: str) -> Callable[[Site], str | None]:
    """For reductions over ``dim``: they must not reach the batch, in which time is folded."""

    def refuse(site: Site) -> str | None:
        axes = site.argument(1, "dim", site.argument(1, "axis"))
        axes = (axes,) if isinstance(axes, int) else axes
        if not axes or 0 in axes:
            return f"{does} over the batch, which would mix samples and steps; name the other axes"
        return None

    return refuse


def drops(what: str, *, position: int) -> Callable[[Site], str | None]:
    """For functions that drop at random unless their argument ``training`` says otherwise; modules know their mode."""

    def refuse(site: Site) -> str | None:
        active = site.module is None and site.argument(position, "training", True)
        return f"drops {what} in eval mode too; pass training=self.training" if active else None

    return refuse
