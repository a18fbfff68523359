"""Networks of SpikingJelly and snnTorch get a head that is proven best, with nothing of theirs rewritten."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikebridge.convex import polish

INPUTS, HIDDEN, CLASSES, STEPS = 6, 16, 3, 4


def batches(count: int, *, seed: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    values = [torch.rand(60, INPUTS, generator=generator) for _ in range(count)]
    return [(part, (part[:, 0] > 0.5).long() + (part[:, 1] > 0.5).long()) for part in values]


def spikingjelly() -> tuple[nn.Module, Any]:
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron", reason="spikingjelly is not installed")
    functional = pytest.importorskip("spikingjelly.activation_based.functional")

    class Network(nn.Module):
        """Neurons that keep their membranes, in a loop over time; the mean of the answers."""

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(INPUTS, HIDDEN), neuron.LIFNode(v_threshold=0.2))
            self.head = nn.Linear(HIDDEN, CLASSES)

        def forward(self, values: Tensor) -> Tensor:
            """[batch, INPUTS] -> [batch, CLASSES]."""
            return torch.stack([self.head(self.body(values)) for _ in range(STEPS)]).mean(0)

    return Network(), functional.reset_net


def snntorch() -> tuple[nn.Module, Any]:
    library = pytest.importorskip("snntorch", reason="snntorch is not installed")

    class Network(nn.Module):
        """Membranes as arguments; the sum of the answers."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.neuron = nn.Linear(INPUTS, HIDDEN), library.Leaky(beta=0.9, threshold=0.5)
            self.head = nn.Linear(HIDDEN, CLASSES)

        def forward(self, values: Tensor) -> Tensor:
            """[batch, INPUTS] -> [batch, CLASSES]."""
            membrane, answers = self.neuron.reset_mem(), []
            for _ in range(STEPS):
                spikes, membrane = self.neuron(self.first(values), membrane)
                answers.append(self.head(spikes))
            return torch.stack(answers).sum(0)

    return Network(), None


@pytest.mark.parametrize("library", [spikingjelly, snntorch])
def test_a_network_of_another_library_is_polished(library: Any) -> None:
    torch.manual_seed(0)
    network, reset = library()
    train, validation = batches(4, seed=0), batches(2, seed=1)
    found = polish(network, train, validation, strengths=4, reset=reset)
    assert found.replaced
    assert all(point.objective <= point.old_objective for point in found.path)
    right = 0
    for values, targets in validation:
        right += int((found.model(values).argmax(1) == targets).sum())
        if reset is not None:
            reset(found.model)
    assert found.chosen is not None
    assert right / 120 == pytest.approx(found.chosen.accuracy)


def test_a_network_that_is_not_reset_is_refused() -> None:
    torch.manual_seed(0)
    network, _ = spikingjelly()
    data = batches(2, seed=0)
    with pytest.raises(ValueError, match="answers otherwise when it sees a batch again"):
        polish(network, data, data, strengths=1)
