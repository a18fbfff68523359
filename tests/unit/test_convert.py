"""convert: what it refuses, what it says, and what it leaves alone."""

from __future__ import annotations

import copy
import dataclasses
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import IF, LIF, QCFS, ConversionError, GroupNeuron, Rule, convert, verify
from spikebridge.conversion import Activation, Recipe, Site
from spikebridge.conversion.histogram import Histogram
from spikebridge.core.time import Folded

from ..networks import NETWORKS, network

HERE = Path(__file__).name
TOLERANCE = 1e-6


def linear_relu() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()


def neurons_of(model: nn.Module) -> list[nn.Module]:
    return [module.module for module in model.modules() if isinstance(module, Folded)]


def network_without_input() -> nn.Module:
    class NoInput(nn.Module):
        def forward(self) -> Tensor:
            return torch.zeros(2, 3)

    return NoInput().eval()


# --- every form of a ReLU is a site of its own ---------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        lambda self, x: F.relu(x),
        lambda self, x: F.relu(x + 0.0, inplace=True),
        lambda self, x: torch.relu(x),
        lambda self, x: torch.relu_(x + 0.0),
        lambda self, x: F.relu_(x + 0.0),
        lambda self, x: x.relu(),
        lambda self, x: (x + 0.0).relu_(),
        lambda self, x: self.act(x),
        lambda self, x: self.inplace(x + 0.0),
    ],
)
@torch.no_grad()
def test_every_form_of_relu_becomes_a_neuron(form) -> None:
    model = network(form, act=nn.ReLU(), inplace=nn.ReLU(inplace=True))
    x = torch.randn(64, 5)
    conversion = convert(model, x, members=4096, thresholds="max")
    assert len(conversion.report.neurons) == 1
    assert torch.allclose(conversion.model(x), F.relu(x), atol=1e-3)


@torch.no_grad()
def test_a_module_called_three_times_is_three_sites() -> None:
    model = network(lambda self, x: self.act(self.act(self.act(x) + 1) + 1), act=nn.ReLU())
    conversion = convert(model, torch.randn(32, 5), thresholds="max")
    thresholds = [site.threshold[1] for site in conversion.report.neurons]
    assert len(thresholds) == 3
    assert thresholds[0] + 1 == pytest.approx(thresholds[1])
    assert len({id(neuron) for neuron in neurons_of(conversion.model)}) == 3


@torch.no_grad()
def test_an_in_place_activation_changes_its_operand_for_later_readers() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = self.fc(x)
        z = F.relu(y, inplace=True)
        return z + y  # y is rectified by now

    model, x = network(forward, fc=nn.Linear(4, 4)), torch.randn(32, 4)
    found = convert(model, x, members=8192, thresholds="max").model(x)
    assert torch.allclose(found, model(x), atol=1e-3)
    assert torch.allclose(model(x), 2 * F.relu(model.fc(x)), atol=TOLERANCE)


# --- what cannot be converted is named, all of it ------------------------------------------------------------


def test_all_unconvertible_calls_are_listed_with_name_and_line() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = self.act(self.fc(x))
        x = torch.cumprod(x, 1)
        x = x.sort(1)[0]
        return self.tail(x).logsumexp(1, keepdim=True)

    model = network(forward, fc=nn.Linear(4, 4), act=nn.ReLU(), tail=nn.Sequential(nn.Softmin(1)))
    with pytest.raises(ConversionError) as caught:
        convert(model, torch.randn(8, 4))
    message = str(caught.value)
    line = forward.__code__.co_firstlineno
    assert "Cannot convert 4 calls of Wrapped" in message
    assert re.search(rf"'cumprod' \(cumprod\) at .*{HERE}:{line + 2}: no rule", message)
    assert re.search(rf"'sort' \(.sort\) at .*{HERE}:{line + 3}: no rule", message)
    assert re.search(rf"'tail.0' \(Softmin\) at .*{HERE}:{line + 4}: no rule", message)
    assert re.search(rf"'logsumexp' \(.logsumexp\) at .*{HERE}:{line + 4}: no rule", message)
    assert "pass a Rule for each in rules=" in message
    assert "unsupported='differential'" in message


