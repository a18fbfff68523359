"""What convert, explain and verify say to what cannot be right, and that they touch nothing."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from spikebridge import ConversionError, convert, explain, verify

from ..networks import network

HERE = Path(__file__).name


def linear_relu() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()


def snapshot(model: nn.Module) -> list[Any]:
    """All that a caller could find changed."""
    modules = [
        (name, type(m), m.training, list(m._forward_hooks), list(m._forward_pre_hooks), sorted(vars(m)))
        for name, m in model.named_modules()
    ]
    tensors = [*model.named_parameters(), *model.named_buffers()]
    flags = [(name, t.requires_grad, t.grad is None, t.data_ptr(), t._version) for name, t in tensors]
    return [*modules, *flags]


def refused(model: nn.Module, batches: Any, **settings: Any) -> str:
    """What convert says, having changed nothing."""
    before = snapshot(model)
    with pytest.raises(ConversionError) as caught:
        convert(model, batches, **settings)
    assert snapshot(model) == before
    assert torch.is_grad_enabled()
    return str(caught.value)


# --- networks ------------------------------------------------------------------------------------------------


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x) if x.sum() > 0 else x


class Failing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu({}["weights"])


@pytest.mark.parametrize(("kind", "said"), [(Branching, "control flow"), (Failing, "KeyError: 'weights'")])
def test_what_cannot_be_traced_is_named_with_its_module_and_line(kind: type[nn.Module], said: str) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(kind())).eval()
    line = kind.forward.__code__.co_firstlineno + 1
    wanted = rf"Cannot trace Sequential: in '1.0' \({kind.__name__}\), .*{said}.*\(at .*{HERE}:{line}\)"
    assert re.search(wanted, refused(model, torch.randn(4, 4)))
    with pytest.raises(ConversionError, match=wanted):
        explain(model)


def test_an_error_without_a_line_of_its_own_is_located_at_the_forward() -> None:
    class Generating(nn.Module):
        def forward(self, x: Tensor) -> Iterator[Tensor]:
            yield torch.relu(x)

    line = Generating.forward.__code__.co_firstlineno
    assert f"{HERE}:{line})" in refused(Generating().eval(), torch.randn(2, 3))


@pytest.mark.parametrize(
    ("forward", "kind"),
    [
        (lambda self, x: (torch.relu(x), x), "tuple"),
        (lambda self, x: {"logits": torch.relu(x)}, "dict"),
        (lambda self, x: None, "NoneType"),
    ],
)
def test_explain_and_convert_refuse_what_returns_no_tensor(forward: Callable[..., Any], kind: str) -> None:
    model, wanted = (
        network(forward),
        rf"The network returns {kind} from the forward at .*networks.py:\d+; convert handles",
    )
    assert re.search(wanted, refused(model, torch.randn(2, 3)))
    with pytest.raises(ConversionError, match=wanted):
        explain(model)


@pytest.mark.parametrize("forward", [lambda self, x: torch.relu(x).argmax(1), lambda self, x: torch.relu(x) > 0])
def test_answers_that_have_no_mean_are_refused(forward: Callable[..., Any]) -> None:
    said = refused(network(forward), torch.randn(4, 3), unsupported="differential")
    assert re.search(r"The network returns torch.(int64|bool) numbers; .*mean over time is the answer", said)


@pytest.mark.parametrize("unsupported", ["differential", "keep"])
def test_samples_that_change_only_those_after_them_are_noticed(unsupported: str) -> None:
    """A cumulative sum over the batch leaves the first samples as they were, however many follow."""
    forward = lambda self, x: torch.relu(x).cumsum(0)  # noqa: E731
    said = refused(network(forward), torch.randn(8, 3), unsupported=unsupported)
    line = forward.__code__.co_firstlineno
    assert re.search(rf"'cumsum' at .*{HERE}:{line} mixes the samples of a batch", said)


class OwnDropout(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(torch.relu(x), 0.5, training=self.training)


@pytest.mark.parametrize("module", [nn.RReLU(), OwnDropout(), nn.BatchNorm1d(4)])
def test_modules_in_training_mode_are_named_whoever_wrote_them(module: nn.Module) -> None:
    model = nn.Sequential(nn.ReLU(), module).eval()
    module.train()
    assert "convert expects a network in eval mode; in training mode: '1'." in refused(model, torch.randn(8, 4))
    with pytest.raises(ConversionError, match=r"explain expects a network in eval mode; in training mode: '1'"):
        explain(model)
    assert module.training and not model.training


def test_networks_without_weights_yet_are_refused() -> None:
    model = nn.Sequential(nn.LazyLinear(4), nn.ReLU()).eval()
    with pytest.raises(ConversionError, match=r"weights are not made yet: '0'. Run it on a batch first"):
        convert(model, torch.randn(2, 3))
    with pytest.raises(ConversionError, match=r"weights are not made yet: '0'"):
        explain(model)


def test_what_cannot_be_copied_is_said_to_be_so() -> None:
    model = linear_relu()
    model[0].scaled = 2 * model[0].weight
    with pytest.raises(
        ConversionError, match=r"Sequential cannot be copied, .*cannot copy '0.scaled' with the gradient"
    ):
        convert(model, torch.randn(2, 4))
    model = linear_relu()
    model.lock = threading.Lock()
    with pytest.raises(ConversionError, match=r"only a copy is ever converted: .*lock.*Keep locks, files"):
        explain(model)


@pytest.mark.parametrize("place", ["0", "1", ""])
def test_hooks_that_would_be_lost_are_noticed(place: str) -> None:
    model, x = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval(), torch.randn(16, 4)
    module = model.get_submodule(place)
    watching = module.register_forward_hook(lambda module, inputs, output: None)
    convert(model, x)  # one that only looks on does no harm
    watching.remove()
    module.register_forward_hook(lambda module, inputs, output: 2 * output)
    if place == "0":  # a layer stays, and its hook with it
        assert torch.allclose(convert(model, x, members=4096, thresholds="max").model(x), model(x), atol=1e-2)
    else:
        assert f"are not converted; there are some on '{place or 'Sequential'}'." in refused(model, x)
    assert len(module._forward_hooks) == 1


# --- what is no network --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("thing", "got"), [(lambda x: x, "function"), (nn.ReLU, "the class ReLU"), (None, "NoneType")])
def test_what_is_no_network_is_refused_by_whoever_got_it(thing: Any, got: str) -> None:
    with pytest.raises(TypeError, match=rf"convert expects an nn.Module; got {got}. A function becomes one as the"):
        convert(thing, torch.randn(2, 3))
    with pytest.raises(TypeError, match=rf"explain expects an nn.Module; got {got}\."):
        explain(thing)


@pytest.mark.parametrize(("rules", "got"), [([None], "NoneType"), (["relu"], "str"), ((nn.ReLU,), "ReLU"), (3, "int")])
def test_rules_that_are_none_are_refused(rules: Any, got: str) -> None:
    with pytest.raises(TypeError, match=rf"convert expects rules=\[Rule\(...\), ...\]; got {got}."):
        convert(linear_relu(), torch.randn(2, 4), rules=rules)
    with pytest.raises(TypeError, match=rf"explain expects rules=.*; got {got}."):
        explain(linear_relu(), rules=rules)


# --- data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thresholds", ["mse", "max"])
@pytest.mark.parametrize(
    ("second", "got"),
    [
        (torch.randn(4, 1, 9, 9), "(1, 9, 9) and torch.float32"),
        (torch.randn(4, 8, 8), "(8, 8) and torch.float32"),
        (torch.randn(4, 1, 8, 8).double(), "(1, 8, 8) and torch.float64"),
    ],
)
def test_batches_unlike_the_first_are_refused(second: Tensor, got: str, thresholds: str) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    said = refused(model, [torch.randn(4, 1, 8, 8), second], thresholds=thresholds)
    assert said.startswith(f"Calibration batch 1 has samples of shape {got}; batch 0 had (1, 8, 8) and torch.float32.")
    assert "Crop, pad or cast them to one" in said


@pytest.mark.parametrize(("batches", "got"), [(None, "NoneType"), (5, "int")])
def test_data_that_is_no_data_is_refused(batches: Any, got: str) -> None:
    with pytest.raises(TypeError, match=rf"convert expects batches to be a tensor, .*such as a DataLoader; got {got}."):
        convert(linear_relu(), batches)


@pytest.mark.parametrize(
    ("batch", "got"),
    [
        ({"x": torch.randn(2, 4)}, "dict"),
        (((torch.randn(2, 4), 0), 1), "tuple that starts with tuple"),
        ((), "tuple"),
        (torch.randn(2, 4).numpy(), "ndarray"),
    ],
)
def test_batches_that_are_no_tensors_are_refused(batch: Any, got: str) -> None:
    with pytest.raises(TypeError, match=rf"batch 1 is {got}. Take what the network takes out of it"):
        convert(linear_relu(), [torch.randn(2, 4), batch])


def test_sparse_batches_are_refused() -> None:
    said = refused(linear_relu(), torch.randn(2, 4).to_sparse())
    assert said == "Calibration batch 0 is stored as torch.sparse_coo; pass batch.to_dense()."


def test_a_loader_of_pairs_calibrates_and_one_without_batches_is_refused() -> None:
    pairs = TensorDataset(torch.randn(10, 4), torch.zeros(10))
    assert convert(linear_relu(), DataLoader(pairs, batch_size=4)).report.neurons
    assert "batches is empty" in refused(linear_relu(), DataLoader(pairs, batch_size=32, drop_last=True))
    assert "for a Dataset: a DataLoader of it" in refused(linear_relu(), pairs)


def test_values_that_only_a_later_batch_breaks_are_located() -> None:
    forward = lambda self, x: torch.relu(torch.log(self.fc(x) + 100))  # noqa: E731
    model, x = network(forward, fc=nn.Linear(4, 4)), torch.randn(16, 4)
    for thresholds in ("mse", "lloyd", "max"):
        said = refused(model, [x, 1e5 * x], thresholds=thresholds)
        assert re.search(rf"NaN or infinite values in 'log' at .*{HERE}:{forward.__code__.co_firstlineno}", said)


@pytest.mark.parametrize("thresholds", ["mse", "max", "percentile:90"])
def test_the_way_out_of_silence_is_another_than_was_tried(thresholds: str) -> None:
    model = linear_relu()
    with torch.no_grad():
        model[0].bias.fill_(-1000.0)
    said = refused(model, torch.randn(8, 4), thresholds=thresholds)
    assert re.search(r"'1' \(ReLU\) at .* was \(almost\) never active in calibration", said)
    assert ("or thresholds='max'" in said) == (thresholds == "percentile:90")


# --- nothing is touched, and nothing around it matters -------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"calibrate": "weights"}, {"thresholds": "max", "max_pool": "average"}])
def test_flags_gradients_and_hooks_of_the_source_survive_and_nothing_is_shared(settings: dict[str, Any]) -> None:
    layers = [nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(inplace=True), nn.MaxPool1d(2), nn.Linear(4, 3)]
    model, x = nn.Sequential(*layers).eval(), torch.randn(32, 4, requires_grad=True)
    model(x).sum().backward()
    model[0].weight.requires_grad_(False)
    model[1].register_forward_pre_hook(lambda module, inputs: None)
    before = snapshot(model)
    conversion = convert(model, x, **settings)
    explain(model)
    assert verify(conversion, conversion.quantised)
    assert snapshot(model) == before
    own = {tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    made = [{t.data_ptr() for t in (*m.parameters(), *m.buffers())} for m in (conversion.model, conversion.quantised)]
    assert own.isdisjoint(made[0] | made[1]) and made[0].isdisjoint(made[1])


@pytest.mark.parametrize("thresholds", ["mse", "max"])
def test_autocast_around_convert_changes_no_threshold(thresholds: str) -> None:
    model, x = linear_relu(), torch.randn(64, 4)
    alone = convert(model, x, thresholds=thresholds).report
    with torch.autocast("cpu", dtype=torch.bfloat16):
        within = convert(model, x, thresholds=thresholds).report
        assert torch.is_autocast_enabled("cpu")
    assert [site.threshold for site in within.neurons] == [site.threshold for site in alone.neurons]


# --- verify --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (torch.randn(3, 5), ValueError, r"inputs \[batch, 4\], as in calibration; got shape \(3, 5\)"),
        (torch.full((3, 4), float("nan")), ValueError, "finite inputs; got NaN or infinite values"),
        ([torch.randn(3, 4)], TypeError, "inputs to be a tensor, or how many to draw; got list"),
    ],
)
def test_verify_refuses_inputs_that_cannot_be(inputs: Any, error: type[Exception], message: str) -> None:
    conversion = convert(linear_relu(), torch.randn(8, 4))
    with pytest.raises(error, match=f"verify expects {message}"):
        verify(conversion, conversion.quantised, inputs=inputs)
