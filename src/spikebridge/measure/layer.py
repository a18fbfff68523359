"""The operations of one layer: plain numbers, which a record keeps and an energy card prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LayerOperations:
    """The operations of one layer of weights, or of one product of two activations.

    Attributes:
        layer: the layer's name in the network.
        kind: "AC" (accumulate) where spikes arrive: one per spike and connection, so a Group Neuron's count of k is
            k of them; "MAC" (multiply and accumulate) where analog numbers arrive: one per connection.
        per_step: operations per sample, at each step. A layer that runs once for all steps has a single entry.
        connections: operations of one run of the layer if every input were one spike: the MACs of the dense layer.
        weights: numbers that the layer stores, biases included; 0 for a product of two activations.
        effective: ``per_step`` without the operations whose input or weight is zero, which change nothing. For "AC"
            it differs only where weights are zero. Empty where it was not counted.
        is_in_ann: whether an ANN of the same layers has this one beside the others. It has one stem where a network has
            a second for spikes (``HybridStem``), and once a layer that gets numbers and, at other steps, spikes.
    """

    layer: str
    kind: Literal["AC", "MAC"]
    per_step: tuple[float, ...]
    connections: float = 0.0
    weights: int = 0
    effective: tuple[float, ...] = ()
    is_in_ann: bool = True

    def __post_init__(self) -> None:
        # A record is JSON, where a tuple comes back as a list.
        object.__setattr__(self, "effective", tuple(self.effective))

    def until(self, step: int) -> float:
        """Operations per sample in the first ``step`` steps."""
        return sum(self.per_step[:step])

    def effective_until(self, step: int) -> float:
        """Operations in the first ``step`` steps whose input and weight are not zero; all, where nobody looked."""
        return sum((self.effective or self.per_step)[:step])

    def runs_until(self, step: int) -> int:
        """How often the layer has run in the first ``step`` steps."""
        first = self.per_step[:step]
        # Numbers cost a MAC each, zeros included, so a layer without any did not run then. Spikes may be missing.
        return sum(count > 0 for count in first) if self.kind == "MAC" else len(first)
