"""The report: one page that opens from disk, its figures as files, and its table for a paper."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path

from ..core.files import write_whole
from ..measure.costs import HOROWITZ_45NM, EnergyCosts
from ..measure.record import RunRecord
from .compare import Group, pool
from .comparison import comma_separated, markdown
from .numbers import joined, kept_together
from .price import price_note, pricing_at
from .sections import Section, all_sections
from .theme import colour_rules
from .words import summary


def write_report(
    records: Sequence[RunRecord], folder: Path, *, title: str | None = None, costs: EnergyCosts = HOROWITZ_45NM
) -> list[Path]:
    """Write the report of some runs: ``index.html``, ``table.md``, ``table.csv``, each figure as PNG and SVG.

    Runs that differ only in their seed are pooled: mean and standard deviation from three seeds on, each by itself
    below. The records themselves go into ``records.jsonl``. The page loads nothing, from the network or from disk, and
    the same records give the same bytes. Files of the same names are replaced, each in one move; other files in the
    folder are left alone.

    Args:
        records: of one run or of several.
        folder: where the files go; made if it is missing.
        title: of the page; None is the names of the runs.
        costs: price list of the energies; records hold counts, so another price needs no other run.

    Returns:  the files written, the page first.
    Raises:  ValueError: there are no records.
    """
    groups, pricing, note = pool(records), pricing_at(costs), price_note(costs)
    sections = all_sections(groups, pricing, note)
    files = {"index.html": page(sections, title=title or _title(groups), lead=summary(groups, pricing)).encode()}
    if any(group.networks for group in groups):
        files["table.md"] = markdown(groups, pricing, note).encode()
        files["table.csv"] = comma_separated(groups, pricing).encode()
    files["records.jsonl"] = "".join(record.line() for record in records).encode()
    for picture in (picture for section in sections for picture in section.pictures):
        files[f"figures/{picture.name}.png"] = picture.png
        files[f"figures/{picture.name}.svg"] = picture.svg.encode()
    return [write_whole(folder / name, content) for name, content in files.items()]


def page(sections: Sequence[Section], *, title: str, lead: str) -> str:
    """The whole page; its policy forbids it to load anything and to run any script but its own."""
    style = colour_rules() + _part("page.css")
    script = _part("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    links = "".join(f'<li><a href="#{section.anchor}">{escape(section.title)}</a></li>' for section in sections)
    bodies = "\n".join(map(_section_html, sections))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)} · spikebridge report</title>
<style>
{style}</style>
<script>{script}</script>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<div class="bar"><p class="brand">spikebridge report</p><button type="button" id="theme" hidden>Dark</button></div>
<h1>{escape(title)}</h1>
<p class="summary">{escape(kept_together(lead))}</p>
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main id="content" tabindex="-1">
{bodies}
</main>
<footer><p>{_FOOTER}</p></footer>
</body>
</html>
"""


def _title(groups: Sequence[Group]) -> str:
    together = joined([group.label for group in groups])
    return together if len(groups) == 1 or len(together) <= 60 else f"Comparison of {len(groups)} configurations"


_FOOTER = (
    "This page is one file and loads nothing. Beside it: <code>figures/</code> with every figure as PNG and SVG, "
    "<code>table.md</code> for a paper and <code>table.csv</code> for a program."
)


def _section_html(section: Section) -> str:
    return (
        f'<section id="{section.anchor}" aria-labelledby="{section.anchor}-title">'
        f'<h2 id="{section.anchor}-title">{escape(section.title)}</h2>\n{section.html}\n</section>'
    )


def _part(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
