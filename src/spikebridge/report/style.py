"""One look for all figures."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import matplotlib as mpl

Draw = TypeVar("Draw", bound=Callable[..., Any])

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's palette, which colour-blind readers can tell apart."""

MUTED = "0.7"

SETTINGS: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.92",
    "legend.frameon": False,
    "svg.hashsalt": "spikebridge",
}


def styled(draw: Draw) -> Draw:
    """Draw with the library's look, and leave the user's matplotlib settings alone."""

    @functools.wraps(draw)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with mpl.rc_context(SETTINGS):
            return draw(*args, **kwargs)

    return wrapper  # type: ignore[return-value]
