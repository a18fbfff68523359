"""From a trained network to a spiking one: trace, check, observe, replace, add time."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..core.time import TimeAxis
from .errors import ConversionError
from .network import ConvertedNetwork
from .nodes import batchless_nodes, call_names, called, host_nodes, location, operation_name
from .observe import Observer
from .recipe import NeuronFactory, Recipe
from .report import Report, SiteReport
from .rule import Rule, Site, build_neuron
from .rules import RULES
from .trace import trace
from .validate import check_model, observe_all
from .weave import Weaver


@dataclass(frozen=True)
class Conversion:
    """The result of :func:`convert`.

    Attributes:
        model: the spiking network, from values to values.
        report: what became of every call of the source.
        recipe: the settings it was made with.
    """

    model: ConvertedNetwork
    report: Report
    recipe: Recipe


def convert(
    model: nn.Module,
    batches: Tensor | Iterable[Any],
    *,
    neuron: str | NeuronFactory = "group",
    time_steps: int = 1,
    members: int = 16,
    thresholds: str = "percentile:99.9",
    rules: Sequence[Rule] = (),
) -> Conversion:
    """Turn a trained network into a spiking one; the network itself is not touched.

    Every activation becomes a neuron, every linear operation stays, and whatever no rule speaks for is an error that
    lists all such calls. With ``neuron="group"``, ``members`` = L and T = 1 a network with QCFS activations of L
    levels converts to a network with the same outputs.

    Args:
        model: a network in eval mode, of one input and one output tensor, that torch.fx can trace.
        batches: calibration inputs: a tensor, or an iterable of tensors or (tensor, ...), at least one batch. They
            choose thresholds where the network has none, and prove that the trace computes what the network does.
        neuron: "group", "signed-group", "if", or a function from a :class:`Site` to a neuron.
        time_steps: T the result runs by default (>= 1); every call of it may choose another.
        members: m, levels of a Group Neuron (>= 1).
        thresholds: for activations without a threshold of their own: "percentile:P" of the observed activations,
            "max", or "from_model" to refuse such activations.
        rules: rules of your own; they come first.

    Raises:
        ConversionError: calls without a rule (all are listed, with file:line), a network that cannot be traced or
            has no activation, is in training mode, or calibration data that is empty, not finite or elsewhere.
        TypeError, ValueError: see :class:`Recipe`.

    >>> from spikebridge import QCFS
    >>> ann = nn.Sequential(nn.Linear(8, 16), QCFS(levels=4), nn.Linear(16, 3)).eval()
    >>> x = torch.randn(5, 8)
    >>> snn = convert(ann, [x], members=4).model
    >>> torch.equal(snn(x), ann(x))
    True
    """
    recipe = Recipe(neuron=neuron, time_steps=time_steps, members=members, thresholds=thresholds)
    every_rule = (*rules, *RULES)
    check_model(model)
    with torch.no_grad():
        traced = trace(_private_copy(model, every_rule), every_rule)
        plan = _plan(traced, every_rule, recipe, type(model).__name__)
        observer = Observer(traced, watched=[node for node, (rule, _) in plan.items() if rule.threshold is not None])
        unit = observe_all(observer, model, batches)
        plan = _with_thresholds(plan, observer)
        replacements = _replacements(plan)
        body = Weaver(traced, replacements=replacements).weave()
    rows = tuple(_row(site, rule, replacements.get(node)) for node, (rule, site) in plan.items())
    network = ConvertedNetwork(body, time_steps=time_steps, input_rank=len(unit) + 1).eval()
    return Conversion(network, Report(recipe, rows), recipe)


_Plan = dict[fx.Node, tuple[Rule, Site]]


def _private_copy(model: nn.Module, rules: Sequence[Rule]) -> nn.Module:
    """A copy that tracing may use up, with a name for everything in it that a rule speaks for."""
    private = copy.deepcopy(model)
    return nn.Sequential(private) if any(rule.covers(model) for rule in rules) else private


def _plan(traced: fx.GraphModule, rules: Sequence[Rule], recipe: Recipe, name: str) -> _Plan:
    """A rule for every call that works on the data, or an error that lists all calls without one."""
    plan, problems = {}, []
    timeless = host_nodes(traced.graph) | batchless_nodes(traced.graph)
    for node, label in call_names(traced.graph).items():
        if node in timeless:
            continue
        site = _site(node, label, traced, recipe)
        rule = next((rule for rule in rules if rule.covers(called(node, traced))), None)
        reason = "no rule" if rule is None else rule.refuse(site) if rule.refuse else None
        if rule is not None and reason is None:
            plan[node] = rule, site
        else:
            problems.append(f"  '{site.name}' ({site.operation}) at {site.location}: {reason}")
    if problems:
        known = ", ".join(dict.fromkeys(rule.name for rule in rules))
        raise ConversionError(
            f"Cannot convert {len(problems)} call{'s' if len(problems) > 1 else ''} of {name}:\n"
            + "\n".join(problems)
            + f"\nRewrite them with what convert knows ({known}), or pass a Rule for each in rules=."
        )
    if not any(rule.fidelity == "spiking" for rule, _ in plan.values()):
        raise ConversionError(f"{name} has no activation that could become a neuron; there is nothing to convert.")
    return _without_idle_differentials(plan)


def _without_idle_differentials(plan: _Plan) -> _Plan:
    """Before the first neuron there is no time to take differences over: such calls stay as they are, exactly."""
    timed: set[fx.Node] = set()
    for node in next(iter(plan)).graph.nodes:
        rule, site = plan.get(node, (None, None))
        if (rule is not None and rule.fidelity == "spiking") or timed.intersection(node.all_input_nodes):
            timed.add(node)
        elif rule is not None and site is not None and rule.fidelity == "differential":
            plan[node] = dataclasses.replace(rule, fidelity="exact", replace=None, note=None), site
    return plan


def _site(node: fx.Node, label: str, traced: fx.GraphModule, recipe: Recipe) -> Site:
    target = called(node, traced)
    return Site(
        name=label,
        operation=operation_name(node, traced),
        location=location(node, traced),
        node=node,
        module=target if isinstance(target, nn.Module) else None,
        recipe=recipe,
    )


def _with_thresholds(plan: _Plan, observer: Observer) -> _Plan:
    """Each spiking site with its threshold, or an error that lists all sites for which none can be had."""
    problems = []
    settled = dict(plan)
    for node, (rule, site) in plan.items():
        if rule.threshold is None:
            continue
        percentile = site.recipe.percentile
        observed = None if percentile is None else observer.threshold(node, percentile)
        try:
            site = dataclasses.replace(site, observed=observed)
            settled[node] = rule, dataclasses.replace(site, threshold=torch.as_tensor(rule.threshold(site)))
        except ConversionError as error:
            problems.append(str(error))
    if problems:
        raise ConversionError("\n".join(problems))
    return settled


def _replacements(plan: _Plan) -> dict[fx.Node, nn.Module]:
    replacements: dict[fx.Node, nn.Module] = {}
    for node, (rule, site) in plan.items():
        build = build_neuron if rule.threshold is not None else rule.replace
        if build is not None:
            replacement = build(site)
            if isinstance(replacement, TimeAxis):
                replacement.label = site.name
            replacements[node] = replacement
    return replacements


def _row(site: Site, rule: Rule, replacement: nn.Module | None) -> SiteReport:
    threshold = site.threshold
    return SiteReport(
        name=site.name,
        operation=site.operation,
        fidelity=rule.fidelity,
        becomes="itself" if replacement is None else type(replacement).__name__,
        threshold=None if threshold is None else (threshold.min().item(), threshold.max().item()),
        note=rule.note(site) if rule.note else "",
        location=site.location,
    )
