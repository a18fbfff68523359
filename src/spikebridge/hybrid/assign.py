"""Decide by measurement which layers of a trained network receive spikes, in which code, within a budget."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn

from ..encoders import BitPlane
from ..measure.costs import HOROWITZ_45NM, EnergyCosts
from ..measure.counter import LAYERS
from .assignment import Assignment
from .choosing import KEYS, By, Chooser
from .chosen import Where
from .fitted import Code
from .layers import layers_of
from .points import ANALOG, Point, front_of
from .trial import Batches, Trial

Pair: TypeAlias = "tuple[Tensor, Tensor]"


def bit_planes(*bits: int) -> dict[str, Code]:
    """Bit-plane codes by name, of 1 to 8 planes unless said otherwise.

    >>> list(bit_planes(2, 4))
    ['2 planes', '4 planes']
    """
    return {f"{n} plane{'s'[: n != 1]}": partial(BitPlane, bits=n) for n in bits or range(1, 9)}


def assign(
    model: nn.Module,
    data: Pair | Iterable[Pair],
    budget: float | None = None,
    *,
    budget_pj: float | None = None,
    where: Where | None = None,
    codes: Mapping[str, Code] | None = None,
    costs: EnergyCosts = HOROWITZ_45NM,
    by: By = "accuracy",
    measurements: int = 5000,
) -> Assignment:
    """Choose for each layer whether numbers or spikes arrive, and in which code, by what the whole network then does.

    A layer that receives spikes encodes its input and accumulates weighed spikes (see :class:`CodedLayer`):

        energy = ac_pj * spikes sent * connections each reaches + mac_pj * multiplications.

    Every option of every layer is measured alone. A knapsack over the sums of those gives candidates for all energies,
    which are measured as a whole; from the best of them, within the budget and at energies around it, the search moves
    to better neighbours by measured log-loss until there is none. The same data give the same choice.

    Args:
        model: a trained network of numbers, from values to class scores; it is left as it is.
        data: to choose on: (values, classes), or batches of these such as a DataLoader, read once and kept. Report
            what comes out on other data.
        budget: the energy allowed as a share of the analog network's, in (0, 1].
        budget_pj: or in pJ per sample. One of the two.
        where: layers to decide on: a name or pattern, a type, a predicate of (name, module), or several; None is all.
            The others stay analog and count.
        codes: name -> what makes the code, called with ``value_range`` and ``outside``, such as ``bit_planes(2, 4)``
            or ``{"latency 8": partial(Latency, time_steps=8)}``; None is ``bit_planes()``. "analog" always is one.
        costs: the prices of operations.
        by: what the best choice within the budget has most, or least, of.
        measurements: most choices that are measured; each runs the network over all data.

    Raises:
        TypeError: data or codes of another kind.
        ValueError: a budget that is not positive, or below what can be reached; no layers, or none that ``where``
            matches; empty data; activations that are not finite; a network with spikes in it.

    >>> network, values = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), torch.rand(64, 4)
    >>> assignment = assign(network, (values, network(values).argmax(1)), 0.5, codes=bit_planes(2, 4))
    >>> assignment.point.energy_pj <= 0.5 * assignment.analog.energy_pj
    True
    """
    _check_budget(budget, budget_pj)
    if by not in KEYS:
        raise ValueError(f"assign expects by to be 'accuracy' or 'log_loss'; got {by!r}.")
    codes = _checked_codes(bit_planes() if codes is None else codes)
    whole = nn.Sequential(model) if isinstance(model, LAYERS) else model
    layers, skipped = layers_of(whole, where, owner="assign")
    trial = Trial(whole, list(layers), _kept(data, whole), codes, costs)
    skipped |= dict.fromkeys(trial.unused, "it never runs, or the network uses its weights without calling it")
    if not trial.names:
        reasons = "; ".join(f"'{name}': {why}" for name, why in skipped.items())
        raise ValueError(f"assign found no layer that can be coded: {reasons}. Name others with where.")
    analog = trial.measure(trial.analog)
    limit = budget_pj if budget_pj is not None else (budget or 0.0) * analog.energy_pj
    search = Chooser(trial, most=measurements)
    search.run(limit)
    point = search.best(limit, by=by)
    if point is None:
        raise ValueError(_too_little(limit, analog, trial))
    return Assignment(
        model=trial.build(point.choices),
        point=point,
        analog=analog,
        budget_pj=limit,
        front=front_of(trial.found.values()),
        alone=search.alone,
        skipped=skipped,
        measured=len(trial.found),
        is_settled=search.is_settled,
        _trial=trial,
    )


def _kept(data: Pair | Iterable[Pair], network: nn.Module) -> Batches:
    """All batches, on the network's device."""
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    is_pair = isinstance(data, tuple | list) and len(data) == 2 and all(isinstance(part, Tensor) for part in data)
    batches = []
    for batch in [data] if is_pair else data:
        values, labels = batch if isinstance(batch, tuple | list) and len(batch) == 2 else (batch, None)
        if not isinstance(values, Tensor) or not isinstance(labels, Tensor) or labels.ndim != 1:
            raise TypeError(
                "assign expects data to be (values, classes), or batches of these with one class per sample, such as a "
                f"DataLoader of a labelled set; got {_described(batch)}."
            )
        if labels.dtype.is_floating_point or labels.dtype == torch.bool:
            raise TypeError(f"assign expects classes as whole numbers; got {labels.dtype}. Pass labels.long().")
        if len(values) != len(labels):
            raise ValueError(
                f"assign expects one class per sample; got {len(values)} samples and {len(labels)} classes."
            )
        if len(labels):
            batches.append((values.to(device), labels.long().to(device)))
    if not batches:
        raise ValueError("assign expects data with at least one sample; got none. Pass validation data.")
    return batches


