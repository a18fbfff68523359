"""What a conversion did to every layer, measured: its error against the network, its spikes, its operations."""

from __future__ import annotations

from typing import Any, TypeGuard

from torch import Tensor, fx, nn

from ..core.neuron import Neuron
from ..core.time import Folded, unfold
from ..measure.layer import LayerOperations
from ..measure.operations import count_operations
from ..measure.spikes import spike_counts
from .calibrate import Settled
from .network import ConvertedNetwork
from .plan import Entry
from .report import SiteReport
from .weave import Woven

SAMPLES = 8
"""How many calibration samples a report is measured on."""


def audit(
    traced: fx.GraphModule, woven: Woven, network: ConvertedNetwork, settled: Settled, sample: Tensor
) -> tuple[SiteReport, ...]:
    """One row for every call, in order."""
    values = sample[:SAMPLES]
    errors, spikes = _compare(traced, woven, settled, values, network.time_steps)
    operations = {layer.layer: layer for layer in count_operations(network, values, time_steps=network.time_steps)}
    replaced = settled.layers.keys() - settled.corrected
    rows = []
    for node, entry in settled.plan.items():
        layer = operations.get(str(woven.places[node][0].target)) if entry.way != "neuron" else None
        remark = "weights corrected by least squares" if node in settled.corrected else ""
        remark = remark or _silence(settled.silent.get(node, 0))
        becomes = _becomes(entry, woven.standing_for(node), is_replaced=node in replaced)
        rows.append(_row(entry, becomes, remark, errors.get(node), spikes.get(node), layer))
    return tuple(rows)


def _silence(channels: int) -> str:
    return f"{channels} channel{'s'[: channels != 1]} never active, given the highest threshold" if channels else ""


def _row(
    entry: Entry, becomes: str, remark: str, error: float | None, spikes: float | None, layer: LayerOperations | None
) -> SiteReport:
    site, threshold, steps = entry.site, entry.site.threshold, entry.site.recipe.time_steps
    note = entry.rule.note(site) if entry.rule.note else ""
    note = "; ".join(part for part in (note, remark) if part)
    return SiteReport(
        name=site.name,
        operation=site.operation,
        fidelity=entry.fidelity,
        becomes=becomes,
        threshold=None if threshold is None else (threshold.min().item(), threshold.max().item()),
        error=error,
        spikes=spikes,
        accumulates=_operations(layer, "AC", steps),
        multiplies=_operations(layer, "MAC", steps),
        note=note,
        location=site.location,
    )


def _becomes(entry: Entry, module: nn.Module | None, *, is_replaced: bool) -> str:
    """The class of what stands in the woven network, or "itself"."""
    if entry.way == "neuron":
        assert isinstance(module, Folded)
        kind = type(module.module).__name__
        return f"{entry.site.operation} + {kind}" if entry.activation.analog else kind
    return type(module).__name__ if is_replaced else "itself"


def _operations(layer: LayerOperations | None, kind: str, steps: int) -> float | None:
    return layer.until(steps) if layer is not None and layer.kind == kind else None


def _compare(
    traced: fx.GraphModule, woven: Woven, settled: Settled, values: Tensor, time_steps: int
) -> tuple[dict[fx.Node, float], dict[fx.Node, float]]:
    """For every call the relative error of its mean over time; for every neuron its spikes per sample."""
    expected = _Kept(traced, set(settled.plan))
    expected.run(values.clone())
    found = _Kept(woven.body, {place for place, _ in woven.places.values()})
    found.run(values.clone(), time_steps)
    errors, spikes = {}, {}
    for node, entry in settled.plan.items():
        place, world = woven.places[node]
        mean, reference = _mean(found.values[place], world, time_steps), expected.values[node]
        if _are_comparable(mean, reference):
            size = reference.double().square().mean().sqrt().item()
            errors[node] = (mean - reference).double().square().mean().sqrt().item() / max(size, 1e-30)
        module = woven.standing_for(node)
        if entry.way == "neuron" and isinstance(module, Folded) and isinstance(module.module, Neuron):
            counts = spike_counts(module.module, unfold(found.values[place], time_steps=time_steps))
            spikes[node] = counts.abs().sum().item() / len(values)
    return errors, spikes


def _are_comparable(mean: Any, reference: Any) -> TypeGuard[Tensor]:
    both = isinstance(mean, Tensor) and isinstance(reference, Tensor)
    return both and mean.shape == reference.shape and mean.is_floating_point()


def _mean(result: Any, world: str, time_steps: int) -> Any:
    """What a node has meant over all steps, in the world it is in."""
    if world == "still" or not isinstance(result, Tensor):
        return result
    train = unfold(result, time_steps=time_steps)
    return train.mean(0) if world == "steps" else train[-1]


class _Kept(fx.Interpreter):
    """Runs a graph and keeps what some of its nodes give."""

    def __init__(self, graph: fx.GraphModule, wanted: set[fx.Node]) -> None:
        super().__init__(graph)
        self.extra_traceback = False
        self.wanted, self.values = wanted, dict[fx.Node, Any]()

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n in self.wanted:
            self.values[n] = result
        return result
