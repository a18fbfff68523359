"""The network and its conversion, run side by side on intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.node import map_aggregate

from ...core.shapes import along_channels
from ..plan import Entry, Plan
from ..rule import Rule, Site
from ..rules import arithmetic, linear, pooling, structure
from .absolute import absolute, terms_of
from .intervals import ERROR, REACH, ROWS, VALUE, Bounds, Interval, affine, by_row, maximum
from .sender import Sender, clip_of, is_quantiser
from .staircase import Staircase, neuron_bounds

Select = Callable[[Bounds], Tensor]


@dataclass(frozen=True)
class Reached:
    """What is known at one neuron, or at the output.

    Attributes:
        bounds: of what it sends.
        ranges: the largest error between any value in range and anything that could be sent.
        local: the error a neuron itself adds; None at the output.
    """

    bounds: Bounds
    ranges: Tensor
    local: Interval | None = None


class Propagation(fx.Interpreter):
    """Runs the source's graph on :class:`Bounds`.

    Tensors are handed to calls in batches of seven: centres or half widths of the five rows, and two more that show
    what a call adds, or how large its sums become.

    Args:
        traced: the source's graph, in double precision.
        plan: the way every call runs in the conversion.
        senders: the conversion's neurons.
        time_steps: T.
        dtype: what both networks compute in.
    """

    def __init__(
        self,
        traced: fx.GraphModule,
        plan: Plan,
        senders: Mapping[fx.Node, Sender],
        *,
        time_steps: int,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(traced)
        self.extra_traceback = False
        self.plan, self.senders, self.time_steps, self.dtype = plan, senders, time_steps, dtype
        self.unit = torch.finfo(dtype).eps
        self.reached: list[Reached] = []

    def propagate(self, low: Tensor, high: Tensor) -> list[Reached]:
        """What is known at every neuron, and last of the output, for inputs between ``low`` and ``high`` [*unit]."""
        output = self.run(Bounds.identical(low[None].double(), high[None].double()))
        self.reached.append(Reached(output, ranges_of(output)))
        return self.reached

    def run_node(self, n: fx.Node) -> Any:
        entry = self.plan.get(n)
        if n.op in ("placeholder", "output"):
            return super().run_node(n)
        if entry is not None and entry.way == "neuron":
            return self._neuron(n, entry)
        parts = self._parts(n)
        if entry is None or not parts:
            result = self._call(n, lambda part: part.centres)
            return result.double() if isinstance(result, Tensor) and result.is_floating_point() else result
        return HANDLERS[entry.rule.name](self, n, entry.site, parts)

    def _parts(self, node: fx.Node) -> list[Bounds]:
        parts: list[Bounds] = []
        map_aggregate(
            self.fetch_args_kwargs_from_env(node), lambda a: parts.append(a) if isinstance(a, Bounds) else None
        )
        return parts

    def _call(self, node: fx.Node, select: Select, constant: Callable[[Any], Any] | None = None) -> Any:
        """The node's call, its bounds and its constants replaced by tensors."""

        def replace(argument: Any) -> Any:
            if isinstance(argument, Bounds):
                return select(argument)
            return argument if constant is None else constant(argument)

        args, kwargs = map_aggregate(self.fetch_args_kwargs_from_env(node), replace)
        return getattr(self, node.op)(node.target, args, kwargs)

    def _affine(
        self, parts: list[Bounds], apply: Callable[[Select], Any], apply_absolute: Callable[[Select], Any], terms: int
    ) -> Any:
        return affine(apply, apply_absolute, parts, terms=terms, unit=self.unit)

    def _sorted(self, node: fx.Node, site: Site, parts: list[Bounds], terms: int = 0) -> Any:
        """A call that adds up its inputs with weights that are not negative, and perhaps puts constants beside them."""
        narrow = site.operation in ("interpolate", "Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d")

        def apply(select: Select) -> Any:
            if not narrow:
                return self._call(node, select)
            # Where a pixel comes from is computed in the network's own precision.
            return self._call(node, lambda part: select(part).to(self.dtype)).double()

        def grown(select: Select) -> Any:
            found, nothing = apply(select), apply(lambda part: torch.zeros_like(select(part)))
            return _minus(found, nothing)

        return self._affine(parts, apply, grown, terms)

    def _structure(self, node: fx.Node, site: Site, parts: list[Bounds]) -> Any:
        if site.operation in (".to", ".float", ".type_as"):
            return parts[0]
        adds = site.operation in ("Fold", "fold")
        return self._sorted(node, site, parts, terms=64 if adds else 0)

    def _interpolate(self, node: fx.Node, site: Site, parts: list[Bounds]) -> Any:
        return self._sorted(node, site, parts, terms=16)

    def _mean(self, node: fx.Node, site: Site, parts: list[Bounds]) -> Any:
        return self._sorted(node, site, parts, terms=_window(site, self.plan[node].rule, parts[0].low[VALUE].shape))

    def _weighted(self, node: fx.Node, site: Site, parts: list[Bounds]) -> Any:
        assert site.module is not None
        grown = absolute(self.module.get_submodule(str(node.target)))
        terms = terms_of(site.module.weight, transposed="Transpose" in site.operation)  # type: ignore[arg-type]
        return self._affine(
            parts, lambda select: self._call(node, select), lambda select: grown(select(parts[0])), terms
        )

    def _products(self, node: fx.Node, site: Site, parts: list[Bounds]) -> Any:
        """A call that is linear in one argument, the others being constants."""
        sizes: list[int] = [1]

        def size(constant: Any) -> Any:
            sizes.append(
                constant.numel() // min(constant.shape) if isinstance(constant, Tensor) and constant.ndim > 1 else 1
            )
            return _absolute(constant)

        def grown(select: Select) -> Any:
            nothing = self._call(node, lambda part: torch.zeros_like(select(part)), _absolute)
            return self._call(node, select, size) - nothing

        widths = grown(lambda part: part.radii)
        return self._affine(parts, lambda select: self._call(node, select), lambda _: widths, max(sizes))

    def _norm(self, node: fx.Node, site: Site, parts: list[Bounds]) -> Any:
        """(x - mean) * scale + b, where the mean may cancel most of x."""
        mean = site.module.running_mean if site.module is not None else self._constant(site.argument(1, "running_mean"))
        assert isinstance(mean, Tensor)

        def grown(select: Select) -> Tensor:
            rows = select(parts[0])
            shift = self._call(node, lambda _: torch.zeros_like(rows))
            scale: Tensor = self._call(node, lambda _: torch.ones_like(rows)) - shift
            rows = by_row(rows, ROWS).clone()
            rows[ERROR + 1 :] += along_channels(mean.double().abs(), rows[ERROR])
            return scale.abs() * rows.flatten(0, 1)

        return self._affine(parts, lambda select: self._call(node, select), grown, 2)

    def _constant(self, argument: Any) -> Any:
        return self.env[argument] if isinstance(argument, fx.Node) else argument

    def _add(self, node: fx.Node, site: Site, parts: list[Bounds]) -> Any:
        """Sums and differences; a tensor that enters twice does so with one coefficient."""
        operands = (site.argument(0, "input"), site.argument(1, "other"))
        factor = float(self._constant(site.argument(2, "alpha", 1.0)))
        name = site.operation.lstrip(".").rstrip("_")
        factors = {"rsub": (-factor, 1.0), "sub": (1.0, -factor), "isub": (1.0, -factor)}.get(name, (1.0, factor))
        shares: dict[fx.Node, float] = {}
        for operand, share in zip(operands, factors, strict=True):
            if isinstance(operand, fx.Node) and isinstance(self.env[operand], Bounds):
                shares[operand] = shares.get(operand, 0.0) + share

        def grown(select: Select) -> Tensor:
            return sum((abs(share) * select(self.env[node]) for node, share in shares.items()), torch.zeros(()))

        return self._affine(parts, lambda select: self._call(node, select), grown, 2)

    def _negative(self, node: fx.Node, site: Site, parts: list[Bounds]) -> Any:
        return self._affine(parts, lambda select: self._call(node, select), lambda select: select(parts[0]), 0)

    def _maximum(self, node: fx.Node, site: Site, parts: list[Bounds]) -> Bounds:
        over_means = self.plan[node].way != "steps"
        unit = 8 * self.time_steps * self.unit
        return maximum(lambda rows: self._call(node, lambda _: rows), parts[0], over_means=over_means, unit=unit)

    def _neuron(self, node: fx.Node, entry: Entry) -> Bounds:
        source, sender = self.env[node.all_input_nodes[0]], self.senders[node]
        like = source.low[VALUE]
        current = source
        if sender.offset is not None:
            offset = along_channels(sender.offset.to(like), like).expand(like.shape)
            current = source.shifted(offset, unit=self.unit)
        stairs = Staircase(
            level=along_channels(sender.level.to(like), like),
            members=sender.members,
            time_steps=self.time_steps,
            signed=sender.signed,
            negative=sender.negative,
            current=current,
            unit=self.unit,
        )
        clip = clip_of(entry.activation, source, unit=self.unit)
        is_identical = current.exact and self.time_steps == 1 and is_quantiser(entry.activation, sender)
        bounds, local = neuron_bounds(stairs, clip, source, is_identical=is_identical)
        ranges = ranges_of(bounds)
        bounds = bounds.settled()
        self.reached.append(Reached(bounds, ranges, local))
        return bounds


