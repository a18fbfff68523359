"""The operations of one product: matrices, or a convolution, of a layer's weights or of two activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from .marks import Call, Clock, Mark, first_of_each

MATRIX_PRODUCTS = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "vdot"), (0, 1)),
    **dict.fromkeys(("addmm", "baddbmm", "addbmm", "addmv", "_addmm_activation"), (1, 2)),
}
"""Which arguments are multiplied; the others are added, which is not counted."""

PRODUCTS = {**MATRIX_PRODUCTS, "convolution": (0, 1)}


@dataclass(frozen=True)
class Product:
    """The operations of one product, over all samples of the batch.

    Attributes:
        kind: "AC" where spikes arrive, "MAC" where numbers do.
        operations: at each step.
        effective: those whose operands are not zero, at each step.
        dense: those that there were if everything that arrives were one spike, at each step.
        clock: what the steps belong to; None where the product has none.
        is_layer: one operand is constant: the weights of a layer.
        weights, bias: stored numbers.
    """

    kind: Literal["AC", "MAC"]
    operations: Tensor
    effective: Tensor
    dense: Tensor
    clock: Clock | None
    is_layer: bool
    weights: int
    bias: int

    def plus(self, other: Product) -> Product:
        """The same layer with the operations of further steps."""
        return replace(
            self,
            operations=_sum(self.operations, other.operations),
            effective=_sum(self.effective, other.effective),
            dense=_sum(self.dense, other.dense),
        )

    def overlaps(self, other: Product) -> bool:
        """Whether both have operations in one step."""
        shared = min(len(self.dense), len(other.dense))
        return bool(((self.dense[:shared] > 0) & (other.dense[:shared] > 0)).any())

    def at(self, step: int, clock: Clock) -> Product:
        """All of it as one step of a clock."""
        return replace(
            self,
            operations=_all_at(step, self.operations),
            effective=_all_at(step, self.effective),
            dense=_all_at(step, self.dense),
            clock=clock,
        )


def count_product(call: Call, mark: Mark) -> Product | None:
    """Count the operations of a product; None where both operands are constant: it is the same for every input.

    The product itself counts: applied to what arrives in place of the numbers, every entry of its result is the number
    of operations that entry took.

    Args:
        call: the product.
        mark: what is known of its result.
    """
    places = PRODUCTS[call.name]
    tensors = [call.args[place] for place in places]
    marks = [call.mark(tensor) for tensor in tensors]
    if all(known.is_constant for known in marks):
        return None
    dense = [_dense(tensor, known) for tensor, known in zip(tensors, marks, strict=True)]
    arriving = [_spikes(known, ones) for known, ones in zip(marks, dense, strict=True)]
    is_spiking = any(known.spikes is not None for known in marks)
    operations = _counted(call, arriving, mark)
    effective = [
        there if known.spikes is not None else there * (tensor != 0)
        for tensor, known, there in zip(tensors, marks, arriving, strict=True)
    ]
    is_full = all(torch.equal(some, every) for some, every in zip(effective, arriving, strict=True))
    constant = next((known for known in marks if known.is_constant), None)
    return Product(
        kind="AC" if is_spiking else "MAC",
        operations=operations,
        effective=operations if is_full else _counted(call, effective, mark),
        dense=_counted(call, dense, mark) if is_spiking else operations,
        clock=mark.clock,
        is_layer=constant is not None,
        weights=constant.stored if constant else 0,
        bias=_bias(call, added_first=places[0] == 1) if constant else 0,
    )


def count_products(call: Call, mark: Mark) -> list[Product]:
    """The same, apart for numbers and for spikes where both arrive in one tensor, as from a ``Hybrid`` code."""
    found: dict[str, Product] = {}
    for part in _parted(call):
        product = count_product(part, mark)
        if product is not None:
            found[product.kind] = found[product.kind].plus(product) if product.kind in found else product
    return list(found.values())


def _parted(call: Call) -> list[Call]:
    """The call as it is for numbers alone and for spikes alone, each with nothing in the other's places."""
    for place in PRODUCTS[call.name]:
        tensor = call.args[place]
        mark = call.mark(tensor)
        analog = None if mark.spikes is None else mark.spikes.isnan()
        if mark.spikes is None or analog is None or not bool(analog.any()):
            continue
        there = _dense(tensor, mark)
        parts = [replace(mark, spikes=None, present=there * analog)]
        if not bool(analog.all()):
            parts.append(replace(mark, spikes=mark.spikes.nan_to_num(0.0), present=there * ~analog))
        calls = [replace(call, marks={**call.marks, id(tensor): part}) for part in parts]
        return [each for part in calls for each in _parted(part)]
    return [call]


def _bias(call: Call, *, added_first: bool) -> int:
    added = call.args[0] if added_first else call.argument("bias")
    mark = call.mark(added) if isinstance(added, Tensor) else Mark()
    return mark.stored if mark.is_constant else 0


def _sum(counts: Tensor, others: Tensor) -> Tensor:
    length = max(len(counts), len(others))
    return _lengthened(counts, length) + _lengthened(others, length)


def _all_at(step: int, counts: Tensor) -> Tensor:
    return _lengthened(counts.sum().reshape(1), step + 1).roll(step)


def _lengthened(counts: Tensor, length: int) -> Tensor:
    return F.pad(counts, (0, length - len(counts)))


def _dense(tensor: Tensor, mark: Mark) -> Tensor:
    """1 for every number, 0 for padding."""
    return torch.ones_like(tensor, dtype=torch.float32) if mark.present is None else mark.present


def _spikes(mark: Mark, dense: Tensor) -> Tensor:
    """The spikes, or 1 for every analog number."""
    return dense if mark.spikes is None else mark.spikes.abs()


def _counted(call: Call, units: Sequence[Tensor], mark: Mark) -> Tensor:
    """The product of what arrives, added up by step; whole numbers below 2^24 are exact in float32."""
    left, right = (unit.float() for unit in units)
    if call.name in MATRIX_PRODUCTS:
        counts = left @ right
    else:
        counts = torch.ops.aten.convolution(left, right, None, *call.args[3:]).round()
    counts = counts.cpu().double()
    if mark.steps is None:
        return counts.sum().reshape(1)
    steps = mark.steps.cpu().expand(counts.shape).flatten().long()
    length = (mark.clock.length if mark.clock else 0) or int(steps.max()) + 1
    return counts.new_zeros(length).index_add_(0, steps, counts.flatten())


def product_mark(call: Call, result: Tensor) -> Mark:
    """What is known of a product: analog, of the step of the row, sample or column that it was computed from.

    A product that adds up several steps, as decoding a train does, is of none.
    """
    first, second = (call.args[place] for place in PRODUCTS[call.name])
    found = []
    for operand, axis in ((first, -1), (second, -2)):
        mark = call.mark(operand)
        if mark.steps is None or operand.ndim < 2:
            continue
        lead = first_of_each(mark.steps) if call.name == "convolution" else mark.steps.narrow(axis, 0, 1)
        if call.name != "convolution" and not torch.equal(lead.expand(mark.steps.shape), mark.steps):
            return Mark()
        if lead.ndim == result.ndim:
            found.append(Mark(steps=lead.expand(result.shape), clock=mark.clock))
    return min(found, key=lambda mark: bool(mark.clock and mark.clock.is_input), default=Mark())
