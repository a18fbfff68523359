"""A part of the page that scrolls by itself where it is wider than the window."""

from __future__ import annotations


def scrolling(html: str, label: str) -> str:
    """The part in a box that the keyboard can reach and scroll; ``label``, already escaped, is read out for it."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">{html}</div>'
