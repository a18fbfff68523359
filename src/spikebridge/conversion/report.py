"""What became of every call in a converted network."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .recipe import Recipe
from .rule import Fidelity


@dataclass(frozen=True)
class SiteReport:
    """One call of the source network, and what stands in its place.

    Attributes:
        name: the module's name, or the name of the call in the traced graph.
        operation: what was called.
        fidelity: "exact", "approximate" or "analog".
        becomes: what stands in its place now.
        threshold: lowest and highest threshold of a neuron; None elsewhere.
        error: root mean square difference of its mean over T steps from what the network computes there, as a share of
            the root mean square of that, on a few calibration samples; None where the two have no common shape.
        spikes: spikes sent per sample over T steps, by a neuron.
        accumulates: operations per sample over T steps of a layer that receives spikes.
        multiplies: operations per sample over T steps of a layer that receives real numbers.
        note: what else there is to know.
        location: file:line of the call.
    """

    name: str
    operation: str
    fidelity: Fidelity
    becomes: str
    threshold: tuple[float, float] | None
    error: float | None
    spikes: float | None
    accumulates: float | None
    multiplies: float | None
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
        return tuple(site for site in self.sites if site.threshold is not None)

    @property
    def analog(self) -> tuple[SiteReport, ...]:
        """The calls that still compute with real numbers where spikes arrive."""
        return tuple(site for site in self.sites if site.fidelity == "analog" or "+ " in site.becomes)

    @property
    def spikes(self) -> float:
        """Spikes per sample over T steps, of all neurons."""
        return sum(site.spikes or 0.0 for site in self.sites)

    def __str__(self) -> str:
        header = ("site", "operation", "fidelity", "becomes", "threshold", "error", "spikes", "AC", "MAC", "note")
        rows = [_cells(site) for site in self.sites]
        widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        title = "  ".join(cell.ljust(width) for cell, width in zip(header, widths, strict=True))
        return "\n".join(line.rstrip() for line in [title, "-" * len(title.rstrip()), *lines, *self.summary])

    @property
    def summary(self) -> tuple[str, ...]:
        """What has to be said of the whole."""
        recipe = self.recipe
        accumulates, multiplies = (
            sum(getattr(s, kind) or 0.0 for s in self.sites) for kind in ("accumulates", "multiplies")
        )
        lines = [
            f"{len(self.neurons)} neurons, T = {recipe.time_steps}: {_brief(self.spikes)} spikes, "
            f"{_brief(accumulates)} AC and {_brief(multiplies)} MAC per sample."
        ]
        if recipe.neuron in ("group", "signed-group"):
            bits = math.ceil(math.log2(recipe.levels + 1))
            at_one = "is" if recipe.time_steps == 1 else "would be, for a constant current,"
            lines.append(
                f"A Group Neuron of {recipe.members} members at T = {recipe.time_steps} {at_one} an activation "
                f"quantised to {recipe.levels} levels ({bits} bits), sent as spikes in thermometer code; compare with "
                f"conversion.quantised, the network with such activations."
            )
        if self.analog:
            lines.append(f"{len(self.analog)} calls compute with real numbers on running means; they are not spiking.")
        return tuple(lines)


def _cells(site: SiteReport) -> tuple[str, ...]:
    return (
        *(site.name, site.operation, site.fidelity, site.becomes, _threshold(site.threshold)),
        "-" if site.error is None else f"{100 * site.error:.2g} %",
        *(_brief(number) for number in (site.spikes, site.accumulates, site.multiplies)),
        site.note or "-",
    )


def _brief(number: float | None) -> str:
    if number is None:
        return "-"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def _threshold(bounds: tuple[float, float] | None) -> str:
    if bounds is None:
        return "-"
    low, high = bounds
    return f"{low:.4g}" if low == high else f"{low:.4g}..{high:.4g}"
