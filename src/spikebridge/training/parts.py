"""Which parts of a network are gathered by themselves, where its weights lie in shares."""

from __future__ import annotations

from collections import Counter

from torch import nn

from ..core.time import EachStep

SMALLEST_PART = 1 << 20
"""Parameters from which a part is gathered by itself; smaller ones together, since every exchange has a cost."""


def parts_of(network: nn.Module, *, smallest: int) -> list[nn.Module]:
    """The parts of a network that are gathered by themselves, inner ones first; the rest is one more part.

    These are entries of sequences, which the sequence is sure to call, with at least ``smallest`` parameters beside
    those of parts within them. An entry that is called at every step, or that shares a parameter with another part
    of the network, is none.

    >>> network = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)))
    >>> [str(part) for part in parts_of(network, smallest=30)]
    ['Linear(in_features=4, out_features=8, bias=True)']
    """
    at_every_step = [inner for outer in network.modules() if isinstance(outer, EachStep) for inner in outer]
    left_out = {inner for entry in at_every_step for inner in entry.modules()}
    uses = _uses(network)
    sizes = {id(parameter): parameter.numel() for parameter in network.parameters()}
    parts: list[nn.Module] = []
    entries = [entry for outer in network.modules() if isinstance(outer, nn.Sequential) for entry in outer]
    for entry in reversed(entries):
        inside = _uses(entry)
        is_alone = all(uses[parameter] == count for parameter, count in inside.items())
        if entry not in left_out and is_alone and sum(sizes[parameter] for parameter in inside) >= smallest:
            parts.append(entry)
            left_out.add(entry)
            sizes.update(dict.fromkeys(inside, 0))
    return parts


def _uses(network: nn.Module) -> Counter[int]:
    """How many places of a network each parameter has."""
    return Counter(id(parameter) for _, parameter in network.named_parameters(remove_duplicate=False))
