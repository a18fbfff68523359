"""What is learned by reconstruction: samples with steps of their own, and the questions that are asked about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from ..convex import OnGrid
from ..core.encoder import Encoder
from ..data import Samples, Split, addition, find, first_last_xor, in_chunks, load, sums
from ..data.samples import Reader
from ..encoders import Recorded
from .reconstruct_config import TaskConfig

FIRST_LAST_XOR, ADDITION = MADE = ("first-last-xor", "addition")
"""Tasks that are made, not loaded."""

LONGER = (2, 4, 10)
"""Lengths at which sums are tested too, as multiples of those in training."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """Samples and questions.

    Attributes:
        split: values [time, units], all numbers of a step in a row.
        heads: the number of classes of every question.
        is_per_step: whether questions are asked at every step, with targets [time, questions]; else once, with the
            class alone.
        encoder: puts time first.
        units: numbers at a step.
        grid: rounds them where they are analog, so that the first layer's currents are exact; None for zeros and ones.
        longer: test sets of longer inputs, by what they are called.
    """

    split: Split
    heads: tuple[int, ...]
    is_per_step: bool
    encoder: Encoder
    units: int
    grid: OnGrid | None = None
    longer: Mapping[str, Samples] = field(default_factory=dict)


def task_for(config: TaskConfig, *, seed: int) -> Task:
    """The task of a configuration; training and validation sets are cut as it says.

    Raises:  ValueError: no such task. ValueError, DataError: as the data set does.
    """
    if config.name == FIRST_LAST_XOR:
        task = _task(first_last_xor(config.time_steps, seed=seed), heads=(2,))
    elif config.name == ADDITION:
        task = _addition(config, seed)
    else:
        task = _of_set(config, seed)
    train, validation, test = task.split
    kept = train.at_most(config.train, seed=seed), validation.at_most(config.validation, seed=seed)
    return replace(task, split=Split(*kept, test))


def _addition(config: TaskConfig, seed: int) -> Task:
    split = addition(config.base, digits=config.digits, samples=config.samples, seed=seed)
    longer = {
        f"x{times}": sums(config.base, digits=times * config.digits, samples=config.longer, seed=seed)
        for times in LONGER
    }
    return replace(_task(split, heads=(config.base, 2), is_per_step=True), longer=longer)


def _of_set(config: TaskConfig, seed: int) -> Task:
    try:
        found = find(config.name)
    except ValueError as error:
        raise ValueError(f"task.name takes {', '.join(MADE)} or a data set; got {config.name!r}. {error}") from error
    is_recorded = len(found.unit) == 4
    if is_recorded:
        split = load(config.name, root=config.root, seed=seed, time_steps=config.time_steps)
    else:
        split = in_chunks(load(config.name, root=config.root, seed=seed), time_steps=config.time_steps)
    return _task(split, heads=(len(found.classes),), is_analog=not is_recorded)


def _task(split: Split, *, heads: tuple[int, ...], is_per_step: bool = False, is_analog: bool = False) -> Task:
    flat = Split(*(part.reading(_InRows(part.read)) for part in split))
    steps, units = flat.train[0][0].shape
    return Task(
        split=flat,
        heads=heads,
        is_per_step=is_per_step,
        encoder=Recorded(time_steps=steps, counts="kept" if is_analog else "binary"),
        units=units,
        grid=OnGrid(step=2.0**-8, limit=1.0) if is_analog else None,
    )


@dataclass(frozen=True, eq=False)
class _InRows:
    read: Reader

    def __call__(self, rows: Tensor) -> Tensor:
        return self.read(rows).flatten(2)
