"""What the settings of convert do: granularity, calibration, pools, and activations that are no ReLU."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import QCFS, ConversionError, GroupNeuron, convert
from spikebridge.core.time import Folded

from ..networks import NETWORKS


def error(model: nn.Module, found: nn.Module, x: Tensor) -> float:
    with torch.no_grad():
        return ((found(x) - model(x)).norm() / model(x).norm()).item()


def neurons_of(model: nn.Module) -> list[GroupNeuron]:
    found = [module.module for module in model.modules() if isinstance(module, Folded)]
    return [module for module in found if isinstance(module, GroupNeuron)]


def spread_network() -> nn.Module:
    """Channels a hundred times larger than others."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(64, 5)).eval()
    with torch.no_grad():
        size = torch.logspace(-2, 0, 8)
        model[0].weight *= size[:, None, None, None]
        model[0].bias *= size
        model[2].weight /= size[None, :, None, None]
    return model


def test_thresholds_per_channel_beat_one_for_the_layer_where_channels_differ_in_size() -> None:
    model, x = spread_network(), torch.randn(64, 3, 8, 8)
    channel = convert(model, x, members=8)
    layer = convert(model, x, members=8, granularity="layer")
    assert neurons_of(channel.model)[0].threshold.shape == (8,)
    assert neurons_of(layer.model)[0].threshold.shape == ()
    assert error(model, channel.model, x) < 0.3 * error(model, layer.model, x)


def test_channels_of_tokens_are_last() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.up, self.down = nn.LayerNorm(6), nn.Linear(6, 10), nn.Linear(10, 6)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.down(F.relu(self.up(self.norm(x))))

    model, x = Tokens().eval(), torch.randn(32, 7, 6)
    conversion = convert(model, x, members=64, time_steps=2)
    assert neurons_of(conversion.model)[0].threshold.shape == (1, 10)
    assert error(model, conversion.model, x) < 0.05


@pytest.mark.parametrize("policy", ["mse", "lloyd", "percentile:99.9", "max"])
def test_every_policy_approaches_the_network(policy: str) -> None:
    model, x = NETWORKS["residual cnn"](nn.ReLU).eval(), torch.rand(64, 1, 8, 8)
    errors = [error(model, convert(model, x, members=m, thresholds=policy).model, x) for m in (4, 64)]
    assert errors[1] < 0.35 * errors[0]
    assert errors[1] < 0.05


@pytest.mark.parametrize("levels", [4, 8])
def test_calibration_helps_in_the_order_of_its_means(levels: int) -> None:
    torch.manual_seed(0)
    model, x = NETWORKS["residual cnn"](nn.ReLU).eval(), torch.rand(256, 1, 8, 8)
    new = torch.rand(256, 1, 8, 8)
    errors = [
        error(model, convert(model, x.split(64), members=levels, calibrate=calibrate).model, new)
        for calibrate in ("none", "bias", "weights")
    ]
    assert errors[1] < errors[0]
    assert errors[2] < errors[1]


def test_corrected_weights_are_reported_and_the_source_keeps_its_own() -> None:
    model, x = NETWORKS["mlp"](nn.ReLU).eval(), torch.rand(128, 1, 8, 8)
    before = [parameter.clone() for parameter in model.parameters()]
    conversion = convert(model, x, members=4, calibrate="weights")
    corrected = [site.name for site in conversion.report.sites if "weights corrected" in site.note]
    assert corrected == ["3", "5"]  # what precedes the first neuron is exact
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    with torch.no_grad():
        assert torch.allclose(conversion.model(x), conversion.quantised(x), atol=1e-5)


def test_a_quantised_twin_is_the_spiking_network_at_one_step() -> None:
    for name, build in NETWORKS.items():
        model, x = build(nn.ReLU).eval(), torch.rand(64, 1, 8, 8)
        for calibrate in ("none", "bias"):
            conversion = convert(model, x, members=5, calibrate=calibrate)
            with torch.no_grad():
                assert torch.allclose(conversion.model(x), conversion.quantised(x), atol=1e-5), (name, calibrate)


@pytest.mark.parametrize("calibrate", ["bias", "weights"])
@torch.no_grad()
def test_calibration_leaves_what_is_identical_alone(calibrate: str) -> None:
    for build in NETWORKS.values():
        model, x = build(partial(QCFS, levels=4, threshold=1.0)).eval(), torch.rand(64, 1, 8, 8)
        assert torch.equal(convert(model, x, members=4, calibrate=calibrate).model(x), model(x))


@pytest.mark.parametrize("calibrate", ["bias", "weights"])
def test_percentiles_see_all_batches_however_they_are_calibrated(calibrate: str) -> None:
    model = NETWORKS["mlp"](nn.ReLU).eval()
    batches = [torch.rand(16, 1, 8, 8), 5 * torch.rand(16, 1, 8, 8)]
    plain, calibrated = (
        convert(model, batches, thresholds="max", calibrate=way).report.neurons[0].threshold
        for way in ("none", calibrate)
    )
    assert plain == calibrated


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_are_corrected_under_one_threshold_for_the_layer_too(name: str) -> None:
    model, x = NETWORKS[name](nn.ReLU).eval(), torch.rand(256, 1, 8, 8)
    settings = {"members": 4, "granularity": "layer"}
    errors = [error(model, convert(model, x, **settings, calibrate=way).model, x) for way in ("none", "weights")]
    assert errors[1] < errors[0]


