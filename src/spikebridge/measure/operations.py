"""What one inference costs in operations: counted from the spikes that were sent, not assumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..blocks.spiking import SpikingNetwork
from ..core.encoder import Encoder
from ..core.neuron import Neuron
from .counter import LAYERS, Counter
from .forward import run_once, takes_steps
from .layer import LayerOperations as LayerOperations


def count_operations(
    network: nn.Module, values: Tensor, *, time_steps: int | None = None, values_are_spikes: bool = False
) -> list[LayerOperations]:
    """Count the operations of every layer of weights, and of every product of two activations, during one forward.

    One eager forward in eval mode is watched operator by operator, so it does not matter how the network is written.
    Spikes are followed from the neuron or the code that sent them through pools, sums, reshapes and scalings by
    constants to the layer that receives them: an average pool hands each spike on (it folds into the next layer's
    weights), a sum of two trains hands on both. Where they cannot be followed, numbers are taken for analog. A product
    of two spike trains costs one operation per pair of spikes that meet, of a spike train and analog numbers one per
    spike and number that it meets. Padding connects to nothing and counts nothing. Operations entry by entry are not
    counted: activations, norms, the neurons' own updates. Products of constants are not either: they are the same for
    every input.

    A layer called twice is two entries, "name" and "name#2", unless the calls are of different steps; so is a layer
    that receives numbers at some steps and spikes at others, as behind a ``Hybrid`` code. A product that no layer of
    torch.nn makes is named after the module it is in: "attention.matmul".

    Args:
        network: any network: converted, directly trained, or an ordinary one, which is all MACs.
        values: one batch, [batch, *unit]; a train [time, batch, *unit] for a network that takes trains.
        time_steps: T for a network whose T is a dial; None is its own.
        values_are_spikes: the values are whole numbers of spikes, as events are, and not analog.

    Raises:
        ValueError: an operator that multiplies in a way nobody can see into or has a rule for; a T that the network
            does not have; values that are no spikes but are said to be.
    Source:  the counting rule of NeuroBench's synaptic operations (Yik et al., arXiv 2304.04640).
    Deviates:  products of two activations count, which NeuroBench leaves out; a spike meets a weight of zero at full
        price and a zero input to an analog layer is a MAC, except in ``effective``.

    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 10))
    >>> [(layer.layer, layer.kind, layer.per_step) for layer in count_operations(network, torch.rand(5, 1, 4, 4))]
    [('0', 'MAC', (144.0,)), ('3', 'MAC', (160.0,))]
    """
    if values.numel() == 0:
        raise ValueError(f"count_operations expects at least one sample; got shape {tuple(values.shape)}.")
    if values_are_spikes and bool((values != values.round()).any()):
        raise ValueError(
            "count_operations was told that the values are spikes, and expects whole numbers; got fractions. Scale the "
            "values to whole numbers of spikes, or leave values_are_spikes out."
        )
    whole = nn.Sequential(network) if isinstance(network, LAYERS) else network
    with torch.inference_mode(False), _in_plain_sight():
        values = values.detach().clone()
        counter = Counter(whole, values, are_spikes=values_are_spikes)
        with _watched(whole, counter, prefix=_wrapping(network)), counter:
            run_once(whole, values, time_steps=time_steps, owner="count_operations")
    if time_steps is not None and not takes_steps(network):
        counter.check_steps(time_steps, owner=type(network).__name__)
    return counter.layers()


def _wrapping(network: nn.Module) -> str:
    """What a network that only adds time to another one puts before that one's names."""
    body = getattr(network, "body", None)
    return "body." if isinstance(body, fx.GraphModule) or isinstance(network, SpikingNetwork) else ""


@contextmanager
def _in_plain_sight() -> Iterator[None]:
    """Keep PyTorch from fusing or compiling several operations into one that cannot be seen into."""
    fuses_attention = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), torch.compiler.set_stance("force_eager"):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fuses_attention)


@contextmanager
def _watched(network: nn.Module, counter: Counter, *, prefix: str) -> Iterator[None]:
    """Tell the counter which module runs, and what neurons and encoders send."""
    with ExitStack() as stack:
        for name, module in network.named_modules():
            if isinstance(module, torch.jit.ScriptModule):  # takes no hooks: what is in it has no names
                continue
            for handle in _hooks(module, _short(name, prefix), counter):
                stack.callback(handle.remove)
            if isinstance(module, Encoder):
                stack.enter_context(_after(module, "encode", counter.encoded))
            elif isinstance(module, Neuron):
                stack.enter_context(_after(module, "step", counter.stepped))
        yield


def _short(name: str, prefix: str) -> str:
    """A module's name without what compiling or adding time has put around it."""
    return f"{name}.".replace("_orig_mod.", "").removeprefix(prefix).rstrip(".")


def _hooks(module: nn.Module, name: str, counter: Counter) -> Iterator[Any]:
    yield module.register_forward_pre_hook(lambda called, args: counter.enter(name, called, args))
    yield module.register_forward_hook(counter.leave)


@contextmanager
def _after(module: nn.Module, method: str, tell: Callable[[Any, Tensor, Any], None]) -> Iterator[None]:
    """Tell the counter after every call of one of a module's methods."""
    original, own = getattr(module, method), module.__dict__.get(method)

    def watched(values: Tensor, *args: Any) -> Any:
        result = original(values, *args)
        tell(module, values, result)
        return result

    module.__dict__[method] = watched
    try:
        yield
    finally:
        if own is None:
            del module.__dict__[method]
        else:
            module.__dict__[method] = own
