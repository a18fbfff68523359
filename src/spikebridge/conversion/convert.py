"""From a trained network to a spiking one: trace, check, calibrate, replace, add time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..blocks.differential import Bias
from .audit import audit
from .calibrate import Settled, needs_batches, settle
from .network import ConvertedNetwork
from .neuron import build_neuron
from .observe import Observer
from .plan import make_plan, neurons_of, stand_ins
from .quantised import quantised
from .recipe import NeuronFactory, Recipe
from .report import Report
from .rule import Rule, checked
from .rules import RULES
from .trace import drop_hooks, prepare
from .validate import check_model, copied, in_full_precision, observe_all
from .weave import Weaver


@dataclass(frozen=True)
class Conversion:
    """The result of :func:`convert`.

    Attributes:
        model: the spiking network, from values to values.
        report: what became of every call of the source, and what it cost.
        recipe: the settings it was made with.
        quantised: the source with every activation quantised to T * members levels, an ordinary network. At T = 1 it
            is the spiking network; beside it, every claim about accuracy and energy has to stand.
        box: the lowest and highest input of calibration, per element.
    """

    model: ConvertedNetwork
    report: Report
    recipe: Recipe
    quantised: nn.Module
    box: tuple[Tensor, Tensor]


def convert(
    model: nn.Module,
    batches: Tensor | Iterable[Any],
    *,
    neuron: str | NeuronFactory = "group",
    time_steps: int = 1,
    members: int = 16,
    thresholds: str = "mse",
    granularity: str = "channel",
    calibrate: str = "none",
    max_pool: str = "exact",
    unsupported: str = "error",
    rules: Sequence[Rule] = (),
) -> Conversion:
    """Turn a trained network into a spiking one; the network itself is not touched.

    Every activation becomes a neuron, linear operations stay, everything else runs on running means with real numbers
    and is reported so, and whatever no rule speaks for is an error that lists all such calls. With ``neuron="group"``,
    ``members`` = L and T = 1 a network with QCFS activations of L levels converts to a network with the same outputs.

    Args:
        model: a network in eval mode, of one input and one output tensor, that torch.fx can trace.
        batches: calibration inputs: a tensor, or an iterable of tensors or (tensor, ...), at least one batch. They
            choose thresholds where the network has none, and prove that the trace computes what the network does.
            Percentiles take them one at a time; "mse", "lloyd" and "bias" hold what is alive between two calls for
            all of them, so a few hundred to a thousand samples are meant.
        neuron: "group", "signed-group", "if", or a function from a :class:`Site` to a neuron.
        time_steps: T the result runs by default (>= 1); every call of it may choose another.
        members: m, levels of a Group Neuron (>= 1).
        thresholds: for activations without a threshold of their own: "mse", "lloyd", "percentile:P", "max", or
            "from_model" to refuse such activations.
        granularity: a threshold per "channel" or per "layer".
        calibrate: "bias" to make every channel's mean that of the network; "weights" to correct the weights before
            neurons as well, by least squares; or "none".
        max_pool: "exact", "pre" or "average".
        unsupported: what happens to calls without a rule: "error", "differential" or "keep".
        rules: rules of your own; they come first.

    Raises:
        ConversionError: calls without a rule (all are listed, with file:line), a network that cannot be traced or
            has no activation, is in training mode, or calibration data that is empty, not finite, of changing shape
            or elsewhere.
        TypeError, ValueError: see :class:`Recipe`, which says more of every setting.

    >>> from spikebridge import QCFS
    >>> ann = nn.Sequential(nn.Linear(8, 16), QCFS(levels=4), nn.Linear(16, 3)).eval()
    >>> x = torch.randn(5, 8)
    >>> snn = convert(ann, [x], members=4).model
    >>> torch.equal(snn(x), ann(x))
    True
    """
    recipe = Recipe(
        neuron=neuron,
        time_steps=time_steps,
        members=members,
        thresholds=thresholds,
        granularity=granularity,
        calibrate=calibrate,
        max_pool=max_pool,
        unsupported=unsupported,
    )
    every_rule = (*checked(rules, owner="convert"), *RULES)
    check_model(model, owner="convert")
    # Half precision would choose thresholds by numbers that have been rounded.
    with torch.no_grad(), in_full_precision(model):
        traced = prepare(copied(model), every_rule, recipe)
        plan = make_plan(traced, every_rule, recipe, type(model).__name__)
        built = stand_ins(plan)
        drop_hooks(
            traced, [n for n, e in plan.items() if n in built or (e.way == "neuron" and not e.activation.analog)]
        )
        watched = neurons_of(plan) if recipe.percentile is not None else {}
        observer = Observer(traced, watched)
        held = observe_all(observer, model, batches, hold=needs_batches(plan))
        settled = settle(plan, observer, held, layers=built)
        return _build(traced, settled, observer, recipe, held[0])


def _build(traced: fx.GraphModule, settled: Settled, observer: Observer, recipe: Recipe, sample: Tensor) -> Conversion:
    offsets = {node: Bias(bias) for node, bias in settled.bias.items()}
    ordinary = quantised(traced, settled)
    woven = Weaver(traced, settled.plan, replacements=_replacements(settled), offsets=offsets).weave()
    network = ConvertedNetwork(woven.body, time_steps=recipe.time_steps, input_rank=sample.ndim).eval()
    network.unit = sample.shape[1:]
    rows = audit(traced, woven, network, settled, sample)
    assert observer.box is not None
    return Conversion(network, Report(recipe, rows), recipe, ordinary, observer.box)


def _replacements(settled: Settled) -> dict[fx.Node, nn.Module]:
    replacements: dict[fx.Node, nn.Module] = dict(settled.layers)
    made: dict[int, str] = {}
    for node, entry in neurons_of(settled.plan).items():
        replacements[node] = neuron = build_neuron(entry.site)
        neuron.label = entry.site.name
        if id(neuron) in made:
            raise TypeError(
                f"The neuron function {entry.site.recipe.neuron_name} must return a new neuron for every site; for "
                f"'{entry.site.name}' it returned that of '{made[id(neuron)]}'."
            )
        made[id(neuron)] = entry.site.name
    return replacements
