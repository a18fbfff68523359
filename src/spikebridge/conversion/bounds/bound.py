"""How far a converted network can be from its source: proved for every input in a box, and measured."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ...core.shapes import Value
from ...core.time import require_steps
from ..convert import Conversion
from ..plan import neurons_of
from ..rules import RULES
from ..trace import prepare
from ..validate import check_model
from .bounded import bounded_plan, check_same, senders_of
from .intervals import ERROR
from .propagate import Propagation, Reached
from .side_by_side import SideBySide

OUTPUT = "output"
"""The name under which the network's output is listed."""


@dataclass(frozen=True)
class SiteBound:
    """What is proved of one neuron's mean output, or of the network's, and what has been seen.

    Attributes:
        name: of the site; "output" for the network's own output.
        bound: no element is further than this from the network's, for any input in the box.
        mean: the mean of that over elements.
        local: the largest error that the neuron itself adds, given what can arrive at it; None at the output.
        ranges: the largest error that is possible anyway, between any value the network can have in the box and
            anything that could be sent if every neuron were free to.
        vacuous: share of elements whose bound says no more than that.
        observed: largest error seen by :meth:`ErrorBound.measure`; None before.
    """

    name: str
    bound: float
    mean: float
    local: float | None
    ranges: float
    vacuous: float
    observed: float | None = None

    @property
    def tightness(self) -> float | None:
        """The largest error seen as a share of the bound; None before anything was seen, or where the bound is 0."""
        return None if self.observed is None or self.bound == 0.0 else self.observed / self.bound


@dataclass(frozen=True, eq=False)
class ErrorBound:
    """Upper bounds on |mean of the spiking network - network|, neuron by neuron; prints as a table.

    Attributes:
        sites: a row for every neuron, in order, and one for the output.
        box: (lowest, highest) input per element; the bounds hold between them.
        time_steps: T; the bounds are for the mean over exactly T steps.
        errors: for every row, (lowest, highest) error of every element, [*unit].
        inputs: how many inputs have been measured.
        networks: the two, as :meth:`measure` runs them.
        violations: how many of them had an element outside ``errors``. Anything but 0 is a bug.
    """

    sites: tuple[SiteBound, ...]
    box: tuple[Tensor, Tensor]
    time_steps: int
    errors: tuple[tuple[Tensor, Tensor], ...]
    networks: SideBySide
    inputs: int = 0
    violations: int = 0

    def __getitem__(self, name: str) -> SiteBound:
        """The row of a site."""
        known = {site.name: site for site in self.sites}
        if name not in known:
            raise KeyError(f"No site '{name}'; there are {', '.join(known)}.")
        return known[name]

    def differences(self, values: Value) -> list[Tensor]:
        """Mean less value, for every row: [batch, *unit] each.

        Raises:
            ValueError: values of another shape than the box, or outside it.
        """
        self._check(values)
        return self.networks.differences(values, time_steps=self.time_steps)

    @torch.no_grad()
    def measure(self, values: Value) -> ErrorBound:
        """Run both networks on inputs in the box: the same bounds, with the largest errors seen so far.

        Raises:
            ValueError: values of another shape than the box, or outside it.
        """
        sites, wrong = [], torch.zeros(len(values), dtype=torch.bool, device=values.device)
        for site, found, (low, high) in zip(self.sites, self.differences(values), self.errors, strict=True):
            outside = ~((found >= low) & (found <= high))
            wrong |= outside.flatten(1).any(1)
            sites.append(replace(site, observed=max(site.observed or 0.0, found.abs().max().item())))
        inputs, violations = self.inputs + len(values), self.violations + int(wrong.sum())
        return replace(self, sites=tuple(sites), inputs=inputs, violations=violations)

    def _check(self, values: Value) -> None:
        low, high = self.box
        if values.shape[1:] != low.shape or not len(values):
            raise ValueError(
                f"ErrorBound expects values [batch, {', '.join(str(size) for size in low.shape)}], as its box; got "
                f"shape {tuple(values.shape)}."
            )
        inside = (values >= low) & (values <= high)
        if not bool(inside.all()):
            raise ValueError(
                f"ErrorBound holds for inputs in its box; {int((~inside.flatten(1).all(1)).sum())} of {len(values)} "
                f"are outside. Clamp them, values.clamp(*bound.box), or ask for a wider box: error_bound(..., box=...)."
            )

    def __str__(self) -> str:
        header = ("site", "bound", "mean bound", "adds itself", "possible", "vacuous", "observed", "tightness")
        rows = [header, *(_cells(site) for site in self.sites)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], *self.summary])

    @property
    def summary(self) -> tuple[str, ...]:
        """What has to be said of the whole."""
        lines = [f"T = {self.time_steps}. Proved for every input in the box, rounding of sums included."]
        empty = [site.name for site in self.sites if site.vacuous == 1.0]
        if empty:
            lines.append(f"Vacuous, no better than what is possible anyway: {', '.join(empty)}.")
        if self.inputs:
            lines.append(f"{self.inputs} inputs measured, {self.violations} violations.")
        return tuple(lines)


