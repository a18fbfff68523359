"""A threshold for every neuron, by the policy of the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..core.shapes import along_channels
from .channels import as_setting, by_channel
from .errors import ConversionError
from .fit import Fit, Seen, by_correlation, least_squares, lloyd, sent, with_thresholds
from .lockstep import Lockstep
from .nodes import called
from .observe import Observer
from .plan import Entry, Plan, is_identical, neurons_of, with_threshold
from .recipe import Recipe
from .refine import RIDGE, RIDGE_OF_LAST, Feeding, changed_current, changed_layer, feeding, least_squares_change


@dataclass
class Settled:
    """What calibration found.

    Attributes:
        plan: the plan, with a threshold at every neuron.
        bias: what is to be added to a neuron's current, where calibration asks for it.
        layers: what stands in for calls that are no neurons: what their rules built, and layers with corrected weights.
        corrected: the calls whose weights were corrected, where calibration asks for it.
        silent: how many channels of a site were never active; they have the highest threshold of the others.
    """

    plan: Plan
    bias: dict[fx.Node, Tensor] = field(default_factory=dict)
    layers: dict[fx.Node, nn.Module] = field(default_factory=dict)
    corrected: set[fx.Node] = field(default_factory=set)
    silent: dict[fx.Node, int] = field(default_factory=dict)


def settle(
    plan: Plan, observer: Observer, batches: Sequence[Tensor], *, layers: Mapping[fx.Node, nn.Module]
) -> Settled:
    """A threshold for every neuron, given what stands in for other calls.

    Raises:
        ConversionError: sites for which none can be had, all of them listed.
    """
    recipe = next(iter(plan.values())).site.recipe
    found = Settled(dict(plan), layers=dict(layers))
    problems = []
    for node, entry in neurons_of(plan).items():
        try:
            _settle_without_running(found, node, entry, observer)
        except ConversionError as error:
            problems.append(str(error))
    if problems:
        raise ConversionError("\n".join(problems))
    if needs_batches(plan):
        _Sequential(found, observer, recipe, batches).run()
    return found


def needs_batches(plan: Plan) -> bool:
    """Whether calibration has to see converted activations, and therefore all its data at once."""
    recipe = next(iter(plan.values())).site.recipe
    undecided = any(entry.activation.threshold is None for entry in neurons_of(plan).values())
    fits = recipe.thresholds in ("mse", "lloyd") and undecided
    return fits or recipe.calibrate != "none"


def _settle_without_running(found: Settled, node: fx.Node, entry: Entry, observer: Observer) -> None:
    site, recipe, activation = entry.site, entry.site.recipe, entry.activation
    if activation.threshold is not None:
        found.plan[node] = with_threshold(entry, activation.threshold)
        return
    if recipe.thresholds == "from_model":
        raise ConversionError(
            f"{site} brings no threshold of its own, and thresholds = 'from_model' forbids choosing one. Train with "
            f"QCFS there, or pass thresholds='mse'."
        )
    if recipe.percentile is not None:
        numbers = observer.percentile(node, recipe.percentile).clamp(max=activation.ceiling)
        numbers = _without_silence(found, node, entry, numbers)
        found.plan[node] = with_threshold(entry, observer.setting(node, numbers))


def _without_silence(found: Settled, node: fx.Node, entry: Entry, numbers: Tensor) -> Tensor:
    """Channels that were never active get the highest threshold of the others; a site that never was is refused."""
    silent = numbers <= 0
    if bool(silent.all()):
        recipe = entry.site.recipe
        rather = ", or thresholds='max'" if (recipe.percentile or 100.0) < 100.0 else ""
        raise ConversionError(
            f"{entry.site} was (almost) never active in calibration, so thresholds = {recipe.thresholds!r} gives 0. "
            f"Pass more data{rather}; an activation that is never positive can be removed."
        )
    if bool(silent.any()):
        found.silent[node] = int(silent.sum())
    return torch.where(silent, numbers.amax(), numbers).float()


class _Sequential:
    """Site after site in the order of the network, each given what the converted part before it sends.

    The network and its conversion run side by side, call by call, on all batches; a neuron is modelled by what it
    sends on average for a constant current, T * members levels. Memory: what is alive of both between two calls.
    """

    def __init__(self, found: Settled, observer: Observer, recipe: Recipe, batches: Sequence[Tensor]) -> None:
        assert isinstance(observer.module, fx.GraphModule)
        self.found, self.observer, self.recipe, self.count = found, observer, recipe, len(batches)
        self.traced = observer.module
        self.stand_ins = dict(found.layers)
        kept = {node: entry for node, entry in found.plan.items() if node not in self.stand_ins}
        self.fed = _fed_sites(kept, self.traced) if recipe.calibrate == "weights" else {}
        self.is_followed = {node: _reaches_corrected(node, found.plan, self.fed) for node in neurons_of(found.plan)}
        also = {node: [fed.node.all_input_nodes[0]] for node, fed in self.fed.items()}
        self.steps = Lockstep(observer.module, [*batches, *(batch.clone() for batch in batches)], also)

    def run(self) -> None:
        """Settle every neuron that is not settled yet."""
        apart = False
        for node, run in self.steps:
            entry = self.found.plan.get(node)
            is_neuron = entry is not None and entry.way == "neuron"
            apart = apart or node in self.stand_ins
            for index in range(self.count):
                self.observer.check_finite(node, run(index))
                if not apart and not is_neuron and node.op != "placeholder":
                    self.steps.put(node, self.count + index, self.steps.get(node, index))
                else:
                    self._run_converted(node, run, self.count + index, entry if is_neuron else None)
            if node in self.fed:
                self._correct(node, run, entry if is_neuron else None)
            if is_neuron and entry is not None:
                apart = True
                self._settle(node, entry)

    def _correct(self, node: fx.Node, run: Any, entry: Entry | None) -> None:
        """Correct the layer before a site, or one that is the network's last, and what arrives because of it."""
        fed = self.fed[node]
        source, arrives = fed.node.all_input_nodes[0], node if entry is None else node.all_input_nodes[0]
        batches, spiking = range(self.count), range(self.count, 2 * self.count)
        inputs = [self.steps.get(source, index) for index in spiking]
        currents = [self.steps.get(arrives, index) for index in spiking]
        wanted = [self.steps.get(arrives, index) for index in batches]
        rectified = entry is not None and not entry.activation.analog and not entry.activation.negative
        ridge = RIDGE_OF_LAST if entry is None else RIDGE
        change = least_squares_change(fed, inputs, currents, wanted, rectified=rectified, ridge=ridge)
        self.found.layers[fed.node] = changed_layer(fed, change, with_bias=entry is None)
        self.found.corrected.add(fed.node)
        if entry is not None:
            self.found.bias[node] = change.bias
        for index, values, current in zip(spiking, inputs, currents, strict=True):
            self.steps.put(arrives, index, changed_current(fed, change, values, current))
            if entry is not None:
                self._run_converted(node, run, index, entry)

    def _run_converted(self, node: fx.Node, run: Any, index: int, entry: Entry | None) -> None:
        activation = None if entry is None else entry.site.activation
        if activation is not None and not activation.analog:
            # The neuron is the function: what arrives is its current.
            self.steps.put(node, index, self.steps.get(node.all_input_nodes[0], index))
        elif node in self.stand_ins:
            self.steps.put(node, index, self.stand_ins[node](self.steps.get(node.all_input_nodes[0], index)))
        else:
            run(index)

    def _settle(self, node: fx.Node, entry: Entry) -> None:
        targets = [self.steps.get(node, index) for index in range(self.count)]
        currents = [self.steps.get(node, self.count + index) for index in range(self.count)]
        axis = self.observer.axis(entry, targets[0])
        fit = self._fit(
            node, entry, axis, [by_channel(t, axis) for t in targets], [by_channel(c, axis) for c in currents]
        )
        rank = targets[0].ndim
        level = as_setting(fit.thresholds / self.recipe.levels, axis, rank).to(targets[0].dtype)
        bias = as_setting(fit.bias, axis, rank).to(targets[0].dtype)
        for index, current in enumerate(currents):
            moved = current + along_channels(bias, current)
            out = sent(moved, along_channels(level, current), self.recipe.levels, negative=entry.activation.negative)
            self.steps.put(node, self.count + index, out)

    def _fit(self, node: fx.Node, entry: Entry, axis: int | None, targets: list[Tensor], currents: list[Tensor]) -> Fit:
        activation, levels = entry.activation, self.recipe.levels
        with_bias = self.recipe.calibrate != "none" and not is_identical(entry.site)
        seen = Seen.of(currents, targets, negative=activation.negative)
        settled = self.found.plan[node].site.threshold
        if settled is not None:
            thresholds = settled.flatten().expand(len(seen.power))
            fit = with_thresholds(seen, thresholds, levels, activation, with_bias=with_bias)
        else:
            if self.recipe.calibrate == "weights" and self.is_followed[node]:
                fit = by_correlation(seen, levels, activation)
            else:
                policy = lloyd if self.recipe.thresholds == "lloyd" else least_squares
                fit = policy(seen, levels, activation, with_bias=with_bias)
            numbers = _without_silence(self.found, node, entry, fit.thresholds)
            fit = Fit(numbers.double(), torch.where(fit.thresholds > 0, fit.bias, 0.0), fit.error)
            self.found.plan[node] = with_threshold(
                entry, as_setting(numbers.to(targets[0].dtype), axis, self._rank(node))
            )
        if with_bias or node in self.fed:
            self._keep_bias(node, fit.bias.to(targets[0].dtype), axis)
        return fit

    def _keep_bias(self, node: fx.Node, bias: Tensor, axis: int | None) -> None:
        """The bias of a site, with that of the corrected layer before it, which is one per channel in any case."""
        rank = self._rank(node)
        if node in self.fed:
            bias = bias + self.found.bias[node]
            axis = 1 if isinstance(self.fed[node].layer, nn.Conv2d) else rank - 1
        self.found.bias[node] = as_setting(bias, axis, rank)

    def _rank(self, node: fx.Node) -> int:
        rank: int = self.steps.get(node, 0).ndim
        return rank


def _fed_sites(plan: Plan, traced: fx.GraphModule) -> dict[fx.Node, Feeding]:
    """The layer that feeds each neuron, and the network's last, where they can be corrected."""
    found = {node: feeding(node.all_input_nodes[0], traced, plan) for node in neurons_of(plan)}
    for node in plan:
        if any(user.op == "output" for user in node.users) and isinstance(called(node, traced), nn.Linear):
            found[node] = feeding(node, traced, plan)
    return {node: fed for node, fed in found.items() if fed is not None}


def _reaches_corrected(node: fx.Node, plan: Plan, fed: Mapping[fx.Node, Feeding]) -> bool:
    """Whether all that a neuron sends arrives where a corrected layer makes up for its offset and scale."""
    waiting, seen = list(node.users), set[fx.Node]()
    while waiting:
        user = waiting.pop()
        if user in seen or user in fed:
            continue
        seen.add(user)
        entry = plan.get(user)
        if user.op == "output" or (entry is not None and entry.way in ("means", "neuron")):
            return False
        waiting.extend(user.users)
    return True
