"""What convert would do with a network, without data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from .plan import Entry, candidates, stand_ins
from .recipe import Recipe
from .rule import Rule, Site, checked
from .rules import RULES
from .trace import prepare
from .validate import check_model, copied

_WAYS = {
    "still": "as it is, once per sample",
    "steps": "as it is, on every step",
    "means": "on running means, with real numbers",
    "neuron": "a neuron",
}
_REWRITES = {
    (
        "LSTM",
        "GRU",
        "RNN",
        "LSTMCell",
        "GRUCell",
        "RNNCell",
    ): "recurrent networks have a time of their own; use LIF layers",
    ("Transformer", "TransformerEncoder", "TransformerEncoderLayer", "TransformerDecoderLayer"): (
        "write the block out: its attention, norms and linear layers have rules; or pass unsupported='differential'"
    ),
    ("sort", "topk", "argmax", "argmin", "max", "min", "argsort"): (
        "choose and sort after the network: let it return what is chosen from"
    ),
    ("Softmin", "softmin"): "softmax of the negative is the same",
    ("cumprod", "prod", "cumsum"): "write it with sums, products and torch.exp, or pass unsupported='differential'",
    ("copy_", "fill_", "zero_", "index_put_", "scatter_", "masked_fill_"): "write to a new tensor, not into an old one",
    ("randn_like", "rand_like", "bernoulli", "multinomial"): "draw nothing in eval mode: if self.training",
}


@dataclass(frozen=True)
class CallExplained:
    """One call, and what convert would do with it.

    Attributes:
        name: the module's name, or the name of the call in the traced graph.
        operation: what is called.
        rule: the rule that speaks for it, or "none".
        becomes: how it would run; "refused" if it could not.
        rewrite: what to do about a refusal; empty otherwise.
        location: file:line of the call.
    """

    name: str
    operation: str
    rule: str
    becomes: str
    rewrite: str
    location: str


@dataclass(frozen=True)
class Explanation:
    """What convert would do with every call of a network; prints as a table."""

    calls: tuple[CallExplained, ...]

    @property
    def refused(self) -> tuple[CallExplained, ...]:
        """The calls that convert could not convert."""
        return tuple(call for call in self.calls if call.becomes == "refused")

    @property
    def neurons(self) -> tuple[CallExplained, ...]:
        """The calls that would become neurons."""
        return tuple(call for call in self.calls if call.becomes.endswith("a neuron"))

    @property
    def is_convertible(self) -> bool:
        """Whether convert would convert the network, given data that suits it."""
        return not self.refused and bool(self.neurons)

    def __str__(self) -> str:
        header = ("site", "operation", "rule", "becomes", "at", "rewrite")
        rows = [(c.name, c.operation, c.rule, c.becomes, c.location, c.rewrite or "-") for c in self.calls]
        widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
        title, *lines = (
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in [header, *rows]
        )
        return "\n".join([title, "-" * len(title), *lines, self._verdict()])

    def _verdict(self) -> str:
        if self.refused:
            return f"{len(self.refused)} of {len(self.calls)} calls would be refused."
        if not self.neurons:
            return "No call would become a neuron; there is nothing to convert."
        return f"All {len(self.calls)} calls have a rule; {len(self.neurons)} would become neurons."


def explain(
    model: nn.Module, *, max_pool: str = "exact", unsupported: str = "error", rules: Sequence[Rule] = ()
) -> Explanation:
    """Say what :func:`convert` would do with every call of ``model``, and what to do about refusals. Needs no data.

    Args:
        model: the network, in eval mode; it is not touched.
        max_pool: as for convert.
        unsupported: as for convert.
        rules: rules of your own; they come first.

    Raises:
        ConversionError: a network that cannot be traced, is compiled, spiking or in training mode.

    >>> print(explain(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Softmin(1)).eval()).refused[0].rewrite)
    softmax of the negative is the same
    """
    recipe = Recipe(max_pool=max_pool, unsupported=unsupported)
    every_rule = (*checked(rules, owner="explain"), *RULES)
    check_model(model, owner="explain")
    traced = prepare(copied(model), every_rule, recipe)
    return Explanation(tuple(_explained(*found) for found in candidates(traced, every_rule, recipe)))


def _explained(entry: Entry | None, site: Site, reason: str) -> CallExplained:
    if entry is None:
        becomes, rule, rewrite = "refused", "none", _rewrite(site.operation, reason)
    else:
        before = f"{site.operation} itself, then " if entry.way == "neuron" and entry.activation.analog else ""
        way = _WAYS[entry.way]
        for module in stand_ins({site.node: entry}).values():
            way = f"{type(module).__name__} in its place, {way.removeprefix('as it is, ')}"
        becomes, rule, rewrite = before + way, entry.rule.name, ""
    return CallExplained(site.name, site.operation, rule, becomes, rewrite, site.location)


def _rewrite(operation: str, reason: str) -> str:
    if reason != "no rule":
        return f"it {reason}"
    name = operation.removeprefix(".")
    known = next((advice for names, advice in _REWRITES.items() if name in names), None)
    return known or "write a Rule for it (docs/add-a-rule.md), or pass unsupported='differential'"
