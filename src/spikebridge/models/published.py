"""The neurons that published networks were trained with."""

from __future__ import annotations

from ..core.gradient import ATan, Rectangular
from ..core.reset import detached, to_zero
from ..neurons import IF, LIF


def sew_neuron() -> IF:
    """That of SEW ResNet on still images: IF, reset to zero without gradient.

    Source:  Fang et al., arXiv 2102.04159.
    """
    return IF(reset=detached(to_zero), surrogate=ATan())


def ms_neuron() -> LIF:
    """That of MS-ResNet: a quarter of the membrane stays, the threshold is 1/2, the gradient a rectangle around it.

    Source:  Hu et al., arXiv 2112.08954.
    Deviates:  fires at the threshold, where the published one fires above it.
    """
    return LIF(decay=0.25, threshold=0.5, reset=detached(to_zero), surrogate=Rectangular(width=1.0))


def spikformer_neuron() -> LIF:
    """That of Spikformer: LIF of tau = 2 whose input decays too, reset to zero without gradient.

    Source:  Zhou et al., arXiv 2209.15425.
    """
    return LIF(decay=0.5, decay_input=True, reset=detached(to_zero))
