"""A stem of its own for the analog step."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from spikebridge import LIF, OverTime, declare_time
from spikebridge.blocks import HybridStem, StepNorm


def layers(channels: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, channels, 3, padding=1), nn.BatchNorm2d(channels))


def train_of(time: int = 4) -> torch.Tensor:
    return torch.rand(time, 3, 1, 5, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("step", "reached"), [(0, "first"), (1, "rest"), (3, "rest")])
def test_gradient_of_a_step_reaches_its_own_layers_only(step: int, reached: str) -> None:
    stem = HybridStem(layers(), layers())
    (stem(train_of())[step] ** 2).sum().backward()
    for name, parameter in stem.named_parameters():
        has_gradient = parameter.grad is not None and bool(parameter.grad.any())
        assert has_gradient == name.startswith(reached)


def test_gradient_of_the_other_steps_skips_the_first_layers() -> None:
    stem, train = HybridStem(layers(), layers()), train_of().requires_grad_()
    sent = stem(train)
    (slope,) = torch.autograd.grad((sent[1:] ** 2).sum(), train, retain_graph=True)
    assert not slope[0].any()
    (slope,) = torch.autograd.grad((sent[0] ** 2).sum(), train)
    assert not slope[1:].any()


def test_equals_both_layers_apart_with_statistics_of_their_own() -> None:
    first, rest = layers(), layers()
    stem, train = HybridStem(first, rest), train_of()
    sent = stem(train)
    assert torch.equal(sent[0], first(train[0]))
    assert torch.equal(sent[1:], OverTime(rest)(train[1:]))
    assert not torch.equal(first[1].running_mean, rest[1].running_mean)


def test_pieces_of_a_train_equal_the_whole() -> None:
    stem, train = HybridStem(layers(), layers()).eval(), train_of(5)
    sent, state = stem.resume(train[:1])
    later, state = stem.resume(train[1:3], state)
    last, _ = stem.resume(train[3:], state)
    assert torch.allclose(torch.cat([sent, later, last]), stem(train), atol=1e-6)


def test_one_step_is_the_first_layers_alone() -> None:
    stem, train = HybridStem(layers(), layers()), train_of(1)
    assert torch.equal(stem(train)[0], stem.first(train[0]))


def test_compiles_without_a_break() -> None:
    stem, train = HybridStem(layers(), layers()).eval(), train_of()
    compiled = torch.compile(stem, fullgraph=True, backend="aot_eager")
    assert torch.allclose(compiled(train), stem(train), atol=1e-6)


def test_train_of_another_length_is_refused_by_name() -> None:
    network = declare_time(nn.Sequential(HybridStem(layers(), layers()), LIF()), time_steps=4)
    with pytest.raises(ValueError, match=re.escape("HybridStem '0' expects a train [time=4, batch, *unit]; got shape")):
        network(train_of(3))


def test_a_norm_of_each_step_is_refused_within_and_taken_behind() -> None:
    first, rest = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 3)
    norm = StepNorm(4, time_steps=4, mode="per-step")
    with pytest.raises(ValueError, match=r"'rest\.1' \(StepNorm\) takes trains\. .* come after: nn\.Sequential\(Hyb"):
        HybridStem(first, nn.Sequential(rest, norm))
    train = train_of()
    sent = declare_time(nn.Sequential(HybridStem(first, rest), norm), time_steps=4)(train)
    alone = [nn.BatchNorm2d(4)(layer(step)) for layer, step in zip((first, rest, rest, rest), train, strict=True)]
    assert torch.allclose(sent, torch.stack(alone), atol=1e-5)


def test_layers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"HybridStem expects rest to know no time; 'rest\.2' \(LIF\) takes trains"):
        HybridStem(layers(), nn.Sequential(*layers(), LIF()))
    with pytest.raises(ValueError, match=r"HybridStem expects first to know no time; 'first' \(LIF\) takes trains"):
        HybridStem(LIF(), layers())
    with pytest.raises(TypeError, match=r"HybridStem expects first to be a module, such as nn.Conv2d\(3, 32, 3\)"):
        HybridStem(torch.relu, layers())
    with pytest.raises(ValueError, match=r"first gave \(3, 4, 5, 5\) and rest \(3, 6, 5, 5\). Give both the same"):
        HybridStem(layers(), layers(6))(train_of())
