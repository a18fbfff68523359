"""A figure that is drawn once and used three times: as PNG, as SVG, and inside the page."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.figure import Figure

from .style import COLOURS, SETTINGS
from .theme import INK, PAPER, QUIET, RULE, with_variables

WIDTH = 4.8
"""Inches: at the page's column width, text in a figure is about as large as text beside it."""

_SMALLEST = 0.9
"""Pixels per point below which a figure scrolls instead of shrinking: 10-point text stays readable on a phone."""

_SVG = "{http://www.w3.org/2000/svg}"
_DOTS_PER_INCH = 150
_GROUND = "ground"
_INK: Any = {
    **SETTINGS,
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "figure.facecolor": PAPER,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": RULE,
    "legend.fontsize": 9,
    "legend.handlelength": 2.6,
    "path.simplify": False,
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class Picture:
    """A figure and what to say of it.

    Attributes:
        name: stem of its files.
        title: what it shows, in a few words.
        finding: what it says, in numbers, for whoever does not see it.
        caption: how to read it.
        png: the picture for a text processor.
        svg: the picture for print; its text stays text.
    """

    name: str
    title: str
    finding: str
    caption: str
    png: bytes
    svg: str

    def inline(self) -> str:
        """The SVG as part of a page: in the page's colours and type, with names no other figure has."""
        root = ElementTree.fromstring(self.svg)
        _drop_what_leaks(root)
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
            element.text, element.tail = _unless_blank(element.text), _unless_blank(element.tail)
            adapted = {key.rpartition("}")[2]: _adapted(key, value, self.name) for key, value in element.items()}
            element.attrib.clear()
            element.attrib.update({key: value for key, value in adapted.items() if value})
        _, _, width, _ = (float(number) for number in root.attrib["viewBox"].split())
        root.attrib.update({"role": "img", "aria-label": f"{self.title}. {self.finding}"})
        root.attrib["style"] = f"stroke-linejoin:round;stroke-linecap:butt;min-width:{width * _SMALLEST:.0f}px"
        for name in ("width", "height", "version"):
            root.attrib.pop(name, None)
        return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)


@contextmanager
def canvas(height: float, *, width: float = WIDTH) -> Iterator[Figure]:
    """An empty figure in the report's look; sizes in inches. The reader's own settings stay as they are."""
    with mpl.rc_context(_INK):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.patch.set_gid(_GROUND)
        yield figure


def finish(figure: Figure, *, name: str, title: str, finding: str, caption: str) -> Picture:
    """The figure as files would hold it; inside the :func:`canvas` it was drawn on."""
    png, svg = io.BytesIO(), io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(png, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return Picture(name, title, finding, caption, png.getvalue(), svg.getvalue())


def style_of(index: int) -> dict[str, Any]:
    """Colour, line and marker of one series; no two of the first 24 share all three."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (5, 1.6, 1, 1.6)))[index // len(COLOURS) % 4],
        "marker": "osD^vPX*"[index % 8],
        "markersize": 5,
        "linewidth": 1.5,
    }


def short(text: str, limit: int = 38) -> str:
    """A name that fits a figure: its ends, when it is too long, and nothing that cannot be drawn.

    >>> short("layer"), short("a_very_long_name_of_a_layer", 12)
    ('layer', 'a_very…layer')
    """
    drawable = "".join(letter if letter.isprintable() else " " for letter in text).strip() or "unnamed"
    if len(drawable) > limit:
        ahead = limit // 2
        drawable = f"{drawable[:ahead]}…{drawable[len(drawable) - (limit - 1 - ahead) :]}"
    return f"\u00a0{drawable}" if drawable.startswith("_") else drawable  # a legend leaves out names with "_" first


def shortened(names: list[str], limit: int = 38) -> list[str]:
    """Short names that stay different where the names are; what long ones have in common goes first.

    >>> shortened(["backbone.stage1.conv", "backbone.stage2.conv"], 12)
    ['…stage1…', '…stage2…']
    """
    if len(names) > 1 and any(len(name) > limit for name in names):
        names = _without_what_is_common(names)
    found = [short(name, limit) for name in names]
    repeated = {name for name in found if found.count(name) > 1}
    return [f"{name} [{index + 1}]" if name in repeated else name for index, name in enumerate(found)]


def _without_what_is_common(names: list[str]) -> list[str]:
    """Names without the words that all of them start and end with."""
    words = [re.findall(r"[^./_ :-]*[./_ :-]?", name)[:-1] for name in names]
    least = min(map(len, words)) - 1
    ahead = next((place for place in range(least) if len({w[place] for w in words}) > 1), least)
    behind = next((place for place in range(least - ahead) if len({w[-1 - place] for w in words}) > 1), least - ahead)
    middles = ["".join(word[ahead : len(word) - behind]).rstrip("./_ :-") for word in words]
    return [f"{'…' if ahead else ''}{middle}{'…' if behind else ''}" for middle in middles]


def height_with_legend(panel: float, labels: list[str]) -> float:
    """Inches for a panel and the legend below it."""
    return panel + 0.19 * math.ceil(len(labels) / _columns(labels)) + 0.2


def legend_below(figure: Figure, handles: list[Any], labels: list[str]) -> None:
    """A legend that takes as many lines as it needs and covers nothing."""
    columns = _columns(labels)
    figure.legend(handles, labels, loc="outside lower left", ncols=columns, columnspacing=1.6, borderaxespad=0.3)


def _columns(labels: list[str]) -> int:
    most = next((count for count, length in ((3, 13), (2, 24)) if max(map(len, labels)) <= length), 1)
    lines = math.ceil(len(labels) / most)
    return math.ceil(len(labels) / lines)


def _drop_what_leaks(root: ElementTree.Element) -> None:
    """Leave out the ground, the style sheet, which would rule the page around the figure too, and unused names."""
    text = " ".join(value for element in root.iter() for key, value in element.items() if "#" in value)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.get("id") == _GROUND or child.tag in (f"{_SVG}style", f"{_SVG}metadata"):
                parent.remove(child)
            elif f"#{child.get('id')}" not in text:
                child.attrib.pop("id", None)


def _unless_blank(text: str | None) -> str | None:
    return text if text and not text.isspace() else None


def _adapted(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key.endswith("href") or key == "clip-path":
        return value.replace("#", f"#{name}-", 1)
    if key == "style":
        family = re.sub(r"font-family:[^;]*;?", "", re.sub(r"font:[^;]*?([\d.]+px)[^;]*", r"font-size: \1", value))
        return with_variables(re.sub(r"\s*([:;])\s*", r"\1", family)).strip(" ;")
    if key in ("d", "x", "y"):
        return re.sub(r"\s+", " ", re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.2f}", value)).strip()
    return value