@torch.no_grad()
def test_calls_without_a_rule_may_run_on_running_means() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return torch.relu(self.fc(x)).cumprod(1).logsumexp(1, keepdim=True)

    model, x = network(forward, fc=nn.Linear(4, 4)), torch.randn(16, 4)
    conversion = convert(model, x, unsupported="differential", members=4096, time_steps=3)
    assert torch.allclose(conversion.model(x), model(x), atol=1e-3)
    rows = {row.operation: row for row in conversion.report.sites}
    assert rows[".cumprod"].fidelity == "analog"
    assert "no rule" in rows[".cumprod"].note
    kept = convert(model, x, unsupported="keep", members=4096, time_steps=3)
    assert {row.operation: row.fidelity for row in kept.report.sites}[".cumprod"] == "approximate"
    alone = convert(model, x, unsupported="keep", members=4096)
    assert torch.allclose(alone.model(x), model(x), atol=1e-3)  # at T = 1 nothing is left to go wrong


def test_a_module_only_torch_calls_is_located_at_its_class() -> None:
    with pytest.raises(ConversionError, match=r"'1' \(Softmin\) at .*activation.py:\d+: no rule"):
        convert(nn.Sequential(nn.ReLU(), nn.Softmin(1)).eval(), torch.randn(2, 3))


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (lambda self, x: torch.relu(x).mean(0), "averages over the batch"),
        (lambda self, x: torch.relu(x).mean(), "averages over the batch"),
        (lambda self, x: torch.relu(x).flatten(), "flattens the batch axis"),
        (lambda self, x: F.dropout(torch.relu(x), 0.5), "drops units in eval mode too"),
        (lambda self, x: self.norm(torch.relu(x)), "normalises by the statistics of the batch"),
        (lambda self, x: self.pool(torch.relu(x))[0], "returns indices"),
    ],
)
def test_calls_that_would_go_wrong_silently_are_refused(forward, reason: str) -> None:
    modules = {"norm": nn.BatchNorm1d(6, track_running_stats=False), "pool": nn.MaxPool1d(2, return_indices=True)}
    with pytest.raises(ConversionError, match=reason):
        convert(network(forward, **modules), torch.randn(4, 6))


def test_a_subclass_with_a_forward_of_its_own_is_not_taken_for_its_base() -> None:
    class Wrong(nn.ReLU):
        def forward(self, x: Tensor) -> Tensor:
            return F.softmin(x, 1)

    class Renamed(nn.ReLU):
        pass

    with pytest.raises(ConversionError, match=r"\(softmin\)"):
        convert(nn.Sequential(Wrong()).eval(), torch.randn(2, 3))
    assert len(convert(nn.Sequential(Renamed()).eval(), torch.randn(2, 3)).report.neurons) == 1


def test_a_branch_on_values_is_located() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return x
        return torch.relu(x)

    line = forward.__code__.co_firstlineno + 1
    with pytest.raises(ConversionError, match=rf"Cannot trace Wrapped: .*{HERE}:{line}.*must not branch on values"):
        convert(network(forward), torch.randn(2, 3))


def test_a_trace_that_is_not_the_network_is_noticed() -> None:
    calls = []

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        calls.append(1)
        return torch.relu(x) + float(len(calls))

    with pytest.raises(ConversionError, match="does not compute what the network does"):
        convert(network(forward), torch.randn(2, 3))


def test_an_iadd_on_a_shared_tensor_is_noticed() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = torch.relu(self.fc(x))
        z = y
        z += 1.0
        return y + z  # y has changed too; tracing cannot see that

    with pytest.raises(ConversionError, match="an in-place change of a shared tensor"):
        convert(network(forward, fc=nn.Linear(3, 3)), torch.randn(2, 3))


def test_a_batch_axis_that_moves_is_refused() -> None:
    model = network(lambda self, x: torch.relu(x).view(2, -1))
    with pytest.raises(ConversionError, match=r"'view' at .*: cannot run with another batch size"):
        convert(model, torch.randn(4, 3))
    model = network(lambda self, x: torch.relu(x).transpose(0, 1).contiguous())
    with pytest.raises(ConversionError, match=r"'transpose' at .* turns a batch of 2 into shape \(3, 2\)"):
        convert(model, torch.randn(4, 3))


