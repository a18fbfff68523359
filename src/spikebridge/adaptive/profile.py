"""What every step of a network does: plain numbers, and a table of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from ..blocks.spiking import SpikingNetwork
from ..blocks.stem import HybridStem
from ..blocks.step_readout import FoldedReadout, StepReadout
from ..core.neuron import Neuron
from ..core.shapes import SpikeTrain, Value
from ..core.time import EachStep, OverTime, TimeAxis
from ..measure.layer import LayerOperations
from ..measure.operations import count_operations
from ..measure.spikes import neurons_of, record_spikes
from ..neurons import AdaptiveLIF
from .hosts import leak_and_gain
from .watching import watching


@dataclass(frozen=True, kw_only=True)
class NeuronSteps:
    """One layer of neurons, step by step.

    Attributes:
        layer: its name; "name#2" for a second call.
        leak: what the membrane is multiplied by at each step, the mean over channels; None where it has no such factor.
        gain: what the current is multiplied by, likewise.
        rates: spikes per neuron at each step.
    """

    layer: str
    leak: tuple[float, ...] | None
    gain: tuple[float, ...] | None
    rates: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Spikes per neuron and step."""
        return sum(self.rates) / len(self.rates)


@dataclass(frozen=True, kw_only=True)
class StepProfile:
    """The result of :func:`step_profile`; prints as a table with a column for each step.

    Attributes:
        neurons: in the order in which they ran.
        scales: the scale of each readout at each step, the mean over classes; empty where every step weighs the same.
        first: operations of the layers that see the code, per sample.
        time_steps: T.
        samples: how many it was measured on.
    """

    neurons: tuple[NeuronSteps, ...]
    scales: dict[str, tuple[float, ...]]
    first: tuple[LayerOperations, ...]
    time_steps: int
    samples: int

    @property
    def multiplies(self) -> tuple[float, ...]:
        """MACs of the layers that see the code, at each step; what runs once for all steps, at step 0."""
        return self._of_kind("MAC")

    @property
    def accumulates(self) -> tuple[float, ...]:
        """ACs of the layers that see the code, at each step."""
        return self._of_kind("AC")

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain numbers and words, which JSON can hold."""
        return asdict(self) | {"multiplies": self.multiplies, "accumulates": self.accumulates}

    def __str__(self) -> str:
        rows = [("layer", "", *(f"t={t}" for t in range(self.time_steps)))]
        for name, kind, counts in self._first_rows():
            rows.append((name, kind, *(f"{count:,.0f}" for count in counts)))
        for neuron in self.neurons:
            named = [("leak", neuron.leak), ("gain", neuron.gain), ("rate", neuron.rates)]
            rows += [(neuron.layer, what, *map(_brief, found)) for what, found in named if found is not None]
        rows += [(name, "scale", *map(_brief, scale)) for name, scale in self.scales.items()]
        return "\n".join([*_table(rows), "", f"Spikes per neuron, operations per sample, over {self.samples}."])

    def _of_kind(self, kind: str) -> tuple[float, ...]:
        found = [layer.per_step for layer in self.first if layer.kind == kind]
        return tuple(sum((steps[t] for steps in found if t < len(steps)), 0.0) for t in range(self.time_steps))

    def _first_rows(self) -> list[tuple[str, str, tuple[float, ...]]]:
        return [(layer.layer, layer.kind, layer.per_step) for layer in self.first if any(layer.per_step)]


def step_profile(model: nn.Module, batch: Value) -> StepProfile:
    """Leak, gain and firing rate of every layer of neurons at every step, and what the code costs the first layers.

    One forward in eval mode; operations are those of :func:`count_operations`. Any spiking network has a profile, so
    that an adapted one can be put beside its host; the leak of a LIF is its decay.

    Args:
        model: a spiking network. It is left as it was.
        batch: what it takes, at least one sample.

    Raises:  ValueError: no neuron, or none that a whole train arrives at; see :func:`count_operations` as well.

    >>> from spikebridge import LIF, Direct, SpikingNetwork
    >>> from spikebridge.adaptive import adapt
    >>> body = nn.Sequential(OverTime(nn.Linear(6, 5)), LIF(), OverTime(nn.Linear(5, 3)))
    >>> profile = step_profile(adapt(SpikingNetwork(body, encoder=Direct(time_steps=4)), 4), torch.rand(8, 6))
    >>> profile.neurons[0].layer, profile.neurons[0].leak, profile.multiplies, profile.scales["2"]
    ('1', (0.5, 0.5, 0.5, 0.5), (30.0, 0.0, 0.0, 0.0), (1.0, 1.0, 1.0, 1.0))
    """
    with record_spikes(model) as trains, watching(model) as seen:
        operations = count_operations(model, batch)
    if not trains:
        raise ValueError(
            f"step_profile expects a network whose forward runs neurons over whole trains; {type(model).__name__} ran "
            f"none. Call the neurons, and not their step."
        )
    told, names = neurons_of(model), _names(model)
    neurons = tuple(_steps_of(name, told[name.split("#")[0]], train) for name, train in trains.items())
    scales = {name: _scale(part) for part, name in names.items() if isinstance(part, StepReadout | FoldedReadout)}
    return StepProfile(
        neurons=neurons,
        scales=scales,
        first=_first(operations, seen.order, names),
        time_steps=max(len(neuron.rates) for neuron in neurons),
        samples=next(iter(trains.values())).shape[1],
    )


def _steps_of(name: str, neuron: Neuron[Any], train: SpikeTrain) -> NeuronSteps:
    time, settings = len(train), leak_and_gain(neuron)
    leak, gain = (None, None) if settings is None else (_over_steps(each, neuron, time) for each in settings)
    rates = train.abs().flatten(1).double().mean(1)
    return NeuronSteps(layer=name, leak=leak, gain=gain, rates=tuple(rates.tolist()))


def _over_steps(setting: Tensor, neuron: Neuron[Any], time_steps: int) -> tuple[float, ...]:
    """The mean over channels at each step."""
    if isinstance(neuron, AdaptiveLIF):
        return tuple(setting.reshape(time_steps, -1).mean(1).tolist())
    return (setting.mean().item(),) * time_steps


def _scale(readout: StepReadout | FoldedReadout) -> tuple[float, ...]:
    held = readout.scale.detach() if isinstance(readout, StepReadout) else readout.weights * readout.time_steps
    return tuple(held.reshape(len(held), -1).mean(1).tolist())


def _first(
    operations: Sequence[LayerOperations], order: Sequence[TimeAxis], names: Mapping[nn.Module, str]
) -> tuple[LayerOperations, ...]:
    """The operations of the lifted layers that ran first, if any ran before a neuron; else of the first layer."""
    if order and isinstance(order[0], OverTime | EachStep | HybridStem):
        within = tuple(layer for layer in operations if layer.layer.startswith(f"{names[order[0]]}."))
        if within:
            return within
    return tuple(each for each in operations if each.layer.split("#")[0] == operations[0].layer)


def _names(model: nn.Module) -> dict[nn.Module, str]:
    """Every module by the name that operations give it."""
    return {part: name for name, part in (model.body if isinstance(model, SpikingNetwork) else model).named_modules()}


def _brief(number: float) -> str:
    return f"{number:.3f}"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Words to the left, numbers to the right; a row may end early."""
    widths = [max(len(row[column]) for row in rows if len(row) > column) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=False))
        ).rstrip()
        for row in rows
    ]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]
