"""Which networks error bounds hold for, and what they need to know of the converted one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx

from ...blocks.differential import Bias
from ...core.neuron import Neuron
from ...core.reset import by_subtraction
from ...core.time import Folded
from ...neurons import IF, GroupNeuron
from ..convert import Conversion
from ..errors import ConversionError
from ..nodes import called
from ..plan import Entry, Plan, candidates, neurons_of
from ..rules import RULES, linear, pooling, structure
from .absolute import has_plain_weights
from .propagate import HANDLERS
from .sender import Sender


def bounded_plan(traced: fx.GraphModule, conversion: Conversion, name: str) -> Plan:
    """The way every call runs, all of them such that bounds pass through.

    Raises:
        ConversionError: lists the calls that are not, or says that this is not the network that was converted.
    """
    if conversion.recipe.calibrate not in ("none", "bias"):
        raise ConversionError(
            f"error_bound holds for networks that keep their weights; calibrate={conversion.recipe.calibrate!r} "
            f"corrects them. Convert with calibrate='bias'."
        )
    found = candidates(traced, RULES, conversion.recipe)
    expected = [(row.name, row.operation) for row in conversion.report.sites]
    if [(site.name, site.operation) for _, site, _ in found] != expected:
        raise ConversionError(
            f"error_bound needs the network that was converted; the calls of {name} are not those in the conversion's "
            f"report. Pass the same model; rules of your own have no bounds."
        )
    obstacles = [(site, _obstacle(entry, reason)) for entry, site, reason in found]
    problems = [f"  {site}: {obstacle}" for site, obstacle in obstacles if obstacle]
    if problems:
        raise ConversionError(
            f"error_bound holds for networks of linear operations, pools and neurons; {len(problems)} "
            f"call{'s'[: len(problems) != 1]} of {name} {'is' if len(problems) == 1 else 'are'} not one:\n"
            + "\n".join(problems)
        )
    return {site.node: entry for entry, site, _ in found if entry is not None}


def _obstacle(entry: Entry | None, reason: str) -> str | None:
    """Why bounds do not pass through a call, or None."""
    if entry is None or (entry.rule.name not in HANDLERS and entry.way != "neuron"):
        return reason or "neither linear, nor a pool, nor a neuron"
    site, rule = entry.site, entry.rule
    if entry.way == "neuron":
        return "computed with real numbers before its neuron" if entry.activation.analog else None
    if rule is pooling.MAX_POOL:
        return "replaced by an average pool, which is another network" if site.recipe.max_pool == "average" else None
    if rule is linear.LINEAR and site.module is not None:
        return None if has_plain_weights(site.module) else "computes its weight anew in every call"
    if rule is structure.INTERPOLATE:
        mode = getattr(site.module, "mode", site.argument(3, "mode", "nearest"))
        return "weights below zero" if mode == "bicubic" else None
    if rule is not pooling.MAXIMUM and not rule.linear(site):
        return "not linear: both of its arguments depend on the input"
    return None


def senders_of(plan: Plan, body: fx.GraphModule) -> Mapping[fx.Node, Sender]:
    """The neurons of the converted network, which come in the order of the source's activations."""
    calls = [node for node in body.graph.nodes if node.op == "call_module"]
    folded = [node for node in calls if isinstance(f := called(node, body), Folded) and isinstance(f.module, Neuron)]
    senders = {}
    for (node, entry), place in zip(neurons_of(plan).items(), folded, strict=True):
        before = place.all_input_nodes[0]
        bias = called(before, body) if before.op == "call_module" else None
        neuron = called(place, body).module  # type: ignore[attr-defined]
        senders[node] = _sender(neuron, bias.bias if isinstance(bias, Bias) else None, entry)
    return senders


def _sender(neuron: Neuron[Any], offset: Tensor | None, entry: Entry) -> Sender:
    if isinstance(neuron, GroupNeuron):
        return Sender(neuron.spike_value, neuron.members, neuron.signed, neuron.negative, True, offset)
    if isinstance(neuron, IF) and neuron.rest == 0.5 and neuron.reset is by_subtraction:
        if torch.equal(neuron.threshold, neuron.spike_value):
            return Sender(neuron.spike_value, 1, False, False, False, offset)
    raise ConversionError(
        f"error_bound is proved for Group Neurons, and for IF at rest 1/2 with soft reset and spikes that carry the "
        f"threshold; {entry.site} became {neuron!r}."
    )


def check_same(traced: fx.GraphModule, body: fx.GraphModule, plan: Plan) -> None:
    """Refuse weights other than those that were converted."""
    there = dict(body.named_parameters()) | dict(body.named_buffers())
    here = dict(traced.named_parameters()) | dict(traced.named_buffers())
    own = {str(node.target) for node in neurons_of(plan) if node.op == "call_module"}
    for name, tensor in here.items():
        if name.rpartition(".")[0] not in own and (name not in there or not torch.equal(tensor, there[name])):
            raise ConversionError(
                f"error_bound needs the network that was converted; '{name}' differs. Pass the same model, or convert "
                f"this one."
            )
