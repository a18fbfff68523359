"""Sets up spiking twins by what arrives at them, so that their neurons fire from the first training step on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_map

from ..blocks.hybrid import HybridBlock
from ..core.encoder import Encoder
from ..core.modes import in_mode
from ..core.shapes import SpikeTrain, Value
from ..core.time import fold, unfold
from .trace import location
from .twin import Driven, SpikingTwin

RATE = 0.2
"""Share of its steps at which a neuron is made to fire."""
MOST_BATCHES = 8
MOST_ENTRIES = 2**20
"""About the most currents of a neuron, steps included, that its scale is searched on."""
EXPONENTS = (-12.0, 20.0)
"""Powers of 2 that the largest current is scaled to, between which the search is."""
_HALVINGS = 11


class Place(NamedTuple):
    """Where a block will stand, and the block, whose core is a SpikingTwin."""

    names: tuple[str, ...]
    block: HybridBlock


StandIn: TypeAlias = Callable[[nn.Module, HybridBlock], nn.Module]


@torch.no_grad()
def wake(network: nn.Module, places: Sequence[Place], batches: Iterable[Any], *, stand_in: StandIn | None) -> None:
    """Set up the spiking branches, one after another in the order in which the network calls them.

    A block receives what it will receive in the finished network in eval mode. On that, and on nothing else:

    1. the running range of its encoder becomes that of all values that arrive;
    2. then layer by layer, each on what the layers before it now give: a BatchNorm gets mean and variance of what
       arrives, over all steps and samples;
    3. and the currents of a neuron get a scale > 0 at which it fires at ``RATE`` of all steps, over all its units; or
       at half the share that it can reach at all, where that is less, as when few currents are positive.

    Weights are not touched. A block that the batches do not reach stays as it is, and one that is called several times
    is set up by its first call.

    Args:
        network: a copy of the network, which is used up.
        places: the blocks.
        stand_in: makes of a module and its block what later blocks see in that place; None leaves the module.
        batches: inputs, or tuples that start with them; the first ``MOST_BATCHES`` are used.
    """
    inputs = _inputs(batches, network)
    with ExitStack() as stack:
        for part in (network, *(place.block for place in places)):
            stack.enter_context(in_mode(part, training=False))
        for place in _in_order(network, places, inputs[0]):
            module = network.get_submodule(place.names[0])
            arriving = [values for each in inputs if (values := _arriving(network, module, each)) is not None]
            _wake(place.block, arriving)
            if stand_in is not None:
                put(network, place.names, stand_in(module, place.block))


def put(network: nn.Module, names: Iterable[str], module: nn.Module) -> None:
    """Put a module in the place of those of these names."""
    for name in names:
        parent, _, own = name.rpartition(".")
        setattr(network.get_submodule(parent), own, module)


def _wake(block: HybridBlock, arriving: list[Value]) -> None:
    _measure_range(block.encoder, arriving)
    assert isinstance(block.core, SpikingTwin)
    _wake_twin(block.core, [block.encoder(values) for values in arriving])


def _measure_range(encoder: Encoder, arriving: list[Value]) -> None:
    measured = encoder.measured
    if measured is not None and measured.of == "running":
        ends = [end for values in arriving for end in torch.aminmax(values)]
        with in_mode(measured, training=True):
            measured(torch.stack(ends))


def _wake_twin(twin: SpikingTwin, trains: list[SpikeTrain]) -> None:
    """Run the twin's graph node by node on all trains, and set up what a node calls before it is called."""
    time_steps, body = len(trains[0]), twin.body
    assert isinstance(body, fx.GraphModule)
    lanes = [_Lane(body, (fold(train), time_steps)) for train in trains]
    for node in body.graph.nodes:
        called = body.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(called, Driven):
            _find_scale(called, [unfold(lane.arguments(node)[0], time_steps=time_steps) for lane in lanes])
        elif called is not None:
            _estimate(called, [lane.arguments(node) for lane in lanes])
        for lane in lanes:
            lane.advance(node)


