"""The operations of one product: matrices, or a convolution, of a layer's weights or of two activations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from .marks import Call, Clock, Mark, first_of_each

MATRIX_PRODUCTS = {
    **dict.fromkeys(("mm", "bmm", "mv", "dot", "vdot"), (0, 1)),
    **dict.fromkeys(("addmm", "baddbmm", "addbmm", "addmv", "_addmm_activation"), (1, 2)),
}
"""Which arguments are multiplied; the others are added, which is not counted."""

PRODUCTS = {**MATRIX_PRODUCTS, "convolution": (0, 1)}


@dataclass(frozen=True)
class Product:
    """What one product costs, over the whole batch; the three tensors hold one number per step of the clock.

    Attributes:
        kind: see :class:`LayerOperations`.
        operations: one per spike and connection, or one per connection.
        effective: without those whose input or weight is zero.
        dense: one per connection, at the steps that occur.
        clock: None where the product is of no step in particular.
        is_layer: one operand is a constant: these are a layer's weights.
        weights: numbers stored; 0 for a product of two activations.
        bias: numbers stored that the same call adds.
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
        added = {name: getattr(self, name) + getattr(other, name) for name in ("operations", "effective", "dense")}
        return replace(self, **added)


@dataclass(frozen=True)
class _Operand:
    tensor: Tensor
    mark: Mark

    def dense(self) -> Tensor:
        """1 for every number, 0 for padding."""
        if self.mark.present is not None:
            return self.mark.present
        return torch.ones((), dtype=torch.float64, device=self.tensor.device).expand(self.tensor.shape)

    def arriving(self) -> Tensor:
        """The spikes, or 1 for every analog number."""
        return self.dense() if self.mark.spikes is None else self.mark.spikes.abs()

    def effective(self, arriving: Tensor) -> Tensor:
        """What arrives, without the analog numbers that are zero."""
        if self.mark.spikes is not None:
            return arriving
        nonzero = self.tensor != 0
        return arriving if bool(nonzero.all()) else nonzero * arriving

    def as_matrix(self, *, is_row: bool) -> _Operand:
        """A vector as the matrix it stands for."""
        if self.tensor.ndim != 1:
            return self
        axis, mark = 0 if is_row else 1, self.mark

        def shaped(companion: Tensor | None) -> Tensor | None:
            return None if companion is None else companion.unsqueeze(axis)

        parts = shaped(mark.spikes), shaped(mark.present), shaped(mark.steps)
        shaped_mark = replace(mark, spikes=parts[0], present=parts[1], steps=parts[2])
        return _Operand(self.tensor.unsqueeze(axis), shaped_mark)


def count_product(call: Call) -> Product | None:
    """Count the operations of a product; None where both operands are constant: it is the same for every input."""
    places = PRODUCTS[call.name]
    first, second = (_Operand(call.args[place], call.mark(call.args[place])) for place in places)
    if first.mark.is_constant and second.mark.is_constant:
        return None
    timed = first
    if call.name in MATRIX_PRODUCTS:
        first, second = first.as_matrix(is_row=True), second.as_matrix(is_row=False)
        timed = _timed(first, second)
    is_spiking = first.mark.spikes is not None or second.mark.spikes is not None

    def tally(left: Tensor, right: Tensor) -> Tensor:
        if call.name == "convolution":
            return _per_step(left, _fan_out(call, right), first.mark)
        if timed is second:
            return _per_step(right, left.sum(-2, dtype=torch.float64).unsqueeze(-1), second.mark)
        return _per_step(left, right.sum(-1, dtype=torch.float64).unsqueeze(-2), first.mark)

    dense = first.dense(), second.dense()
    arriving = (first.arriving(), second.arriving()) if is_spiking else dense
    effective = first.effective(arriving[0]), second.effective(arriving[1])
    operations = tally(*arriving)
    is_exact = effective[0] is arriving[0] and effective[1] is arriving[1]
    constant = next((mark for mark in (first.mark, second.mark) if mark.is_constant), None)
    added = call.args[0] if places[0] == 1 else call.argument("bias")
    bias = call.mark(added) if isinstance(added, Tensor) else None
    return Product(
        kind="AC" if is_spiking else "MAC",
        operations=operations,
        effective=operations if is_exact else tally(*effective),
        dense=tally(*dense) if is_spiking else operations,
        clock=timed.mark.clock,
        is_layer=constant is not None,
        weights=constant.stored if constant else 0,
        bias=bias.stored if constant and bias and bias.is_constant else 0,
    )


