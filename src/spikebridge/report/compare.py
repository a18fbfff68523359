"""Which runs are one run with several seeds, and what those seeds say together."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..measure.record import NetworkResult, RunRecord

_BOOKKEEPING = ("seed", "output", "name")
_SEED_AT_THE_END = re.compile(r"[-_ ./]*(seed)?[-_ =]*\d+$", re.IGNORECASE)


@dataclass(frozen=True)
class Sample:
    """One quantity, measured once per seed; numbers that are not finite are left out.

    >>> Sample.of([1.0, 2.0, 3.0]).mean, Sample.of([1.0, 2.0, 3.0]).deviation
    (2.0, 1.0)
    """

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Sample:
        """The finite ones among some numbers."""
        return cls(tuple(value for value in values if value is not None and math.isfinite(value)))

    def __bool__(self) -> bool:
        return bool(self.values)

    @property
    def mean(self) -> float:
        """Arithmetic mean; not a number where nothing was measured."""
        return statistics.fmean(self.values) if self.values else math.nan

    @property
    def deviation(self) -> float:
        """Sample standard deviation, with n - 1 below; 0 for less than two values."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0

    @property
    def is_summarised(self) -> bool:
        """Three or more values are said as mean and deviation, fewer one by one."""
        return len(self.values) >= 3


@dataclass(frozen=True)
class Network:
    """One network of a group of runs, once per seed.

    Attributes:
        label: unique on the page.
        run: label of its group.
        results: what was measured of it, one per seed.
        seeds: the seed of each.
    """

    label: str
    run: str
    results: tuple[NetworkResult, ...]
    seeds: tuple[int, ...]

    @property
    def first(self) -> NetworkResult:
        """The result of the first seed, for what is not averaged."""
        return self.results[0]

    @property
    def is_spiking(self) -> bool:
        """Whether it is an SNN."""
        return self.first.kind == "snn"

    @property
    def time_steps(self) -> int:
        """T: the last step whose accuracy is known; 1 for an ANN."""
        return max(1, *(len(result.accuracies) for result in self.results))

    def sample(self, quantity: Callable[[NetworkResult], float | None]) -> Sample:
        """One quantity over the seeds."""
        return Sample.of([quantity(result) for result in self.results])

    def accuracy(self, step: int) -> Sample:
        """Accuracy in [0, 1] after ``step`` steps, over the seeds that have it."""
        return self.sample(lambda result: entry(result.accuracies, step))

    @property
    def final_accuracy(self) -> Sample:
        """Accuracy after all steps."""
        return self.accuracy(self.time_steps)


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but their seed.

    Attributes:
        label: unique on the page.
        records: the runs, in the order they were given.
        networks: what they measured, pooled by name.
    """

    label: str
    records: tuple[RunRecord, ...]
    networks: tuple[Network, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of each run."""
        return tuple(record.seed for record in self.records)


def entry(values: Sequence[float], step: int) -> float | None:
    """The value at step 1, 2, ..., or None where there is none."""
    return values[step - 1] if 0 < step <= len(values) else None


def pool(records: Sequence[RunRecord]) -> list[Group]:
    """Put runs together that share method, configuration and name, all but the seed, the output and the name's number.

    The same seed twice is no second seed: it starts a group of its own, since a repetition says nothing of the spread.

    Raises:  ValueError: there are no records.
    """
    if not records:
        raise ValueError(
            "write_report expects at least one RunRecord; got none. Pass the records of finished runs, such as "
            "RunRecord.load(Path('runs/demo/record.json'))."
        )
    found: list[tuple[str, list[RunRecord]]] = []
    for record in records:
        key = _identity(record)
        kin = (runs for known, runs in found if known == key and record.seed not in [run.seed for run in runs])
        runs = next(kin, None)
        if runs is None:
            found.append((key, [record]))
        else:
            runs.append(record)
    groups = [runs for _, runs in found]
    labels = _labels(groups)
    return [_group(label, runs, is_alone=len(groups) == 1) for label, runs in zip(labels, groups, strict=True)]


def powers_of_two(time_steps: int) -> list[int]:
    """1, 2, 4, ... up to T, and T itself.

    >>> powers_of_two(1), powers_of_two(8), powers_of_two(10)
    ([1], [1, 2, 4, 8], [1, 2, 4, 8, 10])
    """
    return sorted({2**power for power in range(time_steps.bit_length())} | {time_steps})


def _identity(record: RunRecord) -> str:
    settings = {name: value for name, value in record.config.items() if name not in _BOOKKEEPING}
    return json.dumps([record.method, _stem(record.name), settings], sort_keys=True, default=str)


def _stem(name: str) -> str:
    return _SEED_AT_THE_END.sub("", name) or name


def _group(label: str, records: list[RunRecord], *, is_alone: bool) -> Group:
    names = dict.fromkeys((result.name, result.kind) for record in records for result in record.networks)
    networks = []
    for name, kind in names:
        pairs = [(r.seed, n) for r in records for n in r.networks if (n.name, n.kind) == (name, kind)]
        shown = name if is_alone else f"{label}: {name}"
        networks.append(Network(shown, label, tuple(n for _, n in pairs), tuple(seed for seed, _ in pairs)))
    return Group(label, tuple(records), tuple(networks))


def _labels(groups: list[list[RunRecord]]) -> list[str]:
    """A name for each group: its own, and where that is taken its folder, its seeds or a number."""
    names = [runs[0].name if len({run.name for run in runs}) == 1 else _stem(runs[0].name) for runs in groups]
    for more in (_folder, _seeds, None):
        taken = Counter(names)
        same = [index for index, name in enumerate(names) if taken[name] > 1]
        if more is None:
            return [_numbered(names, index) if index in same else name for index, name in enumerate(names)]
        extras = [more(groups[index]) for index in same]
        if len(set(zip((names[i] for i in same), extras, strict=True))) == len(same) and all(extras):
            for index, extra in zip(same, extras, strict=True):
                names[index] = f"{names[index]} ({extra})"
    return names


def _folder(runs: list[RunRecord]) -> str:
    return str(runs[0].config.get("output", ""))


def _seeds(runs: list[RunRecord]) -> str:
    return f"seed{'s' if len(runs) > 1 else ''} {', '.join(str(run.seed) for run in runs)}"


def _numbered(names: list[str], index: int) -> str:
    return f"{names[index]} #{names[: index + 1].count(names[index])}"
