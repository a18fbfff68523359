"""explain: every call, its rule, its line, and a way out, without data."""

from __future__ import annotations

import copy
import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import ConversionError, Rule, convert, explain
from spikebridge.conversion import RULES

from ..networks import NETWORKS


class Mixed(nn.Module):
    """Calls of every kind, two of them without a rule."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm, self.act = nn.Linear(4, 4), nn.LayerNorm(4), nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.fc(x))
        x = self.act(self.norm(x))
        x = x.sort(1)[0]
        return torch.cumprod(x, 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_explain_promises_is_what_convert_does(name: str) -> None:
    model = NETWORKS[name](nn.ReLU).eval()
    explanation = explain(model)
    report = convert(model, torch.rand(8, 1, 8, 8)).report
    assert explanation.is_convertible
    assert [call.name for call in explanation.calls] == [site.name for site in report.sites]
    assert [call.location for call in explanation.calls] == [site.location for site in report.sites]
    assert [call.name for call in explanation.neurons] == [site.name for site in report.neurons]


def test_every_call_has_a_rule_or_none_a_line_and_a_way_out() -> None:
    explanation = explain(Mixed().eval())
    line = Mixed.forward.__code__.co_firstlineno
    rows = {call.operation: call for call in explanation.calls}
    assert rows["Linear"].becomes == "as it is, once per sample"
    assert rows["relu"].becomes == "a neuron" and rows["relu"].location.endswith(f":{line + 1}")
    assert rows["LayerNorm"].becomes == "on running means, with real numbers"
    assert rows["GELU"].becomes == "GELU itself, then a neuron"
    assert [call.operation for call in explanation.refused] == [".sort", "cumprod"]
    assert all(call.rule == "none" and call.rewrite for call in explanation.refused)
    assert "choose and sort after the network" in rows[".sort"].rewrite
    assert not explanation.is_convertible
    text = str(explanation)
    assert len(text.splitlines()) == len(explanation.calls) + 3
    assert re.search(r"2 of \d+ calls would be refused", text)


def test_a_refusal_says_its_reason() -> None:
    model = nn.Sequential(nn.ReLU(), nn.Flatten(0)).eval()
    assert "flattens the batch axis" in explain(model).refused[0].rewrite


def test_choices_and_rules_count() -> None:
    model = Mixed().eval()
    assert explain(model, unsupported="differential").is_convertible
    rules = [Rule(name="mine", matches=("sort", torch.cumprod), example=lambda: None)]
    assert {call.rule for call in explain(model, rules=rules).calls} >= {"mine"}
    with pytest.raises(ValueError, match="unsupported to be one of"):
        explain(model, unsupported="skip")


def test_a_network_without_activations_is_said_to_be_one() -> None:
    explanation = explain(nn.Sequential(nn.Linear(2, 2)).eval())
    assert not explanation.is_convertible
    assert "nothing to convert" in str(explanation)


def test_what_cannot_be_traced_is_an_error_and_the_network_is_untouched() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ConversionError, match=r"Cannot trace Branching.*must not branch on values"):
        explain(Branching().eval())
    model = Mixed().eval()
    before = copy.deepcopy(model.state_dict())
    explain(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_every_rule_has_a_name_that_explains_it() -> None:
    assert all(rule.name and rule.name == rule.name.strip() for rule in RULES)


def test_what_stands_in_for_a_call_is_named() -> None:
    model = NETWORKS["max-pool cnn"](nn.ReLU).eval()
    rows = {call.operation: call.becomes for call in explain(model, max_pool="average").calls}
    assert rows["MaxPool2d"] == rows["max_pool2d"] == "AvgPool2d in its place, on every step"
    assert {call.operation: call.becomes for call in explain(model, max_pool="pre").calls}["MaxPool2d"] == (
        "as it is, once per sample"
    )