def error_bound(
    model: nn.Module,
    conversion: Conversion,
    *,
    box: tuple[Tensor, Tensor] | None = None,
    time_steps: int | None = None,
) -> ErrorBound:
    """Bound |mean of the spiking network - network| at every neuron, for every input in a box.

    Intervals of the value, of the mean over T steps, of what is sent in one step and of the error pass from call to
    call: by centre and radius through weights, from end to end through all that never falls, and through neurons as
    :class:`~spikebridge.conversion.staircase.Staircase` proves. Rounding: a sum of n products is granted an error of
    (n + 8) eps (|W| |x| + |b|) in either network, eps the spacing of its dtype at 1, about twice the bound for sums in
    any order. TF32, reduced-precision matrix products and convolutions by transforms (Winograd, FFT) may round more.

    Args:
        model: the network that was converted.
        conversion: what :func:`convert` made of it.
        box: (lowest, highest) input per element; by default what calibration saw.
        time_steps: T; by default the conversion's.

    Raises:
        ConversionError: a call that is no linear operation, pool or neuron (all are listed, with file:line); another
            network than was converted.
        ValueError: a box of another shape, empty or not finite; T below 1.

    >>> from spikebridge import convert
    >>> ann = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    >>> x = torch.rand(50, 4)
    >>> bound = error_bound(ann, convert(ann, x, thresholds="max")).measure(x)
    >>> bound.violations, bound["output"].observed <= bound["output"].bound
    (0, True)
    """
    steps = conversion.recipe.time_steps if time_steps is None else time_steps
    require_steps(steps, owner="error_bound")
    check_model(model, owner="error_bound")
    low, high = _checked_box(conversion.box if box is None else box, conversion.box[0])
    with torch.no_grad():
        traced = prepare(copy.deepcopy(model), RULES, conversion.recipe)
        plan = bounded_plan(traced, conversion, type(model).__name__)
        senders = senders_of(plan, conversion.model.body)
        check_same(traced, conversion.model.body, plan)
        networks = SideBySide(copy.deepcopy(traced), tuple(n.name for n in neurons_of(plan)), conversion.model)
        walk = Propagation(traced.double(), plan, senders, time_steps=steps, dtype=low.dtype)
        reached = walk.propagate(low, high)
    names = [*(entry.site.name for entry in neurons_of(plan).values()), OUTPUT]
    sites = tuple(_row(name, known) for name, known in zip(names, reached, strict=True))
    errors = tuple((known.bounds.low[ERROR], known.bounds.high[ERROR]) for known in reached)
    return ErrorBound(sites, (low, high), steps, errors, networks)


def _checked_box(box: tuple[Tensor, Tensor], like: Tensor) -> tuple[Tensor, Tensor]:
    try:
        low, high = (torch.as_tensor(end, dtype=like.dtype, device=like.device).expand(like.shape) for end in box)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"error_bound expects box = (lowest, highest), each of the shape of one input, {tuple(like.shape)}, or "
            f"that expands to it; {error}."
        ) from error
    if not bool((torch.isfinite(low) & torch.isfinite(high) & (low <= high)).all()):
        raise ValueError("error_bound expects a box with finite lowest <= highest in every element.")
    return low, high


def _row(name: str, known: Reached) -> SiteBound:
    largest = known.bounds.low[ERROR].abs().maximum(known.bounds.high[ERROR].abs())
    vacuous = (largest >= (1 - 1e-6) * known.ranges) & (largest > 0)
    local = None if known.local is None else max(end.abs().max().item() for end in known.local)
    return SiteBound(
        name=name,
        bound=largest.max().item(),
        mean=largest.mean().item(),
        local=local,
        ranges=known.ranges.max().item(),
        vacuous=vacuous.double().mean().item(),
    )


def _cells(site: SiteBound) -> tuple[str, ...]:
    numbers = (site.bound, site.mean, site.local, site.ranges)
    return (
        site.name,
        *("-" if number is None else f"{number:.4g}" for number in numbers),
        f"{100 * site.vacuous:.0f} %",
        "-" if site.observed is None else f"{site.observed:.4g}",
        "-" if site.tightness is None else f"{100 * site.tightness:.0f} %",
    )
