"""Sums and products: linear while at most one factor depends on the input."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, nn

from ..nodes import host_nodes
from ..rule import Rule, Site
from .refusals import over_batch


def _values() -> Tensor:
    return torch.linspace(-1, 1, 24).reshape(4, 6)


class _Of(nn.Module):
    """A function of the input, and of what a linear layer makes of it."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.f, self.function = nn.Linear(6, 6), function

    def forward(self, values: Tensor) -> Tensor:
        result: Tensor = self.function(values, self.f(values))
        return result


def _counts_samples(site: Site) -> str | None:
    """A size of the batch is another number once time is folded into it."""
    if host_nodes(site.node.graph) & set(site.node.all_input_nodes):
        return "adds a size to a tensor; the size of the batch is another one once time is folded into it"
    return None


def _one_factor(site: Site) -> bool:
    return len(site.data) <= 1


def _constant_divisor(site: Site) -> bool:
    divisor = site.argument(1, "other")
    return divisor not in site.data


def _quotient_is_rounded(site: Site) -> str | None:
    return "rounds its quotient" if site.argument(2, "rounding_mode") else None


ADD = Rule(
    name="add, subtract",
    matches=(
        *(operator.add, operator.iadd, torch.add, "add", "add_"),
        *(operator.sub, operator.isub, torch.sub, torch.rsub, "sub", "sub_"),
    ),
    refuse=_counts_samples,
    example=lambda: (_Of(lambda x, f: x + f), _values()),
)

NEGATIVE = Rule(
    name="negative",
    matches=(operator.neg, torch.neg, torch.negative, "neg"),
    example=lambda: (_Of(lambda x, f: -f), _values()),
)

MULTIPLY = Rule(
    name="multiply",
    matches=(operator.mul, operator.imul, torch.mul, "mul", "mul_"),
    linear=_one_factor,
    example=lambda: (_Of(lambda x, f: x * f), _values()),
)


DIVIDE = Rule(
    name="divide",
    matches=(operator.truediv, operator.itruediv, torch.div, torch.divide, "div", "div_"),
    linear=_constant_divisor,
    refuse=_quotient_is_rounded,
    example=lambda: (_Of(lambda x, f: f / (2.0 + x * x)), _values()),
)

MATMUL = Rule(
    name="matrix product",
    matches=(operator.matmul, torch.matmul, torch.bmm, torch.mm, torch.einsum, "matmul", "bmm", "mm"),
    linear=_one_factor,
    example=lambda: (_Of(lambda x, f: torch.einsum("bi,bj->bij", x, f).flatten(1)), _values()),
)


SUM = Rule(
    name="sum",
    matches=(torch.sum, "sum"),
    refuse=over_batch("adds"),
    example=lambda: (_Of(lambda x, f: torch.sum(f, 1, keepdim=True)), _values()),
)

ELEMENTWISE = Rule(
    name="powers, roots and exponentials",
    matches=(
        *(operator.pow, torch.pow, torch.square, torch.sqrt, torch.rsqrt, torch.exp, torch.log, torch.abs),
        *(torch.reciprocal, torch.sigmoid, torch.maximum, torch.minimum, torch.erf, torch.sin, torch.cos),
        *("pow", "square", "sqrt", "rsqrt", "exp", "log", "abs", "reciprocal", "sigmoid", "erf", "maximum", "minimum"),
    ),
    linear=lambda site: False,
    note=lambda site: "on running means, with real numbers" if site.timed else "",
    example=lambda: (_Of(lambda x, f: f**2), _values()),
)