def product_mark(call: Call, result: Tensor) -> Mark:
    """What is known of a product: analog, of the step of the row, sample or column that it was computed from."""
    first, second = (call.args[place] for place in PRODUCTS[call.name])
    for operand, axis in ((first, -1), (second, -2)):
        mark = call.mark(operand)
        if mark.steps is None or operand.ndim < 2:
            continue
        if call.name == "convolution":
            lead = first_of_each(mark.steps)
        else:
            lead = mark.steps.narrow(axis, 0, 1)
        if lead.ndim == result.ndim:
            return Mark(steps=lead.expand(result.shape), clock=mark.clock)
    return Mark()


def _timed(first: _Operand, second: _Operand) -> _Operand:
    """The operand whose steps the operations are split by."""
    candidates = [operand for operand in (first, second) if operand.mark.steps is not None]
    return min(candidates, key=lambda operand: bool(operand.mark.clock and operand.mark.clock.is_input), default=first)


def _per_step(units: Tensor, fan_out: Tensor, mark: Mark) -> Tensor:
    """The sum of units times fan-out at every step: whole numbers, added up exactly."""
    fan_out = fan_out.expand(units.shape)
    steps = mark.steps if mark.steps is not None else units.new_zeros(()).expand(units.shape)
    for axis in range(units.ndim):
        if steps.stride(axis) == 0 and 0 in (units.stride(axis), fan_out.stride(axis)):
            units, fan_out = _contract(units, fan_out, axis)
            steps = steps.narrow(axis, 0, 1)
    total = units * fan_out
    for axis in range(steps.ndim):
        if steps.stride(axis) == 0:
            total, steps = total.sum(axis, keepdim=True), steps.narrow(axis, 0, 1)
    per_step = total.new_zeros(1 if mark.clock is None else mark.clock.length)
    return per_step.index_add_(0, steps.flatten().long(), total.flatten()).cpu()


def _contract(units: Tensor, fan_out: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Two tensors whose product has the same sum along an axis, along which one of them is constant."""
    if units.stride(axis) == 0:
        return units.narrow(axis, 0, 1), fan_out.sum(axis, keepdim=True, dtype=torch.float64)
    return units.sum(axis, keepdim=True, dtype=torch.float64), fan_out.narrow(axis, 0, 1)


def _fan_out(call: Call, weight: Tensor) -> Tensor:
    """For every entry of one sample, the sum of the weights that it meets: what a convolution does, backwards."""
    values, groups, transposed = call.args[0], call.argument("groups"), call.argument("transposed")
    channels = values.shape[1]
    if not any(weight.stride()):
        # All weights are one: every channel is like the first.
        outputs = weight.shape[1] if transposed else weight.shape[0] // groups
        weight, channels, groups = torch.full_like(weight[:1, :1], outputs), 1, 1
    elif transposed:
        weight = weight.sum(1, keepdim=True)
    else:
        weight = weight.reshape(groups, -1, *weight.shape[1:]).sum(1)
    weight = weight.to(torch.float64)
    sample = weight.new_empty(()).expand(1, channels, *values.shape[2:])
    geometry: list[Any] = [call.argument(name) for name in ("stride", "padding", "dilation")]
    settings = (*geometry, transposed, call.argument("output_padding"), groups)
    reached = torch.ones_like(torch.ops.aten.convolution(sample, weight, None, *settings))
    fan_out, _, _ = torch.ops.aten.convolution_backward(reached, sample, weight, None, *settings, [True, False, False])
    # Whole numbers, whatever algorithm a device chooses.
    whole: Tensor = fan_out.round()
    return whole.expand(1, values.shape[1], *values.shape[2:])
