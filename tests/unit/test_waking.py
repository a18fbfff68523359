"""Twins that are set up by batches: what they then send and learn, and what stays as it was."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import LIF, BitPlane
from spikebridge.blocks import Fusion, HybridBlock
from spikebridge.core.time import fold
from spikebridge.hybrid import hybridize, spike_report
from spikebridge.hybrid.runs import runs_of
from spikebridge.hybrid.twin import Driven
from spikebridge.hybrid.waking import RATE
from tests.unit.hybrid_blocks import BLOCKS, Residual, images, network


def trained(net: nn.Module, *batches: Tensor) -> nn.Module:
    """A network whose norms have statistics, in eval mode."""
    net.train()
    with torch.no_grad():
        for values in batches:
            net(values)
    return net.eval()


@pytest.mark.parametrize("kind", sorted({*BLOCKS} - {"gated"}))  # whose two hidden units may have no positive current
@pytest.mark.parametrize("mode", ["gated", "add", "serial"])
def test_every_neuron_fires_at_the_rate(kind: str, mode: Any) -> None:
    torch.manual_seed(0)
    net, batches = trained(network(kind), images()), [torch.randn(20, 2, 6, 6) for _ in range(3)]
    hybrid = hybridize(net, ["2", "3"], mode=mode, batches=batches)
    report = spike_report(hybrid, torch.cat(batches))
    rates = [rate for block in report.blocks for rate in block.neurons.values()]
    assert all(0.01 < rate < 1.1 * RATE for rate in rates)
    assert rates and not any(block.is_silent for block in report.blocks)


def test_a_reachable_rate_is_met_closely_and_by_the_currents_alone() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Sequential(nn.Linear(6, 40), nn.ReLU()))
    values = torch.randn(200, 6)
    net[0][0].weight.detach().abs_()  # so that most currents are positive
    weak = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in weak.parameters():
            parameter.mul_(1e-4)
    for each in (net, weak):
        hybrid = hybridize(each, "0", batches=[values])
        (rate,) = spike_report(hybrid, values).blocks[0].neurons.values()
        assert rate == pytest.approx(RATE, rel=0.03)
        for name, value in each[0].state_dict().items():
            assert torch.equal(hybrid[0].spiking.core.body.state_dict()[name], value)


def test_a_scale_is_a_threshold_divided_by_it() -> None:
    currents = torch.rand(4, 3, 5)
    driven = Driven(LIF(threshold=2.0))
    driven.scale.fill_(4.0)
    assert torch.equal(driven(fold(currents), 4), fold(LIF(threshold=0.5)(currents)))
    assert torch.equal(driven.resume(fold(currents), 4)[0], fold(LIF(threshold=0.5)(currents)))


def test_norms_have_the_statistics_of_what_arrives_and_ranges_the_ends() -> None:
    net, values = trained(network(), images()), [torch.randn(9, 2, 6, 6) for _ in range(2)]
    block = hybridize(net, "2", batches=values)[2].spiking
    arriving = [net[1](net[0](each)).detach() for each in values]
    kept = block.encoder.measured
    assert (kept.low, kept.high) == (torch.cat(arriving).min(), torch.cat(arriving).max())
    body, block = block.core.body, block.eval()
    with torch.no_grad():
        currents = body.conv1(fold(block.encoder(torch.cat(arriving))))
    torch.testing.assert_close(body.bn1.running_mean, currents.mean((0, 2, 3)))
    torch.testing.assert_close(body.bn1.running_var, currents.var((0, 2, 3)), rtol=0.05, atol=0.0)
    assert body.bn1.momentum == net[2].bn1.momentum


def test_later_blocks_see_what_earlier_ones_send() -> None:
    torch.manual_seed(0)
    net, values = trained(network(), images()), torch.randn(30, 2, 6, 6)
    serial, gated = (hybridize(net, Residual, mode=mode, batches=[values]) for mode in ("serial", "gated"))
    with torch.no_grad():
        sent = serial.eval()[:3](values)
    assert serial[3].encoder.measured.high == sent.max() <= 1.0
    assert gated[3].spiking.encoder.measured.high == net[:3](values).max()


@pytest.mark.parametrize("training", [False, True])
def test_the_analog_network_and_all_modes_stay_as_they_are(training: bool) -> None:
    net = trained(network(), images()).train(training)
    net[3].bn1.eval()
    before = copy.deepcopy(net.state_dict())
    plain, woken = hybridize(net, Residual), hybridize(net, Residual, batches=[(images(), None)])
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert [part.training for part in woken.modules()] == [part.training for part in plain.modules()]
    state, other = plain.state_dict(), woken.state_dict()
    assert list(state) == list(other)
    moved = {name for name, value in state.items() if not torch.equal(value, other[name])}
    assert moved and all(".spiking." in name and not name.endswith(("weight", "bias")) for name in moved)
    assert not any(parameter.requires_grad and parameter.grad is not None for parameter in woken.parameters())
    plain.load_state_dict(other)
    assert torch.equal(plain.eval()(values := images()), net.eval()(values))


def test_no_more_than_eight_batches_are_read() -> None:
    read: list[Tensor] = []
    endless = (read.append(batch := images()) or batch for _ in iter(int, 1))
    hybridize(network(), "2", batches=endless)
    assert len(read) == 8


def test_a_neuron_that_no_current_can_reach_is_left_and_told_with_the_way_out() -> None:
    net = nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU()), nn.Linear(4, 2))
    with torch.no_grad():
        net[0][2].weight.fill_(-1.0), net[0][2].bias.fill_(-1.0)
    values = torch.randn(20, 4)
    report = spike_report(hybridize(net, "0", batches=[values]), values)
    assert report.blocks[0].is_silent
    assert "Neurons never spike in eval mode" in str(report) and "hybridize(..., batches=some inputs)" in str(report)


def test_a_block_that_is_not_reached_is_left() -> None:
    class Optional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(input=x)

    hybrid = hybridize(Optional(), nn.Linear, batches=[torch.randn(20, 4)])
    scales = [getattr(hybrid, name).spiking.core.body.neuron.scale for name in ("used", "unused")]
    assert scales[0] != 1.0 == scales[1]


def vgg() -> nn.Sequential:
    """Flat, as torchvision has them."""
    features: list[nn.Module] = []
    for inputs, outputs in ((2, 6), (6, 8)):
        features += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
        features.append(nn.AvgPool2d(2))
    return nn.Sequential(nn.Sequential(*features), nn.Flatten(), nn.Linear(8, 4))


@pytest.mark.parametrize("where", ["0.4:7", ["0.0:3", "0.4:7"], ["2", "0.:3"], ["0.4:"]])
def test_a_run_is_one_block_and_nothing_else_changes_its_name(where: Any) -> None:
    net, values = trained(vgg(), images()), images()
    text = repr(net)
    hybrid = hybridize(net, where, batches=[values])
    assert torch.equal(hybrid(values), net(values))
    assert repr(net) == text
    assert len(hybrid[0]) == len(net[0])
    found = [name for name, part in hybrid.named_modules() if isinstance(part, Fusion)]
    several = [where] if isinstance(where, str) else where
    assert sorted(found) == sorted({"0.:3": "0.0"}.get(each, each.split(":")[0]) for each in several)


def test_all_runs_of_types_are_found_in_order_and_none_overlap() -> None:
    assert runs_of(vgg(), nn.Conv2d, nn.BatchNorm2d, nn.ReLU) == ["0.0:3", "0.4:7"]
    assert runs_of(vgg(), nn.Module, (nn.ReLU, nn.BatchNorm2d)) == ["0.0:2", "0.4:6"]
    assert runs_of(nn.Sequential(*(nn.ReLU() for _ in range(5))), nn.ReLU, nn.ReLU) == ["0:2", "2:4"]
    hybrid = hybridize(vgg(), runs_of(vgg(), nn.Conv2d, nn.BatchNorm2d, nn.ReLU), mode="serial")
    assert [name for name, part in hybrid.named_modules() if isinstance(part, HybridBlock)] == ["0.0", "0.4"]


def test_names_types_and_functions_may_be_mixed() -> None:
    hybrid = hybridize(network(), ["2", nn.Linear, lambda name, module: name == "0"], encoder=lambda: BitPlane(bits=2))
    assert [name for name, part in hybrid.named_modules() if isinstance(part, Fusion)] == ["0", "2", "6"]


def _torchvision(name: str) -> tuple[nn.Module, Any]:
    """The blocks of torchvision's networks, fewer and narrower."""
    models = pytest.importorskip("torchvision.models")
    if name == "resnet18":
        return models.ResNet(models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=4), models.resnet.BasicBlock
    if name == "vgg11_bn":
        features = models.vgg.make_layers([16, "M", 32, "M", 64, 64, "M"], batch_norm=True)
        return nn.Sequential(features, nn.Flatten(), nn.Linear(64 * 16, 4)), nn.Conv2d
    if name == "mobilenet_v2":
        setting = [[1, 16, 1, 1], [6, 24, 2, 2]]
        return models.MobileNetV2(4, inverted_residual_setting=setting), models.mobilenetv2.InvertedResidual
    if name == "mobilenet_v3_small":
        rows = [
            (16, 3, 16, 16, True, "RE", 2, 1),
            (16, 3, 72, 24, False, "RE", 2, 1),
            (24, 5, 96, 24, True, "HS", 1, 1),
        ]
        settings = [models.mobilenetv3.InvertedResidualConfig(*row, width_mult=1) for row in rows]
        return models.MobileNetV3(settings, 64, num_classes=4), models.mobilenetv3.InvertedResidual
    transformer = models.VisionTransformer(32, 16, 2, 4, hidden_dim=32, mlp_dim=64, num_classes=4)
    nn.init.normal_(transformer.heads[0].weight, std=0.1)  # zeros, behind which nothing has a gradient
    return transformer, models.vision_transformer.MLPBlock


@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn", "mobilenet_v2", "mobilenet_v3_small", "vit_b_16"])
def test_networks_of_torchvision_keep_their_output_fire_and_train_everywhere(name: str) -> None:
    torch.manual_seed(0)
    net, where = _torchvision(name)
    values = torch.randn(8, 3, 32, 32)
    hybrid = hybridize(trained(net, *values.split(4)), where, batches=values.split(4))
    with torch.no_grad():
        assert torch.equal(hybrid(values), net(values))
    report = spike_report(hybrid, values)
    assert all(0.01 < rate < 0.5 for block in report.blocks for rate in block.neurons.values())
    hybrid.train()
    for part in hybrid.modules():
        part.training &= not isinstance(part, nn.Dropout)
    optimiser = torch.optim.Adam(hybrid.parameters(), lr=1e-3)
    fusions = [part for part in hybrid.modules() if isinstance(part, Fusion)]
    for step in range(2):
        optimiser.zero_grad()
        F.cross_entropy(hybrid(values), torch.arange(8) % 4).backward()
        assert step or all(part.gate.grad != 0 for part in fusions)
        optimiser.step()
    assert all(bool(p.grad.any()) for part in fusions for p in part.spiking.parameters())