def ranges_of(bounds: Bounds) -> Tensor:
    """The largest error, by size, between any value in range and anything that could be sent."""
    (low, high), (least, most) = bounds.row(VALUE), bounds.row(REACH)
    return (most - low).maximum(high - least)


def _window(site: Site, rule: Rule, shape: torch.Size) -> int:
    """How many entries go into one sum or mean at most."""
    if rule is not pooling.AVERAGE_POOL:
        axes = site.argument(1, "dim", site.argument(1, "axis"))
        return math.prod(shape[axis] for axis in ((axes,) if isinstance(axes, int) else axes))
    sizes = getattr(site.module, "kernel_size", site.argument(1, "kernel_size"))
    if sizes is None or "adaptive" in site.operation.lower():
        return math.prod(shape[2:])
    return math.prod(sizes if isinstance(sizes, tuple | list) else [sizes] * (len(shape) - 2))


def _absolute(constant: Any) -> Any:
    return abs(constant) if isinstance(constant, Tensor | float | int) and not isinstance(constant, bool) else constant


def _minus(first: Any, second: Any) -> Any:
    if isinstance(first, Tensor):
        return first - second
    return tuple(a - b for a, b in zip(first, second, strict=True))


Handler = Callable[[Propagation, fx.Node, Site, list[Bounds]], Any]