def test_networks_of_several_inputs_or_outputs_are_refused() -> None:
    class TwoIn(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return torch.relu(x) + y

    with pytest.raises(ConversionError, match=r"takes 2 inputs \(x, y\)"):
        convert(TwoIn().eval(), torch.randn(2, 3))
    with pytest.raises(ConversionError, match=r"takes 0 inputs \(\)"):
        convert(network_without_input(), torch.randn(2, 3))
    with pytest.raises(ConversionError, match="The network returns tuple"):
        convert(network(lambda self, x: (torch.relu(x), x)), torch.randn(2, 3))


@torch.no_grad()
@pytest.mark.parametrize("samples", [3, 4])
def test_samples_that_mix_unseen_by_shapes_are_noticed(samples: int) -> None:
    """A mean over axis -2 of a square batch keeps its shape; only another batch size gives it away."""
    model = network(lambda self, x: torch.relu(x) + torch.relu(x).mean(-2))
    with pytest.raises(ConversionError, match=r"keep the batch axis first|mixes the samples"):
        convert(model, torch.randn(samples, 4))


def test_a_batch_size_used_as_a_number_is_refused() -> None:
    with pytest.raises(ConversionError, match="adds a size to a tensor"):
        convert(network(lambda self, x: torch.relu(x) + x.size(0)), torch.randn(4, 3))


def test_small_outputs_do_not_hide_a_wrong_trace() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        y = torch.relu(self.fc(x))
        z = y
        z += 1.0
        return 1e-6 * self.fc(y + z)

    with pytest.raises(ConversionError, match="does not compute what the network does"):
        convert(network(forward, fc=nn.Linear(3, 3)), torch.randn(2, 3))


@torch.no_grad()
def test_the_input_and_the_modules_state_are_untouched() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.calls.add_(1)
            return F.relu(x, inplace=True)

    model, x = Counting().eval(), torch.randn(6, 4)
    before = x.clone()
    convert(model, x)
    assert torch.equal(x, before)
    assert model.calls.item() == 0


@torch.no_grad()
def test_a_shared_in_place_module_is_redirected_at_each_call() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        a = self.act(self.fc(x))
        b = self.fc(a)
        c = self.act(b)
        return b + c

    model, x = network(forward, fc=nn.Linear(4, 4), act=nn.ReLU(inplace=True)), torch.randn(32, 4)
    found = convert(model, x, members=8192, thresholds="max").model(x)
    assert torch.allclose(found, model(x), atol=1e-3)


@torch.no_grad()
def test_each_call_of_a_shared_module_gets_the_replacement_made_for_it() -> None:
    made = []

    def replace(site: Site) -> nn.Module:
        made.append(site.name)
        return Times(float(len(made)))

    rule = Rule(name="times", matches=(Times,), replace=replace, example=lambda: None)
    shared = Times(0.0)
    model = nn.Sequential(nn.ReLU(), shared, shared, nn.ReLU()).eval()
    shared.factor = 1.0
    x = torch.rand(5, 3)
    found = convert(model, x, rules=[rule], members=4096, thresholds="max", granularity="layer").model(x)
    assert made == ["1", "1#2"]
    # The last neuron saturates at what calibration saw, which is x; below that its input is 1 * 2 * x.
    assert torch.allclose(found, (2 * x).clamp(max=x.max()), atol=1e-3)


@torch.no_grad()
def test_a_network_may_use_the_names_the_graph_uses() -> None:
    modules = {"repeat_over_time": nn.Linear(4, 4), "relu": nn.Linear(4, 4), "fc": nn.Linear(4, 4)}
    model = network(lambda self, x: self.relu(torch.relu(self.repeat_over_time(x)) + self.fc(x)), **modules)
    x = torch.randn(16, 4)
    found = convert(model, x, members=8192, thresholds="max", time_steps=2).model(x)
    assert torch.allclose(found, model(x), atol=1e-3)


@torch.no_grad()
def test_a_whole_converted_network_survives_pickling(tmp_path: Path) -> None:
    for name, build in NETWORKS.items():
        model, x = build(nn.ReLU).eval(), torch.rand(16, 1, 8, 8)
        snn = convert(model, x, time_steps=2).model
        torch.save(snn, tmp_path / name)
        again = torch.load(tmp_path / name, weights_only=False)
        assert torch.equal(again(x, time_steps=3), snn(x, time_steps=3))


def test_networks_that_are_something_else_already_are_refused() -> None:
    model, x = linear_relu(), torch.randn(2, 4)
    with pytest.raises(ConversionError, match=r"is compiled; convert the original"):
        convert(torch.compile(model), x)
    with pytest.raises(ConversionError, match="is scripted"):
        convert(torch.jit.trace(model, x), x)
    with pytest.raises(ConversionError, match=r"has spiking neurons already: '1' \(IF\)"):
        convert(nn.Sequential(nn.Linear(4, 4), IF(), nn.ReLU()).eval(), x)
    with pytest.raises(ConversionError, match=r"float32 or float64 weights; got torch.bfloat16"):
        convert(linear_relu().bfloat16(), x.bfloat16())


@torch.no_grad()
def test_a_bare_activation_and_double_precision_convert() -> None:
    x = torch.randn(20, 4, dtype=torch.float64)
    quantised = QCFS(levels=4).double().eval()
    snn = convert(quantised, x, members=4).model
    assert snn(x).dtype == torch.float64
    assert torch.equal(snn(x), quantised(x))


def test_calls_of_the_result_are_checked() -> None:
    snn = convert(linear_relu(), torch.randn(4, 4)).model
    with pytest.raises(ValueError, match=r"expects values of 2 axes, .*as in calibration; got shape \(4,\)"):
        snn(torch.randn(4))
    with pytest.raises(ValueError, match=r"got shape \(0, 4\)"):
        snn(torch.randn(0, 4))


@torch.no_grad()
def test_further_arguments_keep_their_defaults() -> None:
    class Optional(nn.Module):
        def forward(self, x: Tensor, mask: Tensor | None = None, twice: bool = True, *, shift: float = 1.0) -> Tensor:
            x = x if mask is None else x + mask
            return F.relu(input=2 * x if twice else x) + shift

    x = torch.randn(16, 3)
    snn = convert(Optional().eval(), x, members=4096, thresholds="max", time_steps=2).model
    assert torch.allclose(snn(x), Optional()(x), atol=1e-3)


def test_a_network_without_an_activation_is_refused() -> None:
    with pytest.raises(ConversionError, match="has no activation that could become a neuron"):
        convert(nn.Sequential(nn.Linear(3, 3)).eval(), torch.randn(2, 3))


def test_training_mode_is_refused() -> None:
    x = torch.randn(2, 4)
    with pytest.raises(ConversionError, match=r"in training mode: the network. Call model.eval\(\)"):
        convert(linear_relu().train(), x)
    model = nn.Sequential(nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5)).eval()
    for child in model:
        child.train()
    with pytest.raises(ConversionError, match=r"in training mode: '0', '2'. Call model.eval\(\)"):
        convert(model, x)


