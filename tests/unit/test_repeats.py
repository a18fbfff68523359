"""An image that is repeated over time by hand: what it costs, and what its ANN does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from spikebridge import LIF
from spikebridge.measure import count_operations, energy_card

REPEATS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "repeated along a new axis": lambda images, steps: images.unsqueeze(0).repeat(steps, 1, 1, 1, 1).flatten(0, 1),
    "repeated along the batch": lambda images, steps: images.repeat(steps, 1, 1, 1),
    "expanded": lambda images, steps: images.expand(steps, *images.shape).flatten(0, 1),
    "stacked": lambda images, steps: torch.stack([images] * steps).flatten(0, 1),
    "joined": lambda images, steps: torch.cat([images] * steps),
}
"""Ways to write one image at every step, time folded into the batch by hand."""


class Folded(nn.Module):
    """A stem on repeated images, as spiking transformers are written: repeat, fold, convolve, unfold."""

    def __init__(self, repeat: Callable[[Tensor, int], Tensor], *, is_stepped: bool = False) -> None:
        super().__init__()
        self.repeat, self.is_stepped = repeat, is_stepped
        self.conv, self.norm, self.neuron = nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), LIF(threshold=0.3)
        self.head = nn.Linear(4 * 36, 10)

    def forward(self, images: Tensor) -> Tensor:
        currents = self.norm(self.conv(self.repeat(images, 3))).view(3, len(images), 4, 6, 6)
        if not self.is_stepped:
            return self.head(self.neuron(currents).flatten(0, 1).flatten(1)).view(3, len(images), 10).mean(0)
        state, outputs = self.neuron.initial_state(currents[0]), []
        for current in currents:
            spikes, state = self.neuron.step(current, state)
            outputs.append(self.head(spikes.flatten(1)))
        return torch.stack(outputs).mean(0)


@pytest.mark.parametrize("is_stepped", [False, True], ids=["whole train", "stepped by hand"])
@pytest.mark.parametrize("samples", [1, 5])
@pytest.mark.parametrize("way", REPEATS)
def test_an_image_repeated_by_hand_is_charged_at_every_step_and_its_ann_once(
    way: str, samples: int, is_stepped: bool
) -> None:
    torch.manual_seed(0)
    network = Folded(REPEATS[way], is_stepped=is_stepped).eval()
    stem, head = count_operations(network, torch.rand(samples, 1, 8, 8))
    once = 36.0 * 9 * 4
    assert (stem.layer, stem.kind, stem.per_step, stem.connections) == ("conv", "MAC", (once,) * 3, once)
    assert (head.kind, len(head.per_step), head.connections) == ("AC", 3, 1440.0)
    card = energy_card([stem, head], time_steps=3, bits=2)
    assert card.float_ann.energy_pj == pytest.approx(card.costs.mac_pj * (once + 1440))


def test_copies_that_are_no_train_are_connections() -> None:
    class Ensemble(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = nn.Parameter(torch.randn(5, 6, 7))

        def forward(self, values: Tensor) -> Tensor:
            return torch.bmm(values.expand(5, *values.shape), self.weights).mean(0)

    (layer,) = count_operations(Ensemble(), torch.rand(3, 6))
    assert (layer.per_step, layer.connections) == ((5 * 6 * 7.0,), 5 * 6 * 7.0)


def test_an_image_repeated_sample_by_sample_cannot_be_told_from_many_connections() -> None:
    # The limit that docs/energy.md names: copies that do not lead.
    network = Folded(lambda images, steps: images.repeat_interleave(steps, 0)).eval()
    stem, _ = count_operations(network, torch.rand(2, 1, 8, 8))
    assert (stem.per_step, stem.connections) == ((3 * 1296.0,), 3 * 1296.0)