HANDLERS: Mapping[str, Handler] = {
    linear.LINEAR.name: Propagation._weighted,
    linear.FUNCTIONAL_LINEAR.name: Propagation._products,
    linear.BATCH_NORM.name: Propagation._norm,
    linear.FUNCTIONAL_BATCH_NORM.name: Propagation._norm,
    arithmetic.ADD.name: Propagation._add,
    arithmetic.NEGATIVE.name: Propagation._negative,
    arithmetic.MULTIPLY.name: Propagation._products,
    arithmetic.DIVIDE.name: Propagation._products,
    arithmetic.MATMUL.name: Propagation._products,
    arithmetic.SUM.name: Propagation._mean,
    pooling.AVERAGE_POOL.name: Propagation._mean,
    pooling.MEAN.name: Propagation._mean,
    pooling.MAX_POOL.name: Propagation._maximum,
    pooling.MAXIMUM.name: Propagation._maximum,
    structure.INTERPOLATE.name: Propagation._interpolate,
    **{
        rule.name: Propagation._structure
        for rule in (
            *(structure.FLATTEN, structure.RESHAPE, structure.PERMUTE, structure.ATTRIBUTE, structure.CONCATENATE),
            *(structure.SLICE, structure.PAD, structure.IDENTITY, structure.DROPOUT, structure.DROP_ROWS),
        )
    },
}
"""How bounds pass through a call, by the name of its rule."""