@torch.no_grad()
def test_an_activation_put_in_after_eval_does_no_harm() -> None:
    model, x = linear_relu(), torch.randn(6, 4)
    model[1] = QCFS(levels=4)  # a new module is in training mode, which means nothing to it
    assert torch.equal(convert(model, x, members=4).model(x), model(x))


# --- calibration data ----------------------------------------------------------------------------------------


def test_bad_calibration_data_is_refused() -> None:
    model = linear_relu()
    with pytest.raises(ConversionError, match=r"batches is empty\. Pass at least one batch"):
        convert(model, [])
    with pytest.raises(ConversionError, match=r"batch 1 holds NaN or infinite values"):
        convert(model, [torch.randn(2, 4), torch.full((2, 4), float("nan"))])
    with pytest.raises(ConversionError, match=r"batch 0 holds NaN or infinite values"):
        convert(model, [torch.full((2, 4), float("inf"))])
    with pytest.raises(ConversionError, match=r"batch 0 has shape \(4,\); expected \[batch, \*unit\]"):
        convert(model, [torch.randn(4)])
    with pytest.raises(ConversionError, match=r"cannot run calibration batch 0, of shape \(2, 5\) and torch.float32"):
        convert(model, torch.randn(2, 5))
    with pytest.raises(ConversionError, match=r"cannot run calibration batch 0, of shape \(2, 4\) and torch.int64"):
        convert(model, torch.zeros(2, 4, dtype=torch.long))
    with pytest.raises(ConversionError, match=r"batch 0 has shape \(0, 4\)"):
        convert(model, [torch.randn(0, 4)])
    with pytest.raises(TypeError, match=r"batches of tensors, or of \(tensor, ...\); batch 0 is str"):
        convert(model, ["abc"])


