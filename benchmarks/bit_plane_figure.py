"""Draws docs/images/bit_planes.png: a digit, its stand-ins, and the slopes that training gets from them.

Run: python benchmarks/bit_plane_figure.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from spikebridge import BitPlane
from spikebridge.core.planes import PLANE_SURROGATES
from spikebridge.report.style import COLOURS, SETTINGS

FILE = Path(__file__).parent.parent / "docs" / "images" / "bit_planes.png"
PLANE, BITS = 6, 8
NAMES = {"straight_through": "straight-through", "sig_sine": "sigmoid of a sine", "fourier_sine": "Fourier sine"}


def slopes(surrogate: str, level: Tensor) -> Tensor:
    """The derivative of one plane by the level, edges masked."""
    values = (level / (2**BITS - 1)).requires_grad_()
    BitPlane(bits=BITS, surrogate=surrogate, rounding="floor")(values)[PLANE].sum().backward()
    assert values.grad is not None
    return values.grad / (2**BITS - 1)


def main() -> None:
    """Draw it."""
    level = torch.linspace(0, 2**BITS - 1, 4001, dtype=torch.float64)
    weight = torch.tensor([[2.0**PLANE]], dtype=torch.float64)
    with plt.rc_context(SETTINGS):
        figure, (above, below) = plt.subplots(2, sharex=True, figsize=(7, 4.6), layout="constrained")
        above.plot(level, torch.floor(level / 2**PLANE) % 2, color="black", label=f"the digit worth {2**PLANE}")
        for (name, label), colour in zip(NAMES.items(), COLOURS, strict=False):
            above.plot(level, PLANE_SURROGATES[name].soft(level, weight, bits=BITS)[0], color=colour, label=label)
            below.plot(level, slopes(name, level), color=colour)
        above.set_ylabel("forward: the digit,\nand its stand-ins")
        below.set_ylabel("backward: the slope,\nedges masked")
        below.set_xlabel("level of the value")
        below.set_xlim(0, 2**BITS - 1)
        figure.legend(*above.get_legend_handles_labels(), loc="outside lower center", ncols=4)
        figure.savefig(FILE, dpi=150)


if __name__ == "__main__":
    main()
