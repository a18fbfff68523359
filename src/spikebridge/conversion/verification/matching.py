"""Which site of one network is which of the other, and where the two part."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.neuron import Neuron
from ...core.shapes import along_channels
from ...core.time import unfold
from .counted import PARTS, Counted
from .difference import Difference
from .pairing import Reference, Spiking, watch_layers_of_both
from .witness import Log, Visit

OUTPUT = "output"
ROUNDING = 2.0**-40
"""The mean over the steps is a float; a sum in its place, or a missing step, is not off by so little."""


@dataclass(frozen=True)
class Pair:
    """A site in both networks; None where one of them lacks it."""

    name: str
    expected: Visit | None
    found: Visit | None


def pairs(expected: Log, found: Log) -> list[Pair]:
    """Sites of the same name; or in the order they run, if no name is the same and there are as many."""
    wanted, got = dict(expected.visits), found.visits
    for name, visit in got.items():
        if name in found.pools and name in wanted and wanted[name].counts.shape != visit.counts.shape:
            wanted[name] = wanted[name].pooled(found.pools[name])
    if not wanted.keys() & got.keys() and len(wanted) == len(got):
        return [Pair(f.name, e, f) for e, f in zip(wanted.values(), got.values(), strict=True)]
    return [
        *(Pair(name, visit, got.get(name)) for name, visit in wanted.items()),
        *(Pair(name, None, visit) for name, visit in got.items() if name not in wanted),
    ]


def forced_on(matched: Sequence[Pair], expected: Log) -> dict[str, Tensor]:
    """The counts that the reference's sites sent in place of their own, by the names of the converted network."""
    both = {pair.name: pair.expected.name for pair in matched if pair.expected is not None}
    return {name: expected.forced[other] for name, other in both.items() if other in expected.forced}


def first_difference(matched: Sequence[Pair], expected: Log, found: Log) -> Difference | None:
    """The first, site by site, and then of the output.

    Args:
        matched: the sites.
        expected: the reference's run.
        found: the converted network's.
    """
    for pair in matched:
        difference = _of_site(pair, found.error)
        if difference is not None:
            return difference
    if found.error is not None:
        return _plain(OUTPUT, "error", "a result", _said(found.error))
    assert expected.outputs is not None and found.outputs is not None and found.answer is not None
    of_steps = _of_tensors(OUTPUT, "output", expected.outputs, found.outputs)
    return of_steps or _of_answer(expected.outputs, found.answer)


def parting_layer(
    difference: Difference,
    matched: Sequence[Pair],
    expected: Reference,
    found: Spiking,
    values: Tensor,
    log: Log,
    seed: int,
) -> Difference:
    """The same difference, at the layer where the two networks part, if there is one between this site and the last.

    Runs both once more and keeps what the layers before the site are given and give.
    """
    if difference.quantity not in ("current", "output", "shape"):
        return difference
    names = [pair.name for pair in matched]
    at = names.index(difference.site) if difference.site in names else len(names)
    watch_layers_of_both(expected, found)
    draw = None if log.draw is None else torch.Generator().manual_seed(seed)
    wanted = expected.run(values, Log(window=at, draw=draw))
    got = found.run(values, Log(window=at, forced=forced_on(matched, wanted)))
    for name, (arrived, given) in wanted.layers.items():
        if name not in got.layers:
            continue
        also_arrived, also_given = (_over_steps(part, arrived) for part in got.layers[name])
        if torch.equal(arrived, also_arrived):
            steps = found.time_steps
            parted = _of_tensors(name, "output", _by_step(given, steps), _by_step(also_given, steps))
            if parted is not None:
                return dataclasses.replace(parted, site=difference.site)
    return difference


def alone(pair: Pair, *, time_steps: int, draw: torch.Generator) -> Difference | None:
    """Whether the neuron counts as its counterpart does, at every tie, just below it, and in between."""
    if pair.expected is None or pair.found is None:
        return None
    site, neuron = pair.expected.module, pair.found.module
    assert isinstance(site, Counted) and isinstance(neuron, Neuron)
    unit = site.level.shape or (1,)
    train = _probe(site.members, time_steps, draw)
    train = train.reshape(*train.shape, *[1] * len(unit)).expand(*train.shape, *unit)
    counts, so_far = [], None
    currents = train * (along_channels(site.level, train[0]) / PARTS)
    for step in range(time_steps):
        sent, so_far = site.count(currents[step], so_far)
        counts.append(sent)
    found = neuron(currents) / along_channels(torch.as_tensor(neuron.spike_value), currents[0])
    return _of_tensors(pair.name, "count, alone", torch.stack(counts), found)