def test_a_model_on_another_device_than_its_data_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"batch 0 is on cpu, the model on meta. .*model.to\('cpu'\)"):
        convert(linear_relu().to("meta"), torch.randn(2, 4))


def test_activations_that_overflow_are_located() -> None:
    model = network(lambda self, x: torch.relu(self.fc(x)), fc=nn.Linear(4, 4))
    with torch.no_grad():
        model.fc.weight.fill_(float("inf"))
    with pytest.raises(ConversionError, match=rf"NaN or infinite values in 'fc' at .*{HERE}"):
        convert(model, torch.randn(2, 4))


def test_an_activation_that_is_never_active_is_located() -> None:
    model = network(lambda self, x: torch.relu(self.fc(x.relu())), fc=nn.Linear(4, 4))
    with torch.no_grad():
        model.fc.weight.fill_(-1.0)
        model.fc.bias.zero_()
    with pytest.raises(ConversionError, match=rf"'relu_1' \(relu\) at .*{HERE}:\d+ was \(almost\) never active"):
        convert(model, torch.randn(8, 4))


def test_thresholds_from_the_model_alone_can_be_demanded() -> None:
    two = nn.Sequential(nn.ReLU(), nn.Linear(4, 4), nn.ReLU()).eval()
    with pytest.raises(ConversionError, match=r"(?s)'0' \(ReLU\).*brings no threshold.*'2' \(ReLU\)"):
        convert(two, torch.randn(8, 4), thresholds="from_model")
    own = nn.Sequential(nn.Linear(4, 4), QCFS(levels=4)).eval()
    assert len(convert(own, torch.randn(8, 4), thresholds="from_model").report.neurons) == 1


@pytest.mark.parametrize("form", ["tensor", "tensors", "pairs", "lists", "generator"])
def test_calibration_data_of_any_usual_form(form: str) -> None:
    x, y = torch.randn(12, 4), torch.zeros(12)
    forms = {
        "tensor": x,
        "tensors": [x[:6], x[6:]],
        "pairs": [(x, y)],
        "lists": [[x, y]],
        "generator": (batch for batch in x.split(5)),
    }
    conversion = convert(linear_relu(), forms[form], thresholds="max")
    assert len(conversion.report.neurons) == 1


@pytest.mark.parametrize("policy", ["mse", "lloyd", "max", "percentile:99.9"])
def test_thresholds_do_not_depend_on_batching_or_order(policy: str) -> None:
    model, x = NETWORKS["residual cnn"](nn.ReLU).eval(), torch.rand(120, 1, 8, 8)
    ways = [[x], list(x.split(7)), list(x.flip(0).split(50))]
    found = [[s.threshold for s in convert(model, way, thresholds=policy).report.neurons] for way in ways]
    for other in found[1:]:
        for (low, _), (expected, _) in zip(other, found[0], strict=True):
            # Convolutions of another batch size round differently, which can move a value to the next bin: 0.3 %.
            assert low == pytest.approx(expected, rel=6e-3)


