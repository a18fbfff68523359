"""What holds for every conversion rule: its own example converts, and keeps the promise of its fidelity."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikebridge import QCFS, Rule, convert
from spikebridge.conversion import RULES

TOLERANCE = 1e-5
MEMBERS = 16

ACTIVATIONS = [rule for rule in RULES if rule.activation is not None]
STATELESS = [rule for rule in RULES if rule.activation is None]

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
every_stateless_rule = pytest.mark.parametrize("rule", STATELESS, ids=lambda rule: rule.name)


def after_spikes(rule: Rule) -> tuple[nn.Module, nn.Module, torch.Tensor]:
    """The example behind an activation, the activation alone, and an input of both signs."""
    module, values = rule.example()
    activation = QCFS(levels=MEMBERS, threshold=1.0)
    return nn.Sequential(activation, module).eval(), nn.Sequential(activation).eval(), values


def test_rules_exist_and_have_names_of_their_own() -> None:
    assert len(RULES) >= 30
    assert len(ACTIVATIONS) >= 5 and len(STATELESS) >= 20
    assert len({rule.name for rule in RULES}) == len(RULES)


@every_rule
def test_rule_speaks_for_its_own_example(rule: Rule) -> None:
    if all(isinstance(match, str) for match in rule.matches):
        pytest.skip("names functions of a library that need not be here; the zoo benchmark runs them")
    module, values = rule.example()
    network = nn.Sequential(nn.Identity(), QCFS(levels=MEMBERS), module).eval()
    others = tuple(other for other in RULES if other is not rule)
    seen: list[str] = []

    def note(site) -> str:  # type: ignore[no-untyped-def]
        seen.append(site.name)
        return ""

    spy = Rule(**{**vars(rule), "note": note})
    assert spy not in others
    convert(network, values, members=MEMBERS, rules=[spy])
    assert seen


@every_rule
@torch.no_grad()
def test_example_equals_the_network_at_one_step(rule: Rule) -> None:
    network, _, values = after_spikes(rule)
    conversion = convert(network, values, members=MEMBERS, thresholds="max", granularity="layer")
    error = (conversion.model(values) - network(values)).abs().max().item()
    # Only QCFS was trained with these levels; any other activation is off by half a level, at most.
    rounding = [site.threshold[1] / MEMBERS / 2 for site in conversion.report.neurons if site.operation != "QCFS"]
    assert error <= sum(rounding) + TOLERANCE


@every_stateless_rule
@pytest.mark.parametrize("neuron", ["group", "signed-group", "if"])
@torch.no_grad()
def test_stateless_rules_pass_the_mean_over_time_at_every_prefix(rule: Rule, neuron: str) -> None:
    """What the module makes of the mean of a spike train is the mean of what it sends, however long the train."""
    network, activation, values = after_spikes(rule)
    settings = {"neuron": neuron, "members": 3, "time_steps": 5}
    means = convert(activation, values, **settings).model.readouts(values)
    found = convert(network, values, **settings).model.readouts(values)
    for mean, readout in zip(means, found, strict=True):
        assert torch.allclose(readout, network[1](mean), atol=TOLERANCE)


@pytest.mark.parametrize("rule", ACTIVATIONS, ids=lambda rule: rule.name)
@pytest.mark.parametrize("policy", ["max", "mse"])
@torch.no_grad()
def test_activations_approach_the_network_with_more_levels(rule: Rule, policy: str) -> None:
    module, values = rule.example()
    module.eval()
    if isinstance(module[1], QCFS):
        module[1] = nn.ReLU().eval()
    errors = [
        (convert(module, values, members=members, thresholds=policy).model(values) - module(values)).abs().max().item()
        for members in (4, 64, 1024)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 2e-3


@pytest.mark.parametrize("rule", ACTIVATIONS, ids=lambda rule: rule.name)
@torch.no_grad()
def test_monotone_rules_do_not_fall(rule: Rule) -> None:
    if not rule.is_monotone:
        pytest.skip("does not say so")
    activation = rule.example()[0][1]
    values = torch.linspace(-8, 8, 1000)
    assert bool((activation(values).diff() >= 0).all())
