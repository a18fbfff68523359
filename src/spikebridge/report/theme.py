"""Colours of the page, each in a light and a dark version, and how figures take them on."""

from __future__ import annotations

from .style import COLOURS

INK, QUIET, RULE, PAPER = "#1c2127", "#5b6570", "#e3e6ea", "#ffffff"
"""What figures are drawn with: text and axes, secondary text, grid, ground."""

THEME: dict[str, tuple[str, str]] = {
    "paper": (PAPER, "#15181c"),
    "surface": ("#f6f7f9", "#1d2126"),
    "rule": (RULE, "#30363e"),
    "shade": ("#d3d8de", "#050607"),
    "edge": ("#8a929c", "#6d7681"),
    "ink": (INK, "#e6e8eb"),
    "quiet": (QUIET, "#a0a9b4"),
    "link": ("#0060a0", "#79bcff"),
    "series-0": (COLOURS[0], "#3b8eea"),
    "series-1": (COLOURS[1], "#f0803c"),
    "series-2": (COLOURS[2], "#2fbf97"),
    "series-3": (COLOURS[3], "#d98fb8"),
    "series-4": ("#b07a00", "#e69f00"),
    "series-5": ("#2a93cf", "#8fd3f7"),
}
"""Name -> (light, dark). Two colours of the palette are too pale for white paper on a screen and are deeper there."""

_DRAWN = {INK: "ink", QUIET: "quiet", RULE: "rule", PAPER: "paper"}


def colour_rules() -> str:
    """The style sheet's variables: light, dark where the reader's system or the button says so, and light in print."""
    light, dark = (
        "".join(f"--{name}:{pair[side]};" for name, pair in THEME.items()) + f"color-scheme:{scheme};"
        for side, scheme in enumerate(("light", "dark"))
    )
    return (
        f":root{{{light}}}\n"
        f'@media screen and (prefers-color-scheme:dark){{:root:not([data-theme="light"]){{{dark}}}}}\n'
        f'@media screen{{:root[data-theme="dark"]{{{dark}}}}}\n'
    )


def with_variables(style: str) -> str:
    """A style whose drawn colours became the page's variables.

    >>> with_variables("fill: #0072b2; stroke: #1c2127")
    'fill: var(--series-0); stroke: var(--ink)'
    """
    named = {**_DRAWN, **{colour: f"series-{index}" for index, colour in enumerate(COLOURS)}}
    for colour, name in named.items():
        style = style.replace(colour.lower(), f"var(--{name})")
    return style
