"""Losses against their definitions, their laws and finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from spikebridge.training import CrossEntropy, Mixup, Objective, PerStepCrossEntropy

OBJECTIVES: dict[str, Objective] = {
    "mean": CrossEntropy(),
    "mean, smoothed": CrossEntropy(label_smoothing=0.1),
    "per step": PerStepCrossEntropy(),
    "per step, held": PerStepCrossEntropy(regularisation=0.3, level=0.5, label_smoothing=0.1),
}


def outputs_and_classes(time_steps: int = 3) -> tuple[Tensor, Tensor]:
    return torch.randn(time_steps, 4, 5, dtype=torch.float64), torch.tensor([0, 4, 2, 2])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradient_is_that_of_finite_differences(name: str) -> None:
    outputs, classes = outputs_and_classes()
    assert torch.autograd.gradcheck(lambda values: OBJECTIVES[name](values, classes), outputs.requires_grad_())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_classes_and_certain_probabilities_are_the_same_target(name: str) -> None:
    outputs, classes = outputs_and_classes()
    certain = F.one_hot(classes, 5).double()
    torch.testing.assert_close(OBJECTIVES[name](outputs, classes), OBJECTIVES[name](outputs, certain))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_order_of_steps_does_not_matter(name: str) -> None:
    outputs, classes = outputs_and_classes(4)
    torch.testing.assert_close(OBJECTIVES[name](outputs, classes), OBJECTIVES[name](outputs.flip(0), classes))


def test_one_step_makes_both_objectives_cross_entropy() -> None:
    outputs, classes = outputs_and_classes(1)
    expected = F.cross_entropy(outputs[0], classes)
    torch.testing.assert_close(CrossEntropy()(outputs, classes), expected)
    torch.testing.assert_close(PerStepCrossEntropy()(outputs, classes), expected)


def test_per_step_is_the_mean_of_each_steps_cross_entropy_and_never_below_that_of_the_mean() -> None:
    for _ in range(20):
        outputs, classes = outputs_and_classes()
        each = torch.stack([F.cross_entropy(step, classes) for step in outputs])
        torch.testing.assert_close(PerStepCrossEntropy()(outputs, classes), each.mean())
        # Cross-entropy is convex in the scores, so Jensen's inequality orders the two.
        assert PerStepCrossEntropy()(outputs, classes) >= CrossEntropy()(outputs, classes)


def test_regularisation_alone_is_the_mean_square_distance() -> None:
    outputs, classes = outputs_and_classes()
    held = PerStepCrossEntropy(regularisation=1.0, level=2.0)(outputs, classes)
    torch.testing.assert_close(held, F.mse_loss(outputs, torch.full_like(outputs, 2.0)))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_half_precision_outputs_are_widened(name: str) -> None:
    outputs, classes = outputs_and_classes()
    assert OBJECTIVES[name](outputs.bfloat16(), classes).dtype == torch.float32


def test_mixup_mixes_values_and_targets_alike() -> None:
    classes = torch.tensor([0, 1, 2, 3])
    values, targets = Mixup(alpha=0.4, classes=4)(F.one_hot(classes, 4).float(), classes)
    torch.testing.assert_close(values, targets)  # values were one-hot, so the same mixture shows in both
    torch.testing.assert_close(targets.sum(1), torch.ones(4))
    torch.testing.assert_close(targets.sum(0), torch.ones(4))
    assert (targets > 0).sum(1).max() <= 2
    largest = targets[torch.arange(4), classes]
    assert torch.allclose(largest[largest < 1], largest[largest < 1][:1])  # one share for the whole batch


def test_mixup_is_repeated_by_a_seed() -> None:
    values, classes = torch.rand(6, 2), torch.arange(6)
    pairs = []
    for _ in range(2):
        torch.manual_seed(3)
        pairs.append(Mixup(alpha=1.0, classes=6)(values, classes))
    assert torch.equal(pairs[0][0], pairs[1][0])
    assert torch.equal(pairs[0][1], pairs[1][1])
