"""Scales and shifts that a norm learns for each step, beside statistics of all steps together."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spikebridge.blocks import StepNorm, fold_gain

from .norms import LEARNING, ROUNDING, adaptive, trained, trains


@pytest.mark.parametrize("mode", LEARNING)
def test_a_scale_of_each_step_is_that_of_its_norm_and_leaves_its_shift(mode: str) -> None:
    norm, batch = trained(StepNorm(3, time_steps=4, mode=mode)), trains()
    shape, shift = (4, 1, 1, 1, 1), torch.zeros(4) if norm.shift is None else norm.shift
    normal = (batch - norm.running_mean.view(3, 1, 1)) / torch.sqrt(norm.running_var.view(3, 1, 1) + norm.eps)
    expected = norm.scale.view(shape) * norm.weight.view(3, 1, 1) * normal
    expected = expected + norm.bias.view(3, 1, 1) + shift.view(shape)
    assert torch.allclose(norm(batch), expected, atol=ROUNDING)
    assert (norm.scale.shape, shift.shape) == ((4,), (4,))
    assert len({round(each, 3) for each in norm.scale.tolist()}) == 4


@pytest.mark.parametrize("mode", LEARNING)
@pytest.mark.parametrize("is_training", [True, False])
def test_what_is_learned_for_each_step_has_the_gradient_of_finite_differences(mode: str, is_training: bool) -> None:
    norm = trained(StepNorm(3, time_steps=4, mode=mode), unit=(3,)).double().train(is_training)
    names, held = zip(*norm.named_parameters(), strict=True)
    assert ("scale" in names, "shift" in names) == (True, mode == "step-affine")
    buffers = {name: buffer.clone() for name, buffer in norm.named_buffers()}

    def normalised(batch: Tensor, *parameters: Tensor) -> Tensor:
        # The running averages move with every call, which in training no output depends on.
        settings = dict(zip(names, parameters, strict=True)) | {name: held.clone() for name, held in buffers.items()}
        return torch.func.functional_call(norm, settings, (batch,))

    batch = trains(batch=3, unit=(3,)).double().requires_grad_()
    assert torch.autograd.gradcheck(normalised, (batch, *(each.detach().requires_grad_() for each in held)))


@pytest.mark.parametrize("mode", LEARNING)
def test_scales_learn_which_step_matters(mode: str) -> None:
    norm, batch = StepNorm(3, time_steps=4, mode=mode), trains(unit=(3,))
    optimiser = torch.optim.SGD([norm.scale], lr=0.1)
    for _ in range(50):
        optimiser.zero_grad()
        norm(batch)[1:].square().mean().backward()  # all steps but the first shall be quiet
        optimiser.step()
    assert norm.scale[0].item() == 1.0
    assert norm.scale[3].abs().item() < 0.2
    assert norm.scale.unique().numel() == 4


def test_a_folded_scale_of_each_step_multiplies_the_gain() -> None:
    norm, neuron = trained(StepNorm(3, time_steps=4, mode="step-affine"), unit=(3,)), adaptive(None)
    affine = fold_gain(norm, neuron)[0]
    factor = norm.scale[:, None] * norm.weight / torch.sqrt(norm.running_var + norm.eps)
    assert torch.allclose(affine.weight, neuron.gain[:, None] * factor, rtol=1e-5)
    shift = norm.bias + norm.shift[:, None] - norm.running_mean * factor
    assert torch.allclose(affine.bias, neuron.gain[:, None] * shift, rtol=1e-4, atol=1e-5)