# --- pools ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_a_pool_before_the_activation_is_exact_at_one_step_and_spikes_afterwards() -> None:
    model, x = NETWORKS["max-pool cnn"](nn.ReLU).eval(), torch.rand(32, 1, 8, 8)
    exact, moved = (convert(model, x, max_pool=choice, thresholds="max") for choice in ("exact", "pre"))
    assert torch.allclose(moved.model(x), exact.model(x), atol=1e-5)
    rows = {site.operation: site for site in moved.report.sites}
    assert "moved before the activation" in rows["max_pool2d"].note
    assert rows["max_pool2d"].fidelity == "approximate"
    assert not moved.report.analog and exact.report.analog


def test_a_pool_that_cannot_move_is_refused() -> None:
    class Shared(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(x)
            return F.max_pool1d(x, 2).mean(2) + x.mean(2)

    x = torch.randn(4, 3, 8)
    with pytest.raises(ConversionError, match="does not follow an activation that feeds nothing else"):
        convert(Shared().eval(), x, max_pool="pre")
    assert convert(Shared().eval(), x, max_pool="exact").report.analog


@torch.no_grad()
def test_an_average_pool_may_stand_in_and_is_said_to() -> None:
    model, x = nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.MaxPool1d(2)).eval(), torch.randn(16, 2, 10)
    conversion = convert(model, x, max_pool="average", members=4096)
    averaged = nn.Sequential(model[0], model[1], nn.AvgPool1d(2))
    assert torch.allclose(conversion.model(x), averaged(x), atol=1e-2)
    row = conversion.report.sites[-1]
    assert (row.becomes, row.fidelity) == ("AvgPool1d", "approximate")


# --- activations that are no ReLU ----------------------------------------------------------------------------


@pytest.mark.parametrize("time_steps", [1, 3])
@pytest.mark.parametrize(
    "activation",
    [
        *(nn.ReLU6(), nn.Hardtanh(), nn.Hardtanh(-0.5, 2.0), nn.LeakyReLU(0.2), nn.PReLU(), nn.SiLU(), nn.GELU()),
        *(nn.Hardswish(), nn.ELU(), nn.Tanh(), nn.Mish(), nn.Softplus()),
    ],
    ids=lambda module: str(module),
)
@torch.no_grad()
def test_activations_of_every_shape_become_neurons(activation: nn.Module, time_steps: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), activation, nn.Linear(16, 16), activation, nn.Linear(16, 3)).eval()
    x = 3 * torch.randn(512, 6)
    conversion = convert(model, x, members=255, time_steps=time_steps, neuron="signed-group")
    assert len(conversion.report.neurons) == 2
    assert error(model, conversion.model, x) < 0.02


@torch.no_grad()
def test_a_clip_caps_the_threshold() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU6()).eval()
    x = 100 * torch.randn(256, 4)
    assert float(neurons_of(convert(model, x).model)[0].threshold.max()) <= 6.0
    clamped = nn.Sequential(nn.Linear(4, 8), nn.Hardtanh(-2.0, 2.0)).eval()
    (neuron,) = neurons_of(convert(clamped, x).model)
    assert neuron.negative and float(neuron.threshold.max()) <= 2.0


def test_a_clip_that_leaves_nothing_is_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Hardtanh(-2.0, -1.0)).eval()
    with pytest.raises(ConversionError, match=r"clips between -2.0 and -1.0, which leaves nothing"):
        convert(model, torch.randn(8, 4))


def test_a_channel_that_was_never_active_is_noted_and_can_still_fire() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU()).eval()
    with torch.no_grad():
        model[0].bias[1] = -100.0
    x = torch.randn(64, 4)
    for policy in ("mse", "max"):
        conversion = convert(model, x, thresholds=policy)
        assert "1 channel never active, given the highest threshold" in conversion.report.neurons[0].note
        (neuron,) = neurons_of(conversion.model)
        assert neuron.threshold[1] == neuron.threshold.max()


def test_a_forward_put_into_the_object_is_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
    model.forward = lambda x: x  # type: ignore[method-assign]
    with pytest.raises(ConversionError, match=r"forward of 'Sequential' was put into the object"):
        convert(model, torch.randn(2, 4))


@torch.no_grad()
def test_windows_in_the_leading_axis_keep_samples_apart() -> None:
    """Swin-like: windows of an image are folded into the batch, computed on, and put back."""

    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.up, self.down = nn.Linear(4, 8), nn.Linear(8, 16), nn.Linear(16, 8)

        def forward(self, x: Tensor) -> Tensor:
            x = torch.relu(self.stem(x))  # [batch, 6, 4] -> [batch, 6, 8]
            windows = x.reshape(-1, 2, 8)  # three windows of two, per sample
            windows = self.down(F.gelu(self.up(windows)))
            return windows.reshape(-1, 6, 8).mean(1)

    model, x = Windows().eval(), torch.randn(32, 6, 4)
    conversion = convert(model, x, members=255, time_steps=3, neuron="signed-group")
    assert error(model, conversion.model, x) < 0.02