def test_histograms_do_not_depend_on_order_and_survive_an_outlier() -> None:
    values = torch.cat([torch.rand(100_000), torch.full((1,), 3000.0), torch.zeros(1000)])
    ways = [[values], list(values.split(777)), list(values.flip(0).split(5000))]
    histograms = [Histogram(rows=1) for _ in ways]
    for histogram, way in zip(histograms, ways, strict=True):
        for part in way:
            histogram.add(part[None])
    for percent in (0.5, 50.0, 99.0, 99.9, 100.0):
        found = {histogram.percentile(percent).item() for histogram in histograms}
        assert len(found) == 1
        exact = torch.quantile(values.double(), percent / 100).item()
        assert found.pop() == pytest.approx(exact, rel=4e-3)


# --- settings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"time_steps": 0}, ValueError, "convert expects time_steps >= 1; got 0"),
        ({"time_steps": 1.5}, TypeError, "convert expects time_steps to be an int; got 1.5"),
        ({"members": 0}, ValueError, "convert expects members >= 1, a whole number; got 0"),
        ({"members": -3}, ValueError, "got -3"),
        ({"neuron": "LIF"}, ValueError, "one of group, signed-group, if, or a function"),
        ({"neuron": 3}, TypeError, "a name or a function site -> Neuron; got 3"),
        ({"neuron": lambda site: nn.ReLU()}, TypeError, "must return a Neuron; for site '1' it returned ReLU"),
        ({"neuron": LIF}, TypeError, "got LIF. Every site needs a neuron of its own: neuron=lambda site: LIF("),
        ({"neuron": LIF()}, TypeError, "got LIF. Every site needs a neuron of its own"),
        ({"granularity": "neuron"}, ValueError, "granularity to be one of channel, layer; got 'neuron'"),
        ({"calibrate": True}, ValueError, "calibrate to be one of none, bias, weights; got True"),
        ({"max_pool": "sum"}, ValueError, "max_pool to be one of exact, pre, average; got 'sum'"),
        ({"unsupported": "skip"}, ValueError, "unsupported to be one of error, differential, keep; got 'skip'"),
        ({"thresholds": "percentile:0"}, ValueError, "'percentile:P' with 0 < P <= 100"),
        ({"thresholds": "percentile:many"}, ValueError, "got 'percentile:many'"),
        ({"thresholds": "mean"}, ValueError, "got 'mean'"),
        (
            {"thresholds": 99.9},
            TypeError,
            "convert expects thresholds to be a text such as 'mse'; got 99.9",
        ),
    ],
)
def test_bad_settings_are_refused(settings: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        convert(linear_relu(), torch.randn(4, 4), **settings)


def test_what_is_not_a_module_is_refused() -> None:
    with pytest.raises(TypeError, match=r"convert expects an nn.Module; got function"):
        convert(lambda x: x, torch.randn(2, 3))


def test_time_is_a_dial_and_checked() -> None:
    snn = convert(linear_relu(), torch.randn(4, 4), time_steps=2).model
    assert snn.train_out(torch.randn(3, 4)).shape == (2, 3, 3)
    assert snn.readouts(torch.randn(3, 4), time_steps=5).shape == (5, 3, 3)
    with pytest.raises(ValueError, match="ConvertedNetwork expects time_steps >= 1; got 0"):
        snn(torch.randn(3, 4), time_steps=0)


@pytest.mark.parametrize(
    ("neuron", "kind"), [("group", GroupNeuron), ("signed-group", GroupNeuron), ("if", IF), (lambda site: LIF(), LIF)]
)
def test_neuron_by_name_or_by_function(neuron: object, kind: type[nn.Module]) -> None:
    conversion = convert(linear_relu(), torch.randn(8, 4), neuron=neuron)
    assert [type(module) for module in neurons_of(conversion.model)] == [kind]
    assert neurons_of(conversion.model)[0].label == "1"


def test_a_rule_of_ones_own_comes_first() -> None:
    class Square(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * x

    def square(site: Site) -> Activation:
        return Activation(analog=True)

    rule = Rule(name="square", matches=(Square,), activation=square, example=lambda: None)
    conversion = convert(nn.Sequential(nn.Linear(3, 3), Square()).eval(), torch.randn(8, 3), rules=[rule])
    assert [site.name for site in conversion.report.neurons] == ["1"]


def test_recipe_prints_and_round_trips() -> None:
    recipe = Recipe(neuron="if", time_steps=8, thresholds="max")
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert "time_steps  8" in str(recipe)
    with pytest.raises(TypeError, match="has no JSON form"):
        Recipe(neuron=lambda site: LIF()).to_json()


# --- the source is left alone --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_the_source_is_untouched_by_success_and_by_failure(name: str) -> None:
    model = NETWORKS[name](lambda: nn.ReLU(inplace=True)).eval()
    before = copy.deepcopy(model.state_dict())
    flags = [(module.training, getattr(module, "inplace", None)) for module in model.modules()]
    snn = convert(model, torch.rand(16, 1, 8, 8)).model
    with torch.no_grad():
        for parameter in snn.parameters():
            parameter.zero_()
    with pytest.raises(ConversionError):
        convert(model, torch.full((4, 1, 8, 8), float("nan")))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [(module.training, getattr(module, "inplace", None)) for module in model.modules()] == flags
    assert not any(module._forward_hooks for module in model.modules())


@torch.no_grad()
def test_conversion_is_deterministic_and_survives_copy_and_state_dict() -> None:
    model, x = NETWORKS["residual cnn"](nn.ReLU).eval(), torch.rand(16, 1, 8, 8)
    first, second = (convert(model, x, time_steps=3).model for _ in range(2))
    assert torch.equal(first(x), second(x))
    assert torch.equal(copy.deepcopy(first)(x), first(x))
    for value in second.state_dict().values():
        value.zero_()
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(x), second(x))


def test_report_prints_one_line_per_call() -> None:
    report = convert(NETWORKS["max-pool cnn"](nn.ReLU).eval(), torch.rand(4, 1, 8, 8)).report
    text = str(report)
    assert len(text.splitlines()) == 2 + len(report.sites) + len(report.summary)
    assert re.search(
        r"act1 +ReLU +approximate +GroupNeuron +[\d.]+.* +clipped at the threshold, 16 levels per step", text
    )
    assert re.search(r"pool +MaxPool2d +analog +itself .* on running means; with real numbers when T > 1", text)
    assert all(re.search(r":\d+$", site.location) for site in report.sites)


@torch.no_grad()
def test_what_precedes_the_first_neuron_runs_once() -> None:
    sizes = []
    model = linear_relu()
    model[0].register_forward_hook(lambda _, inputs, __: sizes.append(inputs[0].shape[0]))
    snn = convert(model, torch.randn(6, 4), time_steps=5).model
    sizes.clear()
    snn(torch.randn(3, 4))
    assert sizes == [3]


@torch.no_grad()
def test_max_pool_is_exact_on_the_cumulative_value_at_every_prefix() -> None:
    model = nn.Sequential(QCFS(levels=4, threshold=1.0), nn.MaxPool1d(2)).eval()
    activation = nn.Sequential(model[0]).eval()
    x = torch.randn(50, 3, 8)
    pooled = convert(model, x, members=2, time_steps=6).model.train_out(x).cumsum(0)
    spikes = convert(activation, x, members=2, time_steps=6).model.train_out(x).cumsum(0)
    for t in range(6):
        assert torch.allclose(pooled[t], F.max_pool1d(spikes[t], 2), atol=TOLERANCE)


# --- what stands in for other calls --------------------------------------------------------------------------


class Times(nn.Module):
    """Multiplies by a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


@pytest.mark.parametrize("max_pool", ["exact", "pre", "average"])
@pytest.mark.parametrize("calibrate", ["none", "bias", "weights"])
@torch.no_grad()
def test_the_quantised_twin_has_the_pools_of_the_converted_network(max_pool: str, calibrate: str) -> None:
    settings = {"max_pool": max_pool, "calibrate": calibrate, "members": 4}
    for activation in (nn.ReLU, partial(QCFS, levels=4, threshold=1.0)):
        model, x = NETWORKS["max-pool cnn"](activation).eval(), torch.rand(64, 1, 8, 8)
        conversion = convert(model, x, **settings)
        assert torch.allclose(conversion.model(x), conversion.quantised(x), atol=1e-5)
        assert verify(conversion, conversion.quantised)


@torch.no_grad()
def test_the_quantised_twin_has_what_a_rule_of_ones_own_builds() -> None:
    rule = Rule(name="times", matches=(Times,), replace=lambda site: Times(3.0), example=lambda: None)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), Times(1.0), nn.Linear(8, 3)).eval()
    x = torch.randn(32, 4)
    for calibrate in ("none", "bias", "weights"):
        conversion = convert(model, x, rules=[rule], calibrate=calibrate)
        assert torch.allclose(conversion.model(x), conversion.quantised(x), atol=1e-5)
        assert [module.factor for module in conversion.quantised.modules() if isinstance(module, Times)] == [3.0]
    assert model[2].factor == 1.0


@torch.no_grad()
def test_calibration_sees_what_stands_in_for_a_call() -> None:
    """The bias makes up for the lower means of average pools, which it can only do if it is fitted behind them."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(2, 6, 3), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(6, 5, 2), nn.ReLU()).eval()
    x = torch.randn(256, 2, 20)
    expected, off = model(x), {}
    for calibrate in ("none", "bias"):
        found = convert(model, x, max_pool="average", calibrate=calibrate).model(x)
        off[calibrate] = (found.mean((0, 2)) - expected.mean((0, 2))).abs().max()
    assert off["bias"] < 0.5 * off["none"]


def test_a_rule_that_builds_no_module_is_refused() -> None:
    for made in (torch.relu, IF()):
        rule = Rule(name="times", matches=(Times,), replace=lambda site, made=made: made, example=lambda: None)
        with pytest.raises(
            TypeError, match=r"Rule 'times' must replace '1' \(Times\) at .* by an nn.Module that knows"
        ):
            convert(nn.Sequential(nn.ReLU(), Times(1.0)).eval(), torch.randn(2, 3), rules=[rule])


def test_the_report_names_what_stands_in_the_network() -> None:
    class Mine(GroupNeuron):
        pass

    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.GELU(), nn.Flatten(), nn.Linear(36, 3))
    conversion = convert(
        model.eval(),
        torch.randn(8, 1, 8, 8),
        neuron=lambda site: Mine(threshold=site.threshold, members=4, negative=site.activation.negative),
        max_pool="average",
        time_steps=2,
    )
    names = [site.becomes for site in conversion.report.sites]
    assert names == ["itself", "Mine", "AvgPool2d", "GELU + Mine", "itself", "itself"]
    assert "GroupNeuron" not in "".join(names)
    signed = convert(model, torch.randn(8, 1, 8, 8), neuron="if").report
    assert [site.becomes for site in signed.neurons] == ["IF", "GELU + GroupNeuron"]


