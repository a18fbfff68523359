"""Two networks run on the same input, and what every site received and sent in each."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ...core.neuron import Neuron
from ...core.shapes import along_channels
from ...core.time import fold, unfold
from ..network import ConvertedNetwork
from .counted import PARTS, Counted, Counts, in_parts

Pool = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Visit:
    """One call of a site, in all steps.

    Attributes:
        name: the module's name, with #2, #3, ... for its further calls.
        module: the neuron, or its counterpart in the reference.
        level: what one spike carries; shaped as a setting.
        currents: what arrived, [time, batch, *unit].
        counts: spikes sent; whole numbers if the site is right.
    """

    name: str
    module: nn.Module
    level: Tensor
    currents: Tensor
    counts: Tensor

    def pooled(self, pool: Pool) -> Visit:
        """The same of what a maximum pool after the site makes of it; it may as well come before it."""
        return dataclasses.replace(
            self, currents=_pool_steps(pool, self.currents), counts=_pool_steps(pool, self.counts.double())
        )


@dataclass
class Log:
    """What a run leaves behind.

    Attributes:
        window: which layers to keep: those called after so many sites; None keeps none.
        forced: counts that sites send in place of their own, [time, batch, *unit], by name.
        pools: maximum pools that the converted network has before a site, by the site's name.
        draw: where the reference draws such counts from; None lets it send its own.
        visits: the sites, in order.
        layers: input and output of the layers in the window.
        outputs: what the network gave in every step, [time, batch, *unit].
        answer: what the converted network gave in the end.
        error: what it raised, if it did.
    """

    window: int | None = None
    forced: dict[str, Tensor] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)
    draw: torch.Generator | None = None
    visits: dict[str, Visit] = field(default_factory=dict)
    layers: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    outputs: Tensor | None = None
    answer: Tensor | None = None
    error: Exception | None = None
    calls: Counter[str] = field(default_factory=Counter)
    passed: int = 0

    def call(self, name: str) -> str:
        """The name of one more call."""
        self.calls[name] += 1
        return name if self.calls[name] == 1 else f"{name}#{self.calls[name]}"

    def start_step(self) -> None:
        """The reference runs once for every step."""
        self.calls.clear()
        self.passed = 0

    def keep_layer(self, name: str, values: Tensor, result: Tensor) -> None:
        """A layer was called."""
        key = self.call(name)
        if self.passed == self.window:
            before = self.layers.get(key)
            pair = (values.clone(), result.clone())
            self.layers[key] = pair if before is None else _joined(before, pair)


def _joined(before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return torch.cat([before[0], after[0]]), torch.cat([before[1], after[1]])


def run_reference(network: nn.Module, values: Tensor, log: Log, *, time_steps: int, layers: Iterable[str]) -> Log:
    """Run it once for every step; its sites count over all of them."""
    histories: dict[str, _History] = {}
    outputs = []
    with ExitStack() as stack:
        for site in network.modules():
            if isinstance(site, Counted):
                site.visited = _listener(site, histories, log)
        for handle in _watch_layers(network, layers, log):
            stack.callback(handle.remove)
        for _ in range(time_steps):
            log.start_step()
            outputs.append(network(values.clone()))
    log.outputs = torch.stack(outputs)
    for key, history in histories.items():
        currents, counts = torch.stack(history.currents), torch.stack(history.counts)
        log.visits[key] = Visit(key, history.site, history.site.level, currents, counts)
        if history.forced:
            log.forced[key] = torch.stack(history.forced)
    return log


@dataclass
class _History:
    site: Counted
    so_far: Counts | None = None
    currents: list[Tensor] = field(default_factory=list)
    counts: list[Tensor] = field(default_factory=list)
    forced: list[Tensor] = field(default_factory=list)


def _listener(site: Counted, histories: dict[str, _History], log: Log) -> Callable[[Tensor], Tensor]:
    def visited(values: Tensor) -> Tensor:
        history = histories.setdefault(log.call(site.name), _History(site))
        currents = site.current(values)
        counts, history.so_far = site.count(currents, history.so_far)
        history.currents.append(currents.clone())
        history.counts.append(counts)
        log.passed += 1
        if log.draw is not None:
            counts = site.random(counts, log.draw)
            history.forced.append(counts)
        return site.send(counts)

    return visited


def run_spiking(network: ConvertedNetwork, values: Tensor, log: Log, *, time_steps: int, layers: Iterable[str]) -> Log:
    """Run the converted network; an error it raises is kept, as what came before it says more."""
    with ExitStack() as stack:
        for name, neuron in neurons_by_name(network).items():
            for handle in _watch_neuron(name, neuron, log):
                stack.callback(handle.remove)
        for handle in _watch_layers(network.body, layers, log):
            stack.callback(handle.remove)

        def keep(_: nn.Module, __: Any, folded: Tensor) -> None:
            log.outputs = unfold(folded, time_steps=time_steps)

        stack.callback(network.body.register_forward_hook(keep).remove)
        try:
            log.answer = network(values.clone(), time_steps=time_steps)
        except Exception as error:  # a network with a fault may raise anything
            log.error = error
    return log


def neurons_by_name(network: ConvertedNetwork) -> dict[str, Neuron[Any]]:
    """Every neuron, by the name of the activation it stands for."""
    found = {}
    for name, module in network.body.named_modules():
        if isinstance(module, Neuron):
            found[module.label or name.removesuffix(".module")] = module
    return found


def _watch_neuron(name: str, neuron: Neuron[Any], log: Log) -> list[RemovableHandle]:
    arrived: list[Tensor] = []

    def before(_: nn.Module, arguments: tuple[Tensor]) -> tuple[Tensor]:
        arrived.append(arguments[0].clone())
        level = along_channels(torch.as_tensor(neuron.spike_value), arguments[0][0])
        return (in_parts(arguments[0], level) * (level / PARTS),)

    def after(_: nn.Module, __: Any, sent: Tensor) -> Tensor | None:
        key, level = log.call(name), torch.as_tensor(neuron.spike_value)
        one = along_channels(level, sent[0])
        log.visits[key] = Visit(key, neuron, level, arrived.pop(), sent / one)
        log.passed += 1
        forced = log.forced.get(key)
        if forced is not None and forced.shape != sent.shape and name in log.pools:
            forced = _pool_steps(log.pools[name], forced.double())
        return forced * one if forced is not None and forced.shape == sent.shape else None

    return [neuron.register_forward_pre_hook(before), neuron.register_forward_hook(after)]


def _watch_layers(network: nn.Module, names: Iterable[str], log: Log) -> list[RemovableHandle]:
    def keep(name: str) -> Any:
        def hook(_: nn.Module, arguments: Any, result: Any) -> None:
            if arguments and isinstance(arguments[0], Tensor) and isinstance(result, Tensor):
                log.keep_layer(name, arguments[0], result)

        return hook

    return [network.get_submodule(name).register_forward_hook(keep(name)) for name in names]


def _pool_steps(pool: Pool, train: Tensor) -> Tensor:
    return unfold(pool(fold(train)), time_steps=len(train))