def _described(batch: object) -> str:
    parts = batch if isinstance(batch, tuple | list) else [batch]
    kinds = [f"{type(p).__name__}{list(p.shape)}" if isinstance(p, Tensor) else type(p).__name__ for p in parts]
    return ", ".join(kinds)


def _check_budget(budget: float | None, budget_pj: float | None) -> None:
    if (budget is None) == (budget_pj is None):
        raise ValueError(
            f"assign expects one budget: a share of the analog network's energy, such as 0.6, or budget_pj; got "
            f"{budget} and budget_pj = {budget_pj}."
        )
    if budget is not None and not 0 < budget <= 1:
        raise ValueError(
            f"assign expects budget in (0, 1], a share of the analog network's energy; got {budget}. For an energy "
            f"pass budget_pj."
        )
    if budget_pj is not None and not 0 < budget_pj < math.inf:
        raise ValueError(f"assign expects budget_pj > 0 and finite, in pJ per sample; got {budget_pj}.")


def _checked_codes(codes: Mapping[str, Code]) -> dict[str, Code]:
    if not isinstance(codes, Mapping) or not codes or not all(isinstance(name, str) for name in codes):
        raise TypeError(
            f"assign expects codes by name, such as bit_planes(2, 4) or {{'latency 8': partial(Latency, "
            f"time_steps=8)}}; got {codes!r}."
        )
    if ANALOG in codes:
        raise ValueError(f"assign has an option '{ANALOG}' of its own; got a code of that name. Give it another.")
    return dict(codes)


def _too_little(limit_pj: float, analog: Point, trial: Trial) -> str:
    cheapest = min(trial.found.values(), key=lambda point: point.energy_pj)
    return (
        f"assign expects a budget that can be reached; {limit_pj:.4g} pJ per sample is below the cheapest choice "
        f"found, {cheapest.energy_pj:.4g} pJ or {cheapest.energy_pj / analog.energy_pj:.4f} of the analog network's "
        f"{analog.energy_pj:.4g}, {trial.rest_pj:.4g} of it in layers that are not decided on. Allow more, pass "
        f"shorter codes, or name more layers with where."
    )
