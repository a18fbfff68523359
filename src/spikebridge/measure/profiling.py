"""Where the time and the memory of a training step go, layer by layer, beside what the machine could do."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import FlopCounterMode

from ..core.neuron import Neuron
from .limits import Limits, measure_limits, seconds
from .profile import LayerProfile, Profile
from .saved import saved_peak


def profile_step(
    network: nn.Module,
    values: Tensor,
    *,
    repeats: int = 5,
    autocast: torch.dtype | None = None,
    compiled: bool = False,
    progress: Callable[[float], None] = lambda _: None,
) -> Profile:
    """Time a training step and, one by one, the layers in it, uncompiled.

    One forward shows what arrives at every layer. Then each layer gets that again, by itself: times are not smeared
    over queues or neighbours, and what the network computes between its layers shows as the difference to the whole.
    A compiled network has no such layers, since the compiler merges them; of it there is the whole.

    Args:
        network: anything; it is copied, and the copy is in training mode.
        values: one batch, on the network's device.
        repeats: of every timing, whose median counts (>= 1).
        autocast: the narrow type of mixed precision; None for none.
        compiled: also compile the whole and time it.
        progress: is called with the share that is done.

    Raises:  ValueError: no repeat, or a network without a layer.

    >>> found = profile_step(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), torch.ones(5, 3), repeats=1)
    >>> [(layer.layer, layer.kind, layer.flops) for layer in found.layers]
    [('0', 'Linear', 240), ('1', 'ReLU', 0)]
    """
    if repeats < 1:
        raise ValueError(f"profile_step expects repeats >= 1; got {repeats}.")
    network = copy.deepcopy(network).train()
    for module in network.modules():
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010   a leaf, which a layer by itself gets, cannot be overwritten
    mixed = torch.autocast(values.device.type, dtype=autocast, enabled=autocast is not None)
    narrow = autocast or (values.dtype if values.is_floating_point() else torch.float32)
    limits = measure_limits(values.device, dtype=narrow)
    with mixed, torch.enable_grad():
        calls = _calls(network, values)
        if not calls:
            raise ValueError(f"profile_step expects a network with layers; {type(network).__name__} calls none.")
        whole = _Timed.of(lambda: network(values), list(network.parameters()), values.device, repeats)
        with saved_peak(network) as saved:
            network(values)
        layers = []
        for done, (name, module) in enumerate((name, m) for name, m in network.named_modules() if m in calls):
            layers.append(_layer(name, module, calls[module], limits, values.device, repeats))
            progress((done + 1) / len(calls))
        order = list(calls)
        layers.sort(key=lambda layer: order.index(network.get_submodule(layer.layer)))
        compiled_s, compile_s = _compiled(network, values, repeats) if compiled else (None, None)
    return Profile(
        layers=tuple(layers),
        forward_s=whole.forward_s,
        backward_s=whole.backward_s,
        saved_bytes=saved.peak,
        limits=limits,
        compiled_s=compiled_s,
        compile_s=compile_s,
    )


class _Call(NamedTuple):
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def again(self) -> _Call:
        """The same inputs as leaves of a graph of their own, with gradients where there were any."""
        return _Call(*tree_map(_leaf, tuple(self)))


class _Timed(NamedTuple):
    forward_s: float
    backward_s: float

    @classmethod
    def of(cls, forward: Callable[[], Any], wanted: Sequence[Tensor], device: torch.device, repeats: int) -> _Timed:
        """Medians, after one run to warm up."""
        times = [cls._once(forward, wanted, device) for _ in range(repeats + 1)][1:]
        return cls(*(statistics.median(each) for each in zip(*times, strict=True)))

    @staticmethod
    def _once(forward: Callable[[], Any], wanted: Sequence[Tensor], device: torch.device) -> tuple[float, float]:
        results: list[Any] = []
        taken = seconds(lambda: results.append(forward()), device)
        ends = [leaf for leaf in tree_leaves(results) if isinstance(leaf, Tensor) and leaf.requires_grad]
        starts = [each for each in wanted if each.requires_grad]
        if not ends or not starts:
            return taken, 0.0
        grads = [torch.ones_like(end) for end in ends]
        return taken, seconds(lambda: torch.autograd.grad(ends, starts, grads, allow_unused=True), device)


def _calls(network: nn.Module, values: Tensor) -> dict[nn.Module, list[_Call]]:
    """What arrives at every layer in one forward, in the order of first calls."""
    found: dict[nn.Module, list[_Call]] = {}

    def arrives(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        found.setdefault(module, []).append(_Call(*tree_map(_detached, (args, kwargs))))

    with _hooked([each for each in network.modules() if not any(each.children())], arrives):
        network(values)
    return found


@contextmanager
def _hooked(modules: list[nn.Module], hook: Callable[..., None]) -> Iterator[None]:
    handles = [module.register_forward_pre_hook(hook, with_kwargs=True) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _layer(
    name: str, module: nn.Module, calls: list[_Call], limits: Limits, device: torch.device, repeats: int
) -> LayerProfile:
    own = list(module.parameters())
    forward_s = backward_s = limit_s = 0.0
    saved_bytes = flops = moved = 0
    for call in calls:
        again = call.again()
        inputs = [leaf for leaf in tree_leaves(tuple(again)) if isinstance(leaf, Tensor)]

        def forward(call: _Call = again) -> Any:
            return module(*call.args, **call.kwargs)

        timed = _Timed.of(forward, [*own, *inputs], device, repeats)
        with saved_peak(module) as saved:
            outputs = [leaf for leaf in tree_leaves(forward()) if isinstance(leaf, Tensor)]
        flops_now = _flops(forward)
        touched = _touched(inputs, outputs, own)
        forward_s, backward_s = forward_s + timed.forward_s, backward_s + timed.backward_s
        saved_bytes, flops = saved_bytes + saved.peak, flops + flops_now
        moved, limit_s = moved + touched, limit_s + limits.seconds(flops=flops_now, moved=touched)
    return LayerProfile(
        layer=name,
        kind=type(module).__name__,
        is_neuron=isinstance(module, Neuron),
        calls=len(calls),
        forward_s=forward_s,
        backward_s=backward_s,
        saved_bytes=saved_bytes,
        flops=flops,
        moved_bytes=moved,
        limit_s=limit_s,
    )


def _flops(forward: Callable[[], Any]) -> int:
    """Of products, forward and backward."""
    with FlopCounterMode(display=False) as counted:
        ends = [leaf for leaf in tree_leaves(forward()) if isinstance(leaf, Tensor) and leaf.requires_grad]
        torch.autograd.backward(ends, [torch.ones_like(end) for end in ends])
    return int(counted.get_total_flops())


def _touched(inputs: list[Tensor], outputs: list[Tensor], own: list[nn.Parameter]) -> int:
    """Bytes of a forward, each tensor once, and of a backward where there is one: gradients in and out, and inputs."""
    read, written, weights = (sum(each.nbytes for each in some) for some in (inputs, outputs, own))
    if not any(output.requires_grad for output in outputs):
        return read + written + weights
    moving = sum(each.nbytes for each in inputs if each.requires_grad)
    return (read + written + weights) + (written + read + weights) + (moving + weights)


def _compiled(network: nn.Module, values: Tensor, repeats: int) -> tuple[float, float]:
    """Seconds of a step, and of the first one, which compiles."""
    parameters = list(network.parameters())
    whole = torch.compile(network)
    first = seconds(lambda: _Timed._once(lambda: whole(values), parameters, values.device), values.device)
    timed = _Timed.of(lambda: whole(values), parameters, values.device, repeats)
    return timed.forward_s + timed.backward_s, first


def _detached(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.detach().clone().requires_grad_(value.requires_grad)


def _leaf(value: Any) -> Any:
    return value.detach().requires_grad_(value.requires_grad) if isinstance(value, Tensor) else value
