"""Changes of images: each draws for itself, a seed repeats it, and pixels stay in [0, 1]; mixing that ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from spikebridge.training import Batches, CropFlip, Learner, Mixup, fit
from spikebridge.training.augment import Chain
from spikebridge.training.mixing import Until
from spikebridge.training.policies import EachImage, erasing, policy

CHANGES: dict[str, Callable[[], Callable[[Tensor], Tensor]]] = {
    "crop-flip": lambda: CropFlip(padding=3),
    "rand-augment": lambda: policy("rand-augment", operations=2, magnitude=15),
    "trivial-augment": lambda: policy("trivial-augment"),
    "auto-augment": lambda: policy("auto-augment"),
    "erasing": lambda: erasing(0.9),
    "all": lambda: Chain(CropFlip(padding=2), policy("rand-augment"), erasing(0.5)),
}


def copies(channels: int = 3, number: int = 40) -> Tensor:
    """The same image many times."""
    return torch.rand(1, channels, 16, 16).expand(number, -1, -1, -1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", CHANGES)
def test_every_image_draws_for_itself_and_stays_an_image(name: str, channels: int) -> None:
    images = copies(channels)
    before = images.clone()
    changed = CHANGES[name]()(images)
    assert (changed.shape, changed.dtype) == (images.shape, images.dtype)
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert torch.equal(images, before)
    assert len({tuple(image.flatten().tolist()) for image in changed}) > 5


@pytest.mark.parametrize("name", CHANGES)
def test_a_seed_repeats_what_was_drawn(name: str) -> None:
    images, change, found = torch.rand(10, 3, 16, 16), CHANGES[name](), []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        found.append(change(images))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_a_chain_goes_from_first_to_last() -> None:
    images = torch.rand(2, 1, 4, 4)
    assert torch.equal(Chain(lambda x: x + 1, lambda x: 3 * x)(images), 3 * (images + 1))


def test_each_image_comes_by_itself() -> None:
    seen: list[tuple[int, ...]] = []

    def note(image: Tensor) -> Tensor:
        seen.append(tuple(image.shape))
        return image * len(seen)

    assert torch.equal(EachImage(note)(torch.ones(3, 1, 2, 2)).amax((1, 2, 3)), torch.tensor([1.0, 2.0, 3.0]))
    assert seen == [(1, 2, 2)] * 3


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_erasing_sets_a_rectangle_of_some_images_to_zero(probability: float) -> None:
    images = 0.5 + 0.5 * torch.rand(400, 2, 32, 32)
    erased = erasing(probability)(images) == 0
    hit = erased.flatten(1).any(1)
    # Five standard errors of a share of 400.
    assert abs(hit.float().mean().item() - probability) <= 5 * (probability * (1 - probability) / 400) ** 0.5
    for mask in erased[hit]:
        assert torch.equal(mask[0], mask[1])
        height, width = mask[0].any(1).sum().item(), mask[0].any(0).sum().item()
        assert mask[0].sum() == height * width  # a rectangle
        # Its sides were rounded to whole pixels, its area was drawn before.
        assert (height - 0.5) * (width - 0.5) <= 0.33 * 1024
        assert (height + 0.5) * (width + 0.5) >= 0.02 * 1024
    unchanged = torch.where(erased, images, erasing(0.0)(images))
    assert torch.equal(unchanged, images)


def test_magnitude_and_operations_are_those_asked_for() -> None:
    images = torch.rand(60, 3, 16, 16)

    def change(operations: int, magnitude: int) -> float:
        torch.manual_seed(5)
        changed = policy("rand-augment", operations=operations, magnitude=magnitude)(images)
        return (changed - images).abs().mean().item()

    assert change(1, 2) < change(1, 25)
    assert change(1, 9) < change(3, 9)


def test_without_torchvision_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.transforms.v2", None)
    for make in (lambda: policy("rand-augment"), lambda: erasing(0.5)):
        with pytest.raises(ValueError, match=r"not installed\. Run `pip install spikebridge\[vision\]`\."):
            make()


class Noting:
    """Counts how often a batch is mixed, by epoch."""

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.learner: Learner | None = None

    def __call__(self, values: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        assert self.learner is not None
        self.epochs.append(self.learner.current_epoch)
        return Mixup(alpha=1.0, classes=3)(values, targets)


def mixed_for(noting: Noting, epochs: int) -> Learner:
    torch.manual_seed(0)
    learner = Learner(nn.Linear(4, 3))
    noting.learner = learner
    learner.mix = Until(noting, epochs=epochs, now=lambda: learner.current_epoch)
    return learner


def test_mixing_ends_with_its_epoch_in_a_continued_run_too(tmp_path: Path) -> None:
    data = TensorDataset(torch.rand(12, 4), torch.arange(12) % 3)
    batches = Batches(data, data, batch_size=4, seed=0)
    noting = Noting()
    whole = fit(mixed_for(noting, 2), batches, epochs=4, show_progress=False)
    assert noting.epochs == [0, 0, 0, 1, 1, 1]
    noting = Noting()
    fit(mixed_for(noting, 2), batches, epochs=1, folder=tmp_path, show_progress=False)
    again = fit(mixed_for(noting, 2), batches, epochs=4, folder=tmp_path, resume=True, show_progress=False)
    assert noting.epochs == [0, 0, 0, 1, 1, 1]
    assert len(whole.epochs) == len(again.epochs) == 4
