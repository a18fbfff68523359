"""What becomes of every call: a rule for each, settled before anything is run."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, fx, nn

from ..core.time import TimeAxis
from .errors import ConversionError
from .nodes import batchless_nodes, call_names, called, host_nodes, location, operation_name
from .recipe import Recipe
from .rule import Activation, Fidelity, Rule, Site

Way = Literal["still", "steps", "means", "neuron"]
"""How a call runs in the converted network.

still   once per sample: nothing before it varies over time
steps   on every step, time folded into the batch
means   on the running means of its arguments
neuron  as a neuron, on currents
"""


@dataclass(frozen=True)
class Entry:
    """One call of the network, the rule that speaks for it, and the way it will run."""

    site: Site
    rule: Rule
    way: Way

    @property
    def activation(self) -> Activation:
        """What its neuron has to stand for."""
        assert self.site.activation is not None, f"{self.site} is no neuron"
        return self.site.activation

    @property
    def fidelity(self) -> Fidelity:
        """What the report says of it."""
        if self.way == "neuron":
            return "exact" if is_identical(self.site) else "approximate"
        if self.rule.approximate(self.site):
            return "approximate"
        return "analog" if self.way == "means" else "exact"


Plan = dict[fx.Node, Entry]


def is_identical(site: Site) -> bool:
    """Whether a neuron computes what the activation it replaces computes: QCFS of as many levels, in one step."""
    recipe, activation = site.recipe, site.activation
    return (
        activation is not None
        and recipe.neuron in ("group", "signed-group")
        and activation.levels == recipe.members
        and recipe.time_steps == 1
    )


def candidates(traced: fx.GraphModule, rules: Sequence[Rule], recipe: Recipe) -> list[tuple[Entry | None, Site, str]]:
    """For every call that works on data: its entry, or None and why it has none."""
    found: list[tuple[Entry | None, Site, str]] = []
    timed: set[fx.Node] = set()
    timeless = host_nodes(traced.graph) | batchless_nodes(traced.graph)
    for node, label in call_names(traced.graph).items():
        if node in timeless:
            continue
        is_timed = not timed.isdisjoint(node.all_input_nodes)
        site = _site(node, label, traced, recipe, timeless, is_timed)
        rule = next((rule for rule in rules if rule.covers(called(node, traced))), None)
        if rule is None and recipe.unsupported != "error":
            rule = UNSUPPORTED
        reason = "no rule" if rule is None else (rule.refuse(site) if rule.refuse else None)
        entry = None
        if rule is not None and reason is None:
            entry = _entry(site, rule, is_timed)
        if (entry is not None and entry.way == "neuron") or is_timed:
            timed.add(node)
        found.append((entry, site, reason or ""))
    return found


def make_plan(traced: fx.GraphModule, rules: Sequence[Rule], recipe: Recipe, name: str) -> Plan:
    """An entry for every call that works on the data.

    Raises:
        ConversionError: calls without a rule, all of them listed; no activation at all.
    """
    plan: Plan = {}
    problems = []
    for entry, site, reason in candidates(traced, rules, recipe):
        if entry is None:
            problems.append(f"  {site}: {reason}")
        else:
            plan[site.node] = entry
    if problems:
        known = ", ".join(dict.fromkeys(rule.name for rule in rules))
        raise ConversionError(
            f"Cannot convert {len(problems)} call{'s' if len(problems) > 1 else ''} of {name}:\n"
            + "\n".join(problems)
            + f"\nRewrite them with what convert knows ({known}), pass a Rule for each in rules=, or let calls without "
            f"a rule run on running means, with real numbers: unsupported='differential'."
        )
    if not any(entry.way == "neuron" for entry in plan.values()):
        raise ConversionError(f"{name} has no activation that could become a neuron; there is nothing to convert.")
    return plan


def neurons_of(plan: Plan) -> dict[fx.Node, Entry]:
    """The calls that become neurons."""
    return {node: entry for node, entry in plan.items() if entry.way == "neuron"}


def stand_ins(plan: Plan) -> dict[fx.Node, nn.Module]:
    """What rules put in the place of calls that are no activations, in eval mode.

    Raises:
        TypeError: a rule built something else than a module without time.
    """
    found = {}
    for node, entry in plan.items():
        made = entry.rule.replace(entry.site) if entry.way != "neuron" and entry.rule.replace else None
        if made is None:
            continue
        if not isinstance(made, nn.Module) or isinstance(made, TimeAxis):
            raise TypeError(
                f"Rule '{entry.rule.name}' must replace {entry.site} by an nn.Module that knows no time, or return "
                f"None to keep it; it returned {type(made).__name__}."
            )
        found[node] = made.eval()
    return found


def with_threshold(entry: Entry, threshold: Tensor) -> Entry:
    """The same entry, its threshold settled."""
    return dataclasses.replace(entry, site=dataclasses.replace(entry.site, threshold=threshold))


UNSUPPORTED = Rule(
    name="unsupported",
    matches=(),
    linear=lambda site: site.recipe.unsupported == "keep",
    approximate=lambda site: site.timed and site.recipe.unsupported == "keep",
    note=lambda site: f"no rule; unsupported={site.recipe.unsupported!r}",
    example=lambda: (nn.Identity(), Tensor()),
)


def _entry(site: Site, rule: Rule, is_timed: bool) -> Entry:
    if rule.activation is not None:
        return Entry(dataclasses.replace(site, activation=rule.activation(site)), rule, "neuron")
    return Entry(site, rule, "still" if not is_timed else "steps" if rule.linear(site) else "means")


def _site(
    node: fx.Node, label: str, traced: fx.GraphModule, recipe: Recipe, timeless: set[fx.Node], timed: bool
) -> Site:
    target = called(node, traced)
    data: list[fx.Node] = []

    def note(argument: fx.Node) -> Any:
        if argument not in timeless:
            data.append(argument)
        return argument

    fx.map_arg((node.args, node.kwargs), note)
    return Site(
        name=label,
        operation=operation_name(node, traced),
        location=location(node, traced),
        node=node,
        module=target if isinstance(target, nn.Module) else None,
        recipe=recipe,
        data=tuple(data),
        timed=timed,
    )
