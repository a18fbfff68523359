"""A training step in plain numbers, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

from .limits import Limits


@dataclass(frozen=True, kw_only=True)
class LayerProfile:
    """One layer in one training step, all of its calls together.

    Attributes:
        layer: its name in the network.
        kind: its class.
        is_neuron: whether it is a spiking neuron of this library.
        calls: how often the network calls it.
        forward_s: seconds of its forward pass, by itself.
        backward_s: seconds of its backward pass, by itself.
        saved_bytes: what autograd keeps for it from one to the other, its own parameters aside.
        flops: multiplications and additions of its products, forward and backward.
        moved_bytes: what must be read and written at least, were each tensor touched once a pass.
        limit_s: the seconds that this much takes this machine at least.
    """

    layer: str
    kind: str
    is_neuron: bool
    calls: int
    forward_s: float
    backward_s: float
    saved_bytes: int
    flops: int
    moved_bytes: int
    limit_s: float

    @property
    def step_s(self) -> float:
        """Forward and backward."""
        return self.forward_s + self.backward_s


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One training step of a network, without the optimiser.

    Attributes:
        layers: those without layers inside, in the order of their first call.
        forward_s: seconds of the whole forward pass.
        backward_s: seconds of the whole backward pass.
        saved_bytes: the most that autograd holds between the two, parameters aside.
        limits: of the machine, measured in the same process.
        compiled_s: seconds of the whole step compiled; None where that was not measured.
        compile_s: seconds of the first compiled step.
    """

    layers: tuple[LayerProfile, ...]
    forward_s: float
    backward_s: float
    saved_bytes: int
    limits: Limits
    compiled_s: float | None = None
    compile_s: float | None = None

    @property
    def step_s(self) -> float:
        """Forward and backward."""
        return self.forward_s + self.backward_s

    @property
    def layers_s(self) -> float:
        """All layers, each by itself; what the network does between them is not in it."""
        return sum(layer.step_s for layer in self.layers)

    @property
    def neurons_share(self) -> float:
        """Of the layers' time, the part of spiking neurons."""
        return sum(layer.step_s for layer in self.layers if layer.is_neuron) / max(self.layers_s, 1e-12)

    @property
    def limit_s(self) -> float:
        """The least time of all layers, one after the other, at the machine's measured rates."""
        return sum(layer.limit_s for layer in self.layers)
