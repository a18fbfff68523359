"""A network and its conversion on the same inputs, and how far apart they are at every neuron."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx, nn

from ...core.neuron import Neuron
from ...core.shapes import Value
from ...core.time import Folded, unfold
from ..lockstep import Lockstep
from ..network import ConvertedNetwork


class SideBySide:
    """Runs both networks and compares the mean of every neuron with the activation it replaces.

    Args:
        traced: the source's graph.
        activations: the names of the nodes that became neurons, in order.
        converted: the spiking network, whose neurons come in the same order.
    """

    def __init__(self, traced: fx.GraphModule, activations: tuple[str, ...], converted: ConvertedNetwork) -> None:
        self.traced, self.activations, self.converted = traced, activations, converted

    def differences(self, values: Value, *, time_steps: int) -> list[Tensor]:
        """Mean less value at every neuron and of the output, in double precision: [batch, *unit] each."""
        means = self._means(values, time_steps)
        return [mean.double() - value.double() for mean, value in zip(means, self._values(values), strict=True)]

    def _values(self, values: Value) -> list[Tensor]:
        found: dict[str, Tensor] = {}
        output = None
        for node, run in Lockstep(self.traced, [values]):
            output = run(0)
            if node.name in self.activations:
                found[node.name] = output
        return [*(found[name] for name in self.activations), output]  # type: ignore[list-item]

    def _means(self, values: Value, time_steps: int) -> list[Tensor]:
        means: list[Tensor] = []

        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            means.append(unfold(output, time_steps=time_steps).double().mean(0))

        neurons = [m for m in self.converted.body.modules() if isinstance(m, Folded) and isinstance(m.module, Neuron)]
        handles = [neuron.register_forward_hook(keep) for neuron in neurons]
        try:
            output = self.converted(values, time_steps=time_steps)
        finally:
            for handle in handles:
                handle.remove()
        return [*means, output]
