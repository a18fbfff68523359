"""Watches one forward, operator by operator, and adds up what its products cost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..blocks.differential import Differential, Increments, PrefixMeans
from ..blocks.stem import HybridStem
from ..core.encoder import Encoder
from ..core.neuron import Neuron
from ..core.shapes import Current, Spikes, SpikeTrain, Value
from ..core.time import OverTime, TimeAxis
from .follow import follow
from .layer import LayerOperations
from .marks import Call, Clock, Mark, Marks, is_led, leading_index
from .products import PRODUCTS, Product, count_products, product_mark
from .spikes import code_spikes, spike_counts

LAYERS = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)
"""Modules that are one layer of weights each, and give it their name."""

MULTIPLIES = re.compile(
    r".*(mm|mv|dot|linear|attention|matmul|dist|inverse|solve)|conv(olution)?(\dd)?|lstm|gru|rnn|fft|linalg|matrix|"
    r"cholesky|transformer"
)
"""Words in the names of operators that multiply matrices."""

_HARMLESS = ("linalg_vector_norm", "linalg_cross", "_thnn_fused_lstm_cell", "_thnn_fused_gru_cell")


@dataclass
class _Layer:
    base: str
    name: str
    product: Product
    weights: int
    tick: int
    is_second_stem: bool

    def takes(self, base: str, product: Product) -> bool:
        """Whether a product is this layer at other steps."""
        same = self.base == base and self.product.kind == product.kind and self.product.clock == product.clock
        return same and product.clock is not None and not self.product.overlaps(product)

    def repeats(self, other: _Layer) -> bool:
        """Whether these are the spikes of a layer that gets numbers at other steps."""
        kinds = self.base == other.base and (self.product.kind, other.product.kind) == ("AC", "MAC")
        return kinds and self.product.clock == other.product.clock and not self.product.overlaps(other.product)


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows every tensor through one forward of a network and counts its products.

    Args:
        network: what will run.
        values: its input.
        are_spikes: the values are whole numbers of spikes.
    """

    def __init__(self, network: nn.Module, values: Tensor, *, are_spikes: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.marks = Marks()
        self.modules = [("", network)]
        self.found: list[_Layer] = []
        self.is_quiet = False
        self.padded: Mark | None = None
        self.clock, self.batch, self.takes_trains = Clock(values.shape[0], is_input=True), values.shape[0], False
        self.lengths: set[int] = set()
        self.repeats: set[Clock] = set()  # copies of a value that turned out to be the steps of a train
        self.loop = Clock(0, is_loop=True)  # of neurons stepped by hand, as often as each has been
        self.ticks: dict[Neuron[Any], int] = {}
        for constant in (*network.parameters(), *network.buffers()):
            self.marks.put(constant, Mark(is_constant=True, stored=constant.numel()))
        spikes = values.to(torch.float32) if are_spikes else None
        self.marks.put(values, Mark(spikes=spikes, steps=leading_index(values), clock=self.clock))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.is_quiet:
            return func(*args, **kwargs)
        if torch.is_inference_mode_enabled():  # where PyTorch takes composite operators for one
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        # Read before the call: afterwards, what it writes to has changed.
        call = Call(func, args, kwargs, {id(tensor): self.marks.of(tensor) for tensor in tensors})
        result = func(*args, **kwargs)
        self._observe(call, result)
        return result

    def _observe(self, call: Call, result: Any) -> None:
        if call.name in PRODUCTS:
            if call.name == "convolution" and self.padded is not None:
                call.marks[id(call.args[0])], self.padded = self.padded, None
            mark = product_mark(call, result)
            products = count_products(call, mark)
            for product in products:
                role = "conv" if call.name == "convolution" else "linear" if product.is_layer else "matmul"
                self._add(product, role=role)
            if products:
                self.marks.put_result(result, mark, call)
                return
        elif any(not mark.is_constant for mark in call.marks.values()):
            self._refuse_unknown(call)
        for tensor, mark in follow(call, result):
            self.marks.put_result(tensor, mark, call)

    def _add(self, product: Product, *, role: str) -> None:
        name, module = self.modules[-1]
        now = max(self.ticks.values(), default=0)
        weights = product.weights + product.bias
        if product.is_layer and isinstance(module, LAYERS):
            # The bias may be added by a call of its own.
            weights = product.weights + (0 if module.bias is None else module.bias.numel())
        else:
            name = f"{name}.{role}".lstrip(".")
        for layer in self.found:
            if layer.takes(name, product):
                layer.product, layer.tick = layer.product.plus(product), now
                return
            is_later = layer.base == name and layer.product.kind == product.kind and layer.tick < now
            if is_later and not (self.takes_trains and product.clock == self.clock) and not self._is_timed(product):
                # The neurons have stepped since the layer ran: this is its next step in a loop written by hand.
                first = layer.product if layer.product.clock == self.loop else layer.product.at(layer.tick, self.loop)
                layer.product, layer.tick = first.plus(product.at(now, self.loop)), now
                return
        calls = sum(layer.base == name for layer in self.found)
        own = name if calls == 0 else f"{name}#{calls + 1}"
        self.found.append(_Layer(name, own, product, weights, now, self._is_in_second_stem()))

    def _is_in_second_stem(self) -> bool:
        running = pairwise(module for _, module in self.modules)
        return any(isinstance(stem, HybridStem) and part is stem.rest is not stem.first for stem, part in running)

    def _is_timed(self, product: Product) -> bool:
        return product.clock is not None and not product.clock.is_input

    def _refuse_unknown(self, call: Call) -> None:
        words = call.name.strip("_").split("_")
        if call.function.namespace not in ("aten", "prim", "prims"):
            reason = "nobody can see into a custom operator"
        elif any(MULTIPLIES.fullmatch(word) for word in words) and call.name not in _HARMLESS:
            reason = "it multiplies, and there is no rule for how often"
        else:
            return
        name = f"{self.modules[-1][0]}.{call.name}".lstrip(".")
        raise ValueError(
            f"count_operations cannot count '{name}' ({call.function}): {reason}. Write it with linear layers, "
            f"convolutions, matmul, einsum or scaled_dot_product_attention, or count the rest of the network alone."
        )

    def enter(self, name: str, module: nn.Module, args: tuple[Any, ...]) -> None:
        """A module is about to run."""
        self.modules.append((name, module))
        if isinstance(module, nn.RNNBase):
            raise ValueError(
                f"count_operations cannot count '{name}' ({type(module).__name__}): it loops over time out of sight. "
                f"Loop over its cell ({type(module).__name__}Cell) instead."
            )
        if isinstance(module, LAYERS) and getattr(module, "padding_mode", "zeros") == "circular":
            self.padded = self._padded_around(module, args[0])
        if isinstance(module, TimeAxis) and args and isinstance(args[0], Tensor) and args[0].ndim >= 2:
            with self._quietly():
                self._enter_time(module, args[0])

    def _enter_time(self, module: TimeAxis, train: SpikeTrain) -> None:
        mark = self.marks.of(train)
        if mark.clock == self.clock and mark.steps is not None and is_led(mark.steps):
            # The leading axis of a train is the leading axis of the values: they have been a train all along.
            self.takes_trains, self.batch = True, train.shape[1]
        else:
            if mark.steps is not None and is_led(mark.steps):
                self._found_repeat(mark.clock)
            self._mark_train(train, mark)
        if isinstance(module, OverTime) and train.stride(0) == 0:
            # One value at every step: what follows runs once, of no step in particular.
            self.marks.put(train, replace(self.marks.of(train), steps=None, clock=None))

    def _found_repeat(self, clock: Clock | None) -> None:
        """What repeats a value has been taken for a train: its copies are steps, and so are those of what led here."""
        if clock is not None and clock.is_repeat:
            self.repeats.add(clock)
            self.lengths.add(clock.length)

    def _padded_around(self, module: nn.Module, values: Tensor) -> Mark:
        """The mark of values that a convolution pads with themselves, which PyTorch does write by write."""
        mark, widths = self.marks.of(values), cast(Any, module)._reversed_padding_repeated_twice

        def around(companion: Tensor | None) -> Tensor | None:
            return None if companion is None else F.pad(companion, widths, mode="circular")

        with self._quietly():
            padded = around(mark.spikes), around(mark.present), around(mark.steps)
        return Mark(spikes=padded[0], present=padded[1], steps=padded[2], clock=mark.clock)

    def leave(self, module: nn.Module, args: tuple[Any, ...], result: Any) -> None:
        """A module has run."""
        self.modules.pop()
        if not isinstance(module, TimeAxis) or not isinstance(result, Tensor):
            return
        mark = self.marks.of(result)
        with self._quietly():
            if isinstance(module, Neuron):
                mark = replace(mark, spikes=spike_counts(module, result))
            elif isinstance(module, Differential | PrefixMeans | Increments):
                spikes = self.marks.of(args[0]).spikes
                mark = replace(mark, spikes=None if spikes is None else module.forward(spikes))
            self._mark_train(result, mark)

    def encoded(self, encoder: Encoder, values: Value, train: SpikeTrain) -> None:
        """An encoder has sent a train."""
        with self._quietly():
            self._mark_train(train, Mark(spikes=code_spikes(encoder, train)))

    def stepped(self, neuron: Neuron[Any], current: Current, result: tuple[Spikes, Any]) -> None:
        """A neuron has taken one step; where it runs over a whole train, its output tells."""
        if self.modules[-1][1] is neuron:
            return
        spikes, mark = result[0], self.marks.of(current)
        tick = self.ticks.get(neuron, 0)
        self.ticks[neuron] = tick + 1
        with self._quietly():
            if mark.steps is not None and bool((mark.steps == mark.steps.min()).all()):
                self._found_repeat(mark.clock)
                if mark.clock == self.clock:
                    self.takes_trains, self.batch = True, current.shape[0]
            sent = spike_counts(neuron, spikes[None])[0]
            known = replace(self.marks.of(spikes), spikes=sent)
            if known.clock is None or (known.clock.is_input and not self.takes_trains) or known.clock == self.loop:
                known = replace(known, steps=spikes.new_full((), tick).expand(spikes.shape), clock=self.loop)
            self.marks.put(spikes, known)

    def _mark_train(self, train: SpikeTrain, mark: Mark) -> None:
        """Mark what has a step along its leading axis, whatever else is known of it."""
        if mark.clock is None or (mark.clock.is_input and not self.takes_trains):
            mark = replace(mark, steps=leading_index(train), clock=Clock(train.shape[0]))
            self.lengths.add(train.shape[0])
        self.marks.put(train, replace(mark, is_constant=False))

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Work that is no part of the network."""
        before, self.is_quiet = self.is_quiet, True
        try:
            yield
        finally:
            self.is_quiet = before

    def check_steps(self, time_steps: int, *, owner: str) -> None:
        """Refuse a T that is not the network's."""
        lengths = {self.clock.length} if self.takes_trains else self.lengths | set(self.ticks.values()) or {1}
        if time_steps not in lengths:
            known = " and ".join(str(length) for length in sorted(lengths))
            raise ValueError(
                f"count_operations was told time_steps = {time_steps}, but {owner} ran with T = {known}, which is not "
                f"an argument of its forward. Leave time_steps out, or build the network with another T."
            )

    def layers(self) -> list[LayerOperations]:
        """What was counted, per sample."""
        return [self._per_sample(layer) for layer in self.found]

    def _per_sample(self, layer: _Layer) -> LayerOperations:
        product = layer.product
        counts = torch.stack([product.operations, product.effective, product.dense])
        if not self._has_steps(product.clock):
            counts = counts.sum(1, keepdim=True)
        operations, effective, dense = counts / self.batch
        return LayerOperations(
            layer=layer.name,
            kind=product.kind,
            per_step=tuple(operations.tolist()),
            connections=dense.max().item(),
            weights=layer.weights,
            effective=tuple(effective.tolist()),
            is_in_ann=not layer.is_second_stem and not any(layer.repeats(other) for other in self.found),
        )

    def _has_steps(self, clock: Clock | None) -> bool:
        """Whether a clock counts steps, and not samples, or copies that are no train."""
        if clock is None or (clock.is_input and not self.takes_trains):
            return False
        return not clock.is_repeat or clock in self.repeats
