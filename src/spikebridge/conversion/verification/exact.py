"""Arithmetic in which the order of a sum does not matter."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

BITS = 52
"""A sum of whole numbers below 2 ** 53 is exact in float64, whatever its order; one bit is kept in hand."""

aten = torch.ops.aten


class ExactSums(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, every sum of products in float64 is exact, and its result the same in any order.

    The factors of a product of matrices, or of a convolution, are first rounded to as many bits as leave room for the
    sum: n products of factors of b bits need 2 b + log2(n). The bits are counted from the largest factor of the
    sum's own sample (or row) and output channel (or column), so what else is in the batch does not matter either. For
    n = 4096 that is 20 bits, for 27 it is 23. A bias is added after the sum. Batch norm is one subtraction, one
    product and one sum per element, means and average pools are an exact sum, divided. A single sum, product,
    quotient or root is rounded as IEEE 754 prescribes, everywhere alike. Casts to fewer bits are ignored.

    Other functions (exponentials, interpolation, attention, ...) run as they are: their last bits may depend on where
    in a tensor an element lies, not on anything else here.

    >>> values, weights = torch.randn(2, 3000, dtype=torch.float64), torch.randn(3000, 4, dtype=torch.float64)
    >>> with ExactSums():
    ...     torch.equal(values @ weights, values.flip(1) @ weights.flip(0))
    True
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func.overloadpacket
        self.seen.add(packet.__name__)
        operation = _OPERATIONS.get(packet)
        if operation is None:
            return func(*args, **(kwargs or {}))
        return operation(func, *args, **(kwargs or {}))


def cut(values: Tensor, *, bits: int, dims: tuple[int, ...]) -> Tensor:
    """Round to multiples of 2 ** -bits of the power of two above the largest magnitude along ``dims``.

    >>> cut(torch.tensor([[1.75, 0.3], [0.1, 0.3]]), bits=2, dims=(1,)).tolist()
    [[2.0, 0.5], [0.125, 0.25]]
    """
    largest = torch.maximum(values.amax(dims, keepdim=True), -values.amin(dims, keepdim=True))
    grid = torch.ldexp(torch.ones_like(largest), torch.frexp(largest).exponent - bits)
    return (values / grid).round_().mul_(grid)


def _log2(terms: int) -> int:
    return max(terms - 1, 0).bit_length()


def _unit(values: Tensor) -> tuple[int, ...]:
    return tuple(range(1, values.ndim))


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Left @ right, of two matrices or two batches of them."""
    bits = (BITS - _log2(left.shape[-1])) // 2
    left, right = left.double(), right.double()
    return cut(left, bits=bits, dims=(-1,)) @ cut(right, bits=bits, dims=(-2,))


def _matmul(func: Any, left: Tensor, right: Tensor) -> Tensor:
    return _product(left, right)


def _matmul_add(func: Any, bias: Tensor, left: Tensor, right: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    product = _product(left, right) if alpha == 1 else alpha * _product(left, right)
    return product + (bias if beta == 1 else beta * bias)


def _convolution(func: Any, values: Tensor, weight: Tensor, bias: Tensor | None, *settings: Any) -> Tensor:
    transposed, groups = settings[3], settings[5]
    terms = weight[0].numel() if not transposed else weight.shape[0] // groups * math.prod(weight.shape[2:])
    bits = (BITS - _log2(terms)) // 2
    values, weight = values.double(), weight.double()
    per_output = tuple(range(weight.ndim)) if transposed else _unit(weight)
    exact: Tensor = func(
        cut(values, bits=bits, dims=_unit(values)), cut(weight, bits=bits, dims=per_output), None, *settings
    )
    return exact if bias is None else exact + bias.reshape(-1, *[1] * (exact.ndim - 2))


def _batch_norm(
    func: Any, values: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor, *rest: Any
) -> tuple[Tensor, Tensor, Tensor]:
    if rest[0] is True:
        raise ValueError("verify expects networks in eval mode; a batch norm uses the statistics of its batch.")
    deviation = (variance + rest[-1]).sqrt()
    scale = deviation.reciprocal() if weight is None else weight / deviation
    along = (-1, *[1] * (values.ndim - 2))
    result = (values - mean.reshape(along)) * scale.reshape(along)
    result = result if bias is None else result + bias.reshape(along)
    return result, values.new_empty(0), values.new_empty(0)


def _sum(func: Any, values: Tensor, dims: Any = None, *args: Any, **kwargs: Any) -> Tensor:
    axes = [dim % values.ndim for dim in ([dims] if isinstance(dims, int) else dims or range(values.ndim))]
    within = tuple(range(values.ndim)) if 0 in axes else _unit(values)
    exact = _wide(values, math.prod(values.shape[axis] for axis in axes), within)
    result: Tensor = func(exact, *([] if dims is None else [dims]), *args, **kwargs)
    return result


def _average(func: Any, values: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    result: Tensor = func(_wide(values, values[0].numel(), _unit(values)), *args, **kwargs)
    return result


def _wide(values: Tensor, terms: int, dims: tuple[int, ...]) -> Tensor:
    """Rounded to as many bits as leave room for a sum of so many terms."""
    if not values.is_floating_point() or not values.numel():
        return values
    return cut(values.double(), bits=BITS - _log2(terms), dims=dims)


def _cast(func: Any, values: Tensor, **kwargs: Any) -> Tensor:
    dtype = kwargs.get("dtype")
    result: Tensor = func(values, **{**kwargs, "dtype": torch.float64} if dtype and dtype.is_floating_point else kwargs)
    return result


_OPERATIONS: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys((aten.mm, aten.bmm), _matmul),
    **dict.fromkeys((aten.addmm, aten.baddbmm), _matmul_add),
    **dict.fromkeys((aten.native_batch_norm, aten._native_batch_norm_legit_no_training), _batch_norm),
    **dict.fromkeys((aten.sum, aten.mean), _sum),
    **dict.fromkeys((aten.avg_pool1d, aten.avg_pool2d, aten.avg_pool3d), _average),
    **dict.fromkeys((aten._adaptive_avg_pool2d, aten._adaptive_avg_pool3d), _average),
    aten.convolution: _convolution,
    aten._to_copy: _cast,
}
