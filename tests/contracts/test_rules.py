"""What holds for every conversion rule: its own example converts, and keeps the promise of its fidelity."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikebridge import QCFS, Rule, convert
from spikebridge.conversion import RULES

TOLERANCE = 1e-5
MEMBERS = 16

SPIKING = [rule for rule in RULES if rule.fidelity == "spiking"]
STATELESS = [rule for rule in RULES if rule.fidelity != "spiking"]

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def after_spikes(rule: Rule) -> tuple[nn.Module, nn.Module, torch.Tensor]:
    """The example behind an activation, the activation alone, and an input of both signs."""
    module, values = rule.example()
    activation = QCFS(levels=MEMBERS, threshold=1.0)
    return nn.Sequential(activation, module).eval(), nn.Sequential(activation).eval(), values


def test_rules_exist_and_have_names_of_their_own() -> None:
    assert len(RULES) >= 10
    assert SPIKING and STATELESS
    assert len({rule.name for rule in RULES}) == len(RULES)


@every_rule
def test_rule_speaks_for_its_own_example(rule: Rule) -> None:
    network, _, values = after_spikes(rule)
    rows = convert(network, values, members=MEMBERS, thresholds="max").report.sites
    assert any(row.fidelity == rule.fidelity for row in rows)
    assert len(rows) >= 2


@every_rule
@torch.no_grad()
def test_example_equals_the_network_at_one_step(rule: Rule) -> None:
    network, _, values = after_spikes(rule)
    conversion = convert(network, values, members=MEMBERS, thresholds="max")
    error = (conversion.model(values) - network(values)).abs().max().item()
    # Only QCFS was trained with these levels; any other activation is off by half a level, at most.
    rounding = [site.threshold[1] / MEMBERS / 2 for site in conversion.report.neurons if site.operation != "QCFS"]
    assert error <= sum(rounding) + TOLERANCE


@pytest.mark.parametrize("rule", STATELESS, ids=lambda rule: rule.name)
@torch.no_grad()
def test_stateless_rules_pass_the_mean_over_time(rule: Rule) -> None:
    """What the module makes of the mean spike train is the mean of what it makes of each step."""
    network, activation, values = after_spikes(rule)
    mean = convert(activation, values, members=3, time_steps=5).model(values)
    found = convert(network, values, members=3, time_steps=5).model(values)
    assert torch.allclose(found, network[1](mean), atol=TOLERANCE)


@pytest.mark.parametrize("rule", SPIKING, ids=lambda rule: rule.name)
@torch.no_grad()
def test_spiking_rules_approach_the_network_with_more_levels(rule: Rule) -> None:
    module, values = rule.example()
    module.eval()
    if isinstance(module[1], QCFS):
        module[1] = nn.ReLU().eval()
    errors = [
        (convert(module, values, members=members, thresholds="max").model(values) - module(values)).abs().max().item()
        for members in (4, 64, 1024)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-3
