"""The quantised network beside a converted one: the same levels, without time."""

from __future__ import annotations

import copy

from torch import Tensor, fx, nn

from ..core.gradient import level_of
from ..core.shapes import Value, along_channels, at_least_float32
from .calibrate import Settled
from .fit import sent
from .nodes import attached
from .plan import neurons_of


class Levels(nn.Module):
    """An activation quantised to whole levels up to a threshold, either side of zero where it may be negative:

        u * clamp(floor((z + bias) / u + 1/2), low, levels),    u = threshold / levels,  low = 0 or -levels

    Args:
        threshold: where the last level is reached; a number, or one per channel.
        levels: number of levels above zero.
        negative: as many below zero.
        bias: added first.

    Shapes:  [batch, *unit] -> [batch, *unit].
    """

    threshold: Tensor
    bias: Tensor | None
    label: str = ""

    def __init__(self, threshold: Tensor, *, levels: int, negative: bool = False, bias: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("threshold", threshold.detach().clone())
        self.register_buffer("bias", None if bias is None else bias.detach().clone())
        self.levels, self.negative = levels, negative

    def forward(self, values: Value) -> Value:
        values = values.to(at_least_float32(values.dtype))
        if self.bias is not None:
            values = values + along_channels(self.bias, values)
        level = along_channels(level_of(self.threshold, self.levels), values)
        return sent(values, level, self.levels, negative=self.negative)

    def extra_repr(self) -> str:
        return f"levels={self.levels}, negative={self.negative}"


def quantised(traced: fx.GraphModule, settled: Settled) -> fx.GraphModule:
    """The traced network with every activation quantised as its neuron would be at T steps of constant current.

    What stands in for other calls in the spiking network stands here too.
    """
    graph = fx.Graph()
    modules: dict[str, nn.Module] = dict(traced.named_modules())
    copies: dict[fx.Node, fx.Node] = {}
    neurons = neurons_of(settled.plan)
    for node in traced.graph.nodes:
        entry = neurons.get(node)
        if node in settled.layers:
            modules[f"{node.name}_instead"] = settled.layers[node]
            copies[node] = graph.call_module(f"{node.name}_instead", (copies[node.all_input_nodes[0]],))
        elif entry is None or entry.activation.analog:
            copies[node] = graph.node_copy(node, copies.__getitem__)
        if entry is not None:
            site = entry.site
            assert site.threshold is not None
            name = f"{node.name}_levels"
            modules[name] = levels = Levels(
                site.threshold,
                levels=site.recipe.levels,
                negative=entry.activation.negative,
                bias=settled.bias.get(node),
            )
            levels.label = site.name
            before = copies[node if entry.activation.analog else node.all_input_nodes[0]]
            copies[node] = graph.call_module(name, (before,))
    root = attached(graph, modules, traced)
    return copy.deepcopy(fx.GraphModule(root, graph, class_name="Quantised")).eval()
