"""Numbers as a reader wants them: few digits, one unit to a column, spread said with its n."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..measure.statement import JOULES
from ..measure.statement import MISSING as MISSING
from ..measure.statement import energy as energy
from .compare import Sample

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


@dataclass(frozen=True)
class Scale:
    """How a column is written: divided by ``unit``, with so many decimals.

    Attributes:
        unit: what one shown unit is worth.
        symbol: its name, for the heading.
        decimals: digits after the point.
        has_spread: whether equal numbers are said with their deviation of 0: of a measured share, not of a count.
    """

    unit: float
    symbol: str
    decimals: int
    has_spread: bool = False

    def text(self, value: float | None) -> str:
        """One number, without its unit."""
        if value is None or not math.isfinite(value):
            return MISSING
        if value == 0 and not self.has_spread:
            return "0"
        return f"{value / self.unit:,.{self.decimals}f}".replace(",", "\u202f")

    def of(self, sample: Sample) -> str:
        """A number over seeds: itself, both of two, or mean and deviation of three and more.

        >>> [PERCENT.of(Sample.of(values)) for values in ([0.5], [0.5, 0.6], [0.5, 0.6, 0.7])]
        ['50.00', '50.00 / 60.00', '60.00 ± 10.00']
        """
        if not sample:
            return MISSING
        if not self.has_spread and sample.deviation == 0:
            return self.text(sample.mean)
        if not sample.is_summarised:
            return " / ".join(self.text(value) for value in sample.values)
        return f"{self.text(sample.mean)} ± {self.text(sample.deviation)}"


PERCENT = Scale(0.01, "%", 2, has_spread=True)


def plain_scale(samples: Iterable[Sample]) -> Scale:
    """Numbers without a unit, with decimals enough for the smallest."""
    return Scale(1.0, "", _decimals([sample.mean for sample in samples if sample]))


def count_scale(samples: Iterable[Sample]) -> Scale:
    """Counts, in thousands, millions, ... so that the smallest is still a whole one where there is room."""
    return _scale([sample.mean for sample in samples if sample], _PREFIXES)


def byte_scale(samples: Iterable[Sample]) -> Scale:
    """Bytes, in one unit for all."""
    return _scale([sample.mean for sample in samples if sample], [(unit, f"{name}B") for unit, name in _PREFIXES])


def energy_scale(samples: Iterable[Sample]) -> Scale:
    """Energies that are given in pJ, in one unit for all.

    >>> scale = energy_scale([Sample.of([2.5e6]), Sample.of([3.1e3])])
    >>> scale.of(Sample.of([3.1e3])), scale.symbol
    ('3.1', 'nJ')
    """
    return _scale([sample.mean for sample in samples if sample], JOULES)


def _scale(values: list[float], units: Sequence[tuple[float, str]]) -> Scale:
    """The largest unit in which the smallest is at least 1, or the smallest in which the largest has four digits."""
    sizes = [abs(value) for value in values if value]
    smallest, largest = min(sizes, default=0.0), max(sizes, default=0.0)
    fitting = (pair for pair in units if smallest >= pair[0] or largest >= 1e4 * pair[0] / 10)
    unit, symbol = next(fitting, units[-1])
    return Scale(unit, symbol, _decimals([value / unit for value in values]))


def _decimals(values: list[float]) -> int:
    """As many as give the smallest number two digits, at most four."""
    smallest = min((abs(value) for value in values if value), default=1.0)
    return min(4, max(0, 1 - math.floor(math.log10(smallest))))


def joined(words: Sequence[str]) -> str:
    """A list in a sentence.

    >>> joined(["IF"]), joined(["IF", "LIF", "Group"])
    ('IF', 'IF, LIF and Group')
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def plural(count: int, noun: str) -> str:
    """A count and its noun.

    >>> plural(1, "step"), plural(3, "network")
    ('1 step', '3 networks')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def kept_together(text: str) -> str:
    r"""A sentence whose numbers stay on the line of their units.

    >>> kept_together("98 % at T = 4").count("\u00a0")
    3
    """
    text = re.sub(r"(?<=\d) (?=(?:%|[pnµm]?J|bits?|steps?|points?)\b|%)", "\u00a0", text)
    return re.sub(r"\bT = (?=\d)", "T\u00a0=\u00a0", text.replace(" ± ", "\u00a0±\u00a0"))
