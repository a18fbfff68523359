"""What became of every call in a converted network."""

from __future__ import annotations

from dataclasses import dataclass

from .recipe import Recipe
from .rule import Fidelity


@dataclass(frozen=True)
class SiteReport:
    """One call of the source network, and what stands in its place.

    Attributes:
        name: the module's name, or the name of the call in the traced graph.
        operation: what was called.
        fidelity: "exact", "spiking" or "differential".
        becomes: what stands in its place now.
        threshold: lowest and highest threshold of a neuron; None elsewhere.
        note: what else there is to know.
        location: file:line of the call.
    """

    name: str
    operation: str
    fidelity: Fidelity
    becomes: str
    threshold: tuple[float, float] | None
    note: str
    location: str


@dataclass(frozen=True)
class Report:
    """Every call of the source network, in the order of the calls; prints as a table."""

    recipe: Recipe
    sites: tuple[SiteReport, ...]

    @property
    def neurons(self) -> tuple[SiteReport, ...]:
        """The calls that are neurons now."""
        return tuple(site for site in self.sites if site.fidelity == "spiking")

    def __str__(self) -> str:
        header = ("site", "operation", "fidelity", "becomes", "threshold", "note")
        rows = [
            (s.name, s.operation, s.fidelity, s.becomes, _threshold(s.threshold), s.note or "-") for s in self.sites
        ]
        widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        title = "  ".join(cell.ljust(width) for cell, width in zip(header, widths, strict=True))
        return "\n".join(line.rstrip() for line in [title, "-" * len(title.rstrip()), *lines])


def _threshold(bounds: tuple[float, float] | None) -> str:
    if bounds is None:
        return "-"
    low, high = bounds
    return f"{low:.4g}" if low == high else f"{low:.4g}..{high:.4g}"