def test_the_report_names_a_replacement_that_claims_to_be_exact() -> None:
    rule = Rule(name="times", matches=(Times,), replace=lambda site: nn.Identity(), example=lambda: None)
    kept = Rule(name="times", matches=(Times,), replace=lambda site: None, example=lambda: None)
    analog = dataclasses.replace(rule, linear=lambda site: False)
    model, x = nn.Sequential(nn.ReLU(), Times(1.0), nn.Linear(4, 2)).eval(), torch.randn(8, 4)
    for each, name in ((rule, "Identity"), (analog, "Identity"), (kept, "itself")):
        assert convert(model, x, rules=[each], time_steps=2).report.sites[1].becomes == name


def test_weights_that_were_corrected_are_still_the_layer_itself() -> None:
    report = convert(linear_relu(), torch.randn(64, 4), calibrate="weights").report
    assert [site.becomes for site in report.sites] == ["itself", "GroupNeuron", "itself"]
    assert report.sites[2].note == "weights corrected by least squares"


def test_neurons_of_two_sites_are_two() -> None:
    shared = GroupNeuron(threshold=1.0, members=4)
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU()).eval()
    with pytest.raises(TypeError, match=r"must return a new neuron for every site; for '3' it returned that of '1'"):
        convert(model, torch.randn(8, 4), neuron=lambda site: shared)