class _Lane(fx.Interpreter):
    """One train's way through a graph."""

    def __init__(self, body: fx.GraphModule, inputs: tuple[Any, ...]) -> None:
        super().__init__(body)
        self.args_iter = iter(inputs)

    def arguments(self, node: fx.Node) -> tuple[Any, ...]:
        """What the node will be called with."""
        return self.fetch_args_kwargs_from_env(node)[0]

    def advance(self, node: fx.Node) -> None:
        """Run one node, and forget what no later one reads."""
        self.env[node] = self.run_node(node)
        for read in self.user_to_last_uses.get(node, []):
            del self.env[read]


def _estimate(called: nn.Module, arguments: list[tuple[Any, ...]]) -> None:
    """Replace the running statistics of every BatchNorm in a module by those of these calls."""
    norms = [part for part in called.modules() if isinstance(part, _BatchNorm) and part.running_mean is not None]
    if not norms:
        return
    kept = [(norm.momentum, norm.training) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum, norm.training = None, True  # the mean over all batches
    for each in arguments:
        called(*tree_map(lambda value: value.clone() if isinstance(value, Tensor) else value, each))
    for norm, (momentum, training) in zip(norms, kept, strict=True):
        norm.momentum, norm.training = momentum, training


def _find_scale(driven: Driven, trains: list[SpikeTrain]) -> None:
    """The smallest scale that gives the rate, to one part in a hundred; none where no current can make a spike."""
    currents = torch.cat(trains, dim=1)
    currents = currents[:, :: max(1, currents.numel() // MOST_ENTRIES)]
    peak = currents.abs().max().item()

    def rate_at(exponent: float) -> float:
        sent: Tensor = driven.module(2.0**exponent / peak * currents)
        return torch.count_nonzero(sent).item() / sent.numel()

    low, high = EXPONENTS
    wanted = min(RATE, rate_at(high) / 2) if peak > 0.0 else 0.0
    if wanted == 0.0:
        return
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if rate_at(middle) < wanted else (low, middle)
    driven.scale.fill_(2.0**high / peak)


def _in_order(network: nn.Module, places: Sequence[Place], values: Tensor) -> list[Place]:
    """The places that are reached, in the order in which they are first called."""
    of = {network.get_submodule(place.names[0]): place for place in places}
    called: dict[nn.Module, Place] = {}
    with ExitStack() as stack:
        for module in of:
            hook = module.register_forward_pre_hook(lambda module, _: called.update({module: of[module]}))
            stack.callback(hook.remove)
        try:
            network(values)
        except Exception as error:
            raise ValueError(
                f"hybridize could not run the network on a batch of shape {tuple(values.shape)} and {values.dtype}: "
                f"{error}. Pass batches as the network takes them, [batch, *unit]."
            ) from error
    return list(called.values())


class _Arrived(BaseException):  # not an Exception: a network may catch those
    """The values that a module was called with."""

    def __init__(self, values: Value) -> None:
        super().__init__()
        self.values = values


def _arriving(network: nn.Module, module: nn.Module, values: Tensor) -> Value | None:
    """What the first call of the module is given; nothing after it runs."""

    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        given = (*args, *kwargs.values())
        if len(given) != 1 or not isinstance(given[0], Tensor):
            raise ValueError(
                f"hybridize expects modules that are given one tensor; {type(module).__name__} at {location(module)} "
                f"is given {', '.join(type(each).__name__ for each in given)}. Choose modules in it or around it."
            )
        raise _Arrived(given[0].clone())

    handle = module.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        network(values)
    except _Arrived as arrived:
        return arrived.values
    finally:
        handle.remove()
    return None


def _inputs(batches: Iterable[Any], network: nn.Module) -> list[Tensor]:
    """The first batches, on the network's device."""
    device = next((tensor.device for tensor in (*network.parameters(), *network.buffers())), None)
    found = []
    is_one = isinstance(batches, Tensor) or not isinstance(batches, Iterable)
    for batch in islice([batches] if is_one else batches, MOST_BATCHES):
        values = batch[0] if isinstance(batch, tuple | list) and batch else batch
        if not isinstance(values, Tensor) or values.ndim < 2 or not len(values):
            got = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
            raise TypeError(
                f"hybridize expects batches of inputs [batch, *unit], or of (inputs, ...), such as a DataLoader; got "
                f"{got}. For one batch with labels: batches=[(inputs, labels)]."
            )
        found.append(values.to(device))
    if not found:
        raise ValueError("hybridize got no batch: batches is empty. Pass at least one batch of inputs.")
    return found