def _probe(members: int, time_steps: int, draw: torch.Generator) -> Tensor:
    """Currents [time, many] in parts of a level: ties and what is below them, held; and random ones."""
    levels = torch.arange(-members - 2, members + 3) * PARTS
    held = torch.cat([levels + PARTS // 2, levels + PARTS // 2 - 1, levels]).expand(time_steps, -1)
    if time_steps == 1:
        return held.double()
    reach = PARTS * (members + 2)
    return torch.cat([held, torch.randint(-reach, reach + 1, (time_steps, 256), generator=draw)], 1).double()


def _of_site(pair: Pair, error: Exception | None) -> Difference | None:
    expected, found = pair.expected, pair.found
    if found is None and error is not None:
        return _plain(pair.name, "error", "a result", _said(error))
    if found is None or expected is None:
        kinds = [type(visit.module).__name__ if visit else "none" for visit in (pair.expected, pair.found)]
        return _plain(pair.name, "neuron", kinds[0].replace("Counted", "an activation"), kinds[1])
    if expected.counts.shape != found.counts.shape:
        return _plain(pair.name, "shape", tuple(expected.counts.shape[1:]), tuple(found.counts.shape[1:]))
    one, also = (along_channels(visit.level, visit.counts[0]) for visit in (expected, found))
    return (
        _of_tensors(pair.name, "current", expected.currents, found.currents)
        or _of_levels(pair.name, one.expand_as(expected.counts[0]), also.expand_as(found.counts[0]))
        or _of_tensors(pair.name, "count", expected.counts, found.counts)
    )


def _of_levels(name: str, expected: Tensor, found: Tensor) -> Difference | None:
    """The first element [*unit] whose level differs, of levels [batch, *unit] that are the same for all samples."""
    difference = _of_tensors(name, "level", expected[:1], found[:1])
    return difference and dataclasses.replace(difference, step=0)


def _of_answer(outputs: Tensor, answer: Tensor) -> Difference | None:
    steps, total = len(outputs), outputs.sum(0)
    if answer.shape != total.shape:
        return _plain(OUTPUT, "shape", tuple(total.shape), tuple(answer.shape))
    tolerance = ROUNDING * steps * outputs.abs().amax()
    off = ~((answer * steps - total).abs() <= tolerance)
    if not bool(off.any()):
        return None
    index = tuple(off.nonzero()[0].tolist())
    return Difference(OUTPUT, OUTPUT, "mean output", 0, index, (total[index] / steps).item(), answer[index].item())


def _of_tensors(layer: str, quantity: str, expected: Tensor, found: Tensor) -> Difference | None:
    """The first element that differs of two tensors [time, batch, *unit]."""
    if expected.shape != found.shape:
        return _plain(layer, "shape", tuple(expected.shape[1:]), tuple(found.shape[1:]))
    if torch.equal(expected.double(), found.double()):
        return None
    where = (expected != found).nonzero()[0].tolist()
    step, *index = where
    return Difference(
        layer, layer, quantity, step + 1, tuple(index), _number(expected[tuple(where)]), _number(found[tuple(where)])
    )


def _plain(name: str, quantity: str, expected: object, found: object) -> Difference:
    return Difference(name, name, quantity, 0, (), expected, found)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _number(value: Tensor) -> float | int:
    number: float = value.item()
    return int(number) if number == int(number) else number


def _over_steps(values: Tensor, like: Tensor) -> Tensor:
    """What was computed once for all steps, at every step."""
    times = like.shape[0] // max(values.shape[0], 1)
    return values.repeat(times, *[1] * (values.ndim - 1)) if times > 1 else values


def _by_step(values: Tensor, time_steps: int) -> Tensor:
    return unfold(values, time_steps=time_steps) if values.shape[0] % time_steps == 0 else values[None]
