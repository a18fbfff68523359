"""Networks that exist, with spiking twins beside their modules: what they keep, and what they are made of."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from operator import methodcaller
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import IF, LIF, QCFS, BitPlane, Rate
from spikebridge.blocks import Fusion, HybridBlock, RateDecoder
from spikebridge.core.neuron import Neuron
from spikebridge.core.time import Folded, fold, unfold
from spikebridge.hybrid import hybridize, spiking_twin

TIME, BATCH = 8, 3


class Residual(nn.Module):
    """A block as torchvision has it: one in-place activation module, called twice."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x
        return self.relu(out)


class WritesFirst(nn.Module):
    """What is added at the end is not the input, but what an in-place activation has made of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.act, self.layer = nn.ReLU(inplace=True), nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.act(x)) + x


class Gated(nn.Module):
    """Squeeze and excitation, with its activations as functions, and a dropout as one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer, self.down, self.up = nn.Conv2d(width, width, 1), nn.Linear(width, 2), nn.Linear(2, width)

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.layer(x))
        batch, width, _, _ = y.shape
        gate = torch.sigmoid(self.up(self.down(y.mean((2, 3))).relu()))
        return F.dropout(y * gate.view(batch, width, 1, 1).expand_as(y), 0.5, training=self.training)


class Swish(nn.Module):
    """An activation that is written out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x)
        return torch.sigmoid(x) * x


BLOCKS: dict[str, Callable[[int], nn.Module]] = {
    "residual": Residual,
    "writes first": WritesFirst,
    "gated": Gated,
    "swish": Swish,
    "layer": lambda width: nn.Conv2d(width, width, 3, padding=1),
    "stack": lambda width: nn.Sequential(nn.Conv2d(width, width, 1), QCFS(levels=4), nn.Conv2d(width, width, 1)),
}


def network(kind: str = "residual") -> nn.Sequential:
    """A stem, two blocks and a head."""
    make = BLOCKS[kind]
    layers = [nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), make(6), make(6), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(6, 4))


def images() -> Tensor:
    return torch.randn(5, 2, 6, 6)


def neurons_of(module: nn.Module) -> list[str]:
    return [name for name, part in module.named_modules() if isinstance(part, Folded)]


def on_folded(module: nn.Module, train: Tensor, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """What a module computes with time folded into the batch and a neuron for every activation, written by hand."""

    def spiking(x: Tensor, inplace: bool = False) -> Tensor:
        spikes = fold(LIF(threshold=0.4)(unfold(x, time_steps=len(train))))
        return x.copy_(spikes) if inplace else spikes

    with monkeypatch.context() as patch:
        patch.setattr(F, "relu", spiking)
        patch.setattr(F, "silu", spiking)
        patch.setattr(Tensor, "relu", spiking)
        with torch.no_grad():
            return unfold(module(fold(train)), time_steps=len(train))


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("training", [False, True])
def test_gated_keeps_the_output_bit_for_bit(kind: str, training: bool) -> None:
    net = network(kind).train(training)
    for part in net.modules():
        part.training = training and kind != "gated"  # whose dropout draws numbers
    hybrid, values = hybridize(net, ["2", "3"]), images()
    assert torch.equal(hybrid(values), net(values))
    assert torch.equal(hybrid.double()(values.double()), net.double()(values.double()))


@pytest.mark.parametrize("kind", ["residual", "writes first", "gated"])
def test_a_twin_is_the_module_with_neurons_for_its_activations(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = BLOCKS[kind](6).eval()
    train = (torch.rand(TIME, BATCH, 6, 5, 5) < 0.5).float()
    twin = spiking_twin(module, neuron=lambda: LIF(threshold=0.4))
    assert torch.equal(twin(train), on_folded(copy.deepcopy(module), train.clone(), monkeypatch))
    assert torch.equal(twin(train), twin(train))


@pytest.mark.parametrize(
    ("kind", "neurons"),
    [
        ("residual", ["body.relu", "body.relu_2"]),
        ("writes first", ["body.act"]),
        ("gated", ["body.silu", "body.relu"]),
        ("swish", ["body.mul"]),
        ("layer", ["body.neuron"]),
        ("stack", ["body.1"]),
    ],
)
def test_every_call_of_an_activation_has_a_neuron_of_its_own_and_gates_have_none(kind: str, neurons: list[str]) -> None:
    twin = spiking_twin(BLOCKS[kind](6))
    assert neurons_of(twin) == neurons
    assert len({id(part) for part in twin.modules() if isinstance(part, Neuron)}) == len(neurons)
    assert not any(isinstance(part, nn.ReLU | QCFS) for part in twin.modules())


ACTIVATIONS = [nn.ReLU6(inplace=True), nn.LeakyReLU(), nn.GELU(), nn.SiLU(), nn.Hardswish(), nn.PReLU(), nn.Tanh()]
FUNCTIONS = [F.relu6, F.leaky_relu, F.gelu, F.hardswish, F.elu, torch.tanh, F.relu_]
METHODS = [methodcaller("relu_"), methodcaller("tanh")]


@pytest.mark.parametrize("activation", [*ACTIVATIONS, *FUNCTIONS, *METHODS], ids=repr)
def test_an_activation_is_found_however_it_is_written(activation: Any) -> None:
    class Called(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.act = nn.Linear(4, 4), activation if isinstance(activation, nn.Module) else None

        def forward(self, x: Tensor) -> Tensor:
            return (self.act or activation)(self.layer(x))

    twin = spiking_twin(Called(), neuron=IF)
    assert len(neurons_of(twin)) == 1
    assert sorted(name for name, _ in twin.named_parameters()) == ["body.layer.bias", "body.layer.weight"]
    assert set(twin(torch.rand(TIME, BATCH, 4) * 9).unique().tolist()) <= {0.0, 1.0}


def test_dropout_as_a_function_follows_the_mode_of_the_twin() -> None:
    for training in (True, False):
        twin = spiking_twin(Gated(6).train(training), neuron=IF)
        train = 9 * torch.rand(TIME, BATCH, 6, 4, 4)
        for mode in (False, True):
            twin.train(mode)
            torch.manual_seed(0)
            first = twin(train)
            assert torch.equal(first, twin(train)) is not mode


@pytest.mark.parametrize(
    ("where", "replaced"),
    [
        ("2", ["2"]),
        (["3", "2"], ["2", "3"]),
        ("[23]", ["2", "3"]),
        (
            "[23].*",
            ["2.conv1", "2.bn1", "2.conv2", "2.bn2", "2.relu", "3.conv1", "3.bn1", "3.conv2", "3.bn2", "3.relu"],
        ),
        ("*", ["0", "1", "2", "3", "4", "5", "6"]),
        (Residual, ["2", "3"]),
        ((nn.Linear, Residual), ["2", "3", "6"]),
        (nn.Conv2d, ["0", "2.conv1", "2.conv2", "3.conv1", "3.conv2"]),
        (lambda name, module: name.endswith("2") and isinstance(module, nn.Module), ["2", "3.conv2", "3.bn2"]),
    ],
)
def test_modules_are_chosen_by_name_type_or_predicate_and_the_outermost_is_replaced(
    where: Any, replaced: list[str]
) -> None:
    hybrid = hybridize(network(), where, neuron=lambda: LIF(threshold=0.5))
    assert [name for name, part in hybrid.named_modules() if isinstance(part, Fusion)] == replaced
    values = images()
    assert hybrid(values).shape == (5, 4)


def test_the_given_model_is_untouched() -> None:
    net = network()
    net[2].eval()
    net[3].conv1.weight.requires_grad_(False)
    calls: list[object] = []
    net[2].register_forward_hook(lambda *_: calls.append(None))
    net[2].conv1.register_forward_hook(lambda *_: calls.append(None))
    net(images()).sum().backward()
    calls.clear()
    state, text = copy.deepcopy(net.state_dict()), repr(net)
    flags = [(part.training, len(part._forward_hooks)) for part in net.modules()]
    gradients = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    frozen = [parameter.requires_grad for parameter in net.parameters()]

    hybrid = hybridize(net, Residual)
    assert not calls
    hybrid.train()(images()).sum().backward()
    torch.optim.SGD(hybrid.parameters(), lr=1.0).step()

    assert repr(net) == text
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert [(part.training, len(part._forward_hooks)) for part in net.modules()] == flags
    assert [parameter.requires_grad for parameter in net.parameters()] == frozen
    for parameter, gradient in zip(net.parameters(), gradients, strict=True):
        assert parameter.grad is None if gradient is None else torch.equal(parameter.grad, gradient)
    assert not {id(tensor) for tensor in net.parameters()} & {id(tensor) for tensor in hybrid.parameters()}


def test_every_new_module_is_in_the_mode_of_what_it_replaces_and_a_frozen_norm_stays_frozen() -> None:
    net = network().train()
    net[2].eval()
    net[3].bn1.eval()
    hybrid = hybridize(net, Residual)
    assert not any(part.training for part in hybrid[2].modules())
    assert [name for name, part in hybrid[3].named_modules() if not part.training] == [
        "analog.bn1",
        "spiking.core.body.bn1",
    ]


def test_hooks_watch_the_analog_branch_alone() -> None:
    calls: list[str] = []
    net = network()
    for name, part in net.named_modules():
        part.register_forward_hook(lambda *_, name=name: calls.append(name))
    hybridize(net, Residual)(images())
    assert sorted(calls) == sorted([name for name, _ in net.named_modules()] + ["2.relu", "3.relu"])


def test_gated_trains_the_gate_at_once_and_the_twin_after_one_step() -> None:
    hybrid = hybridize(network().train(), Residual)
    optimiser = torch.optim.SGD(hybrid.parameters(), lr=0.1)
    values, classes = images(), torch.tensor([0, 1, 2, 3, 0])
    blocks = [hybrid[2], hybrid[3]]
    for step in range(2):
        optimiser.zero_grad()
        F.cross_entropy(hybrid(values), classes).backward()
        for block in blocks:
            assert block.gate.grad != 0
            assert all(bool((p.grad != 0).any()) is (step == 1) for p in block.spiking.parameters())
        optimiser.step()
    assert all(int(block.spiking.encoder.measured.batches) == 2 for block in blocks)


@pytest.mark.parametrize("mode", ["serial", "add"])
def test_serial_and_add_train_everything_at_once(mode: Any) -> None:
    hybrid = hybridize(network().train(), Residual, mode=mode)
    F.cross_entropy(hybrid(images()), torch.tensor([0, 1, 2, 3, 0])).backward()
    assert all(torch.isfinite(p.grad).all() and bool((p.grad != 0).any()) for p in hybrid[2].parameters())
    assert bool((hybrid[0].weight.grad != 0).any())


def test_serial_puts_the_block_in_the_place_of_the_module_and_add_adds() -> None:
    net, values = network().eval(), images()
    serial, added = hybridize(net, "2", mode="serial"), hybridize(net, "2", mode="add")
    assert isinstance(serial[2], HybridBlock)
    inner = net[1](net[0](values))
    assert torch.equal(added[2](inner), net[2](inner) + serial[2](inner))


@pytest.mark.parametrize("value_range", ["running", "sample", "channel", "batch"])
def test_a_branch_that_writes_to_its_input_has_gradients_beside_every_range(value_range: Any) -> None:
    net = network("writes first").train()
    hybrid, values = hybridize(net, WritesFirst, encoder=lambda: BitPlane(value_range=value_range)), images()
    hybrid(values).sum().backward()
    assert torch.equal(hybrid(values), net(values))


def test_a_frozen_network_has_twins_that_train() -> None:
    hybrid = hybridize(network().requires_grad_(False), Residual)
    trained = {name for name, p in hybrid.named_parameters() if p.requires_grad}
    assert trained == {n for n, _ in hybrid.named_parameters() if ".spiking." in n or n.endswith("gate")}


def test_weights_are_copied_or_drawn_afresh() -> None:
    net = network().train()
    net(images())
    copied, fresh = hybridize(net, "2"), hybridize(net, "2", weights="fresh")
    for name, value in net[2].state_dict().items():
        assert torch.equal(copied[2].spiking.core.body.state_dict()[name], value)
    body = fresh[2].spiking.core.body
    assert not torch.equal(body.conv1.weight, net[2].conv1.weight)
    assert body.bn1.running_mean.abs().max() == 0 and int(body.bn1.num_batches_tracked) == 0
    assert torch.equal(fresh[2].analog.conv1.weight, net[2].conv1.weight)


def test_a_module_under_several_names_stays_shared() -> None:
    shared = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    net = nn.Sequential(nn.Linear(3, 4), shared, shared, nn.Linear(4, 2))
    hybrid, values = hybridize(net, nn.Sequential), torch.randn(5, 3)
    assert hybrid[1] is hybrid[2]
    assert isinstance(hybrid[1], Fusion)
    assert torch.equal(hybrid(values), net(values))


def test_settings_are_made_anew_for_every_module_and_neurons_know_their_place() -> None:
    hybrid = hybridize(
        network(), Residual, encoder=lambda: Rate(time_steps=5, value_range="running"), neuron=IF, decoder=RateDecoder
    )
    first, second = hybrid[2].spiking, hybrid[3].spiking
    assert isinstance(first.encoder, Rate) and isinstance(first.decoder, RateDecoder)
    assert not set(first.modules()) & set(second.modules())
    neuron = second.core.body.relu_2.module
    assert isinstance(neuron, IF)
    assert (neuron.label, neuron.time_steps) == ("3.spiking.core.body.relu_2.module", 5)


def test_a_hybrid_can_be_copied_pickled_compiled_and_hybridized_further() -> None:
    hybrid, values = hybridize(network().eval(), "2", mode="add"), images()
    further = hybridize(hybrid, "3")
    compiled = torch.compile(hybrid, fullgraph=True, backend="eager")
    with torch.no_grad():
        expected = hybrid(values)
        for other in (copy.deepcopy(hybrid), pickle.loads(pickle.dumps(hybrid)), further, compiled):
            assert torch.equal(other(values), expected)
    assert hybridize(further, nn.Linear).get_submodule("2.spiking.core.body.conv1").weight.ndim == 4


def test_what_is_made_lies_on_the_device_of_the_module() -> None:
    hybrid = hybridize(network().to("meta"), Residual)
    assert {t.device.type for t in (*hybrid.parameters(), *hybrid.buffers())} == {"meta"}


def test_in_eval_a_sample_does_not_depend_on_its_batch_mates_and_nothing_is_remembered() -> None:
    hybrid, values = hybridize(network().train(), Residual, mode="add"), images()
    hybrid(values)
    hybrid.eval()
    together = hybrid(values)
    assert torch.equal(together, hybrid(values))
    for index in range(len(values)):
        torch.testing.assert_close(hybrid(values[index : index + 1])[0], together[index])


def test_inside_autocast_the_dtype_is_that_of_the_given_model() -> None:
    net, values = network().eval(), images()
    hybrid = hybridize(net, Residual)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(hybrid(values), net(values))


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else F.relu(x)


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return F.relu(x + y)


class ByModeOnly(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x.exp() if self.training else x)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return F.relu(x), x


class OwnWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x * self.scale)


@pytest.mark.parametrize(
    ("bad", "settings", "message"),
    [
        (
            Branching(),
            {},
            r"'1' \(Branching\): symbolically traced .*\(at .*test_hybridize.py:\d+\)\. Its forward must",
        ),
        (TwoInputs(), {}, r"'1' \(TwoInputs\): .*missing 1 required .*'y' \(at .*test_hybridize.py:\d+\)"),
        (ByModeOnly(), {}, r"it makes other calls in training than in eval mode \(at .*test_hybridize.py:\d+\)"),
        (Pair(), {}, r"'1' \(Pair\): it gives no single tensor \(at .*test_hybridize.py:\d+\)"),
        (nn.ModuleList([nn.Linear(4, 4)]), {}, r"'1' \(ModuleList\): it has no forward\. Choose the modules in it"),
        (nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), {}, r"'1' \(TransformerEncoderLayer\): symbolically"),
        (nn.MultiheadAttention(4, 2), {}, r"MultiheadAttention, at .*, has batch_first=False.*batch_first=True"),
        (nn.Sequential(LIF()), {}, r"it has spikes already, of '0' \(LIF\), at .*lif.py:\d+, which is told T"),
        (nn.ReLU(), {}, r"'1' \(ReLU\): it has no weights, .*never bring the default neuron .*LIF\(threshold=0.5\)"),
        (OwnWeights(), {"weights": "fresh"}, r"fresh weights for '1' \(OwnWeights\): OwnWeights, at .*py:\d+, has wei"),
        (nn.Linear(4, 4), {"weights": "old"}, r"weights to be 'copy' or 'fresh'; got 'old'"),
        (nn.Linear(4, 4), {"mode": "both"}, r"mode to be 'serial', 'add' or 'gated'; got 'both'"),
        (nn.Linear(4, 4), {"encoder": BitPlane()}, r"encoder to make one for each .*lambda: BitPlane.*; got BitPlane"),
        (nn.Linear(4, 4), {"encoder": nn.ReLU}, r"encoder to make one, such as .*; it made ReLU\(\)"),
        (nn.Linear(4, 4), {"neuron": LIF()}, r"neuron to make neurons, one for each .*lambda: LIF.*; got LIF"),
        (nn.Linear(4, 4), {"neuron": nn.ReLU}, r"neuron to make neurons, .*; it made ReLU\(\)"),
        (nn.Linear(4, 4), {"decoder": RateDecoder()}, r"decoder to make one .*RateDecoder; got RateDecoder"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_what_has_no_twin_is_refused(bad: nn.Module, settings: dict[str, Any], message: str) -> None:
    net = nn.Sequential(nn.Linear(4, 4), bad)
    before = repr(net)
    with pytest.raises((ValueError, TypeError), match=message):
        hybridize(net, "1", **settings)
    assert repr(net) == before


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("2.conv3", r"no module '2.conv3' in Sequential. The nearest are '2.conv2', '2.conv1', "),
        ("%", r"no module '%' in Sequential. There are '0', '1', '2', '2.conv1', .* and 5 more"),
        (["2", "norm*"], r"no module 'norm\*' in Sequential"),
        (["2", "2.conv1"], r"was given '2.conv1', which lies within '2'. Leave one of them out"),
        (nn.Conv3d, r"no Conv3d in Sequential. There are AdaptiveAvgPool2d \(1\), BatchNorm2d \(5\), Conv2d \(5\)"),
        ((nn.Conv3d, nn.GRU), r"no Conv3d or GRU in Sequential"),
        (nn.Sequential, r"no Sequential in Sequential. The model itself is one: wrap it, nn.Sequential\(model\)"),
        (lambda name, module: False, r"where to be true of a module; it is of none of 17 in Sequential. There are A"),
        ([], r"where to be a name or names, such as 'layer2.\*', .*; got \[\]"),
        (nn.ReLU(), r"where to be a name or names, .*; got ReLU\(\)"),
    ],
)
def test_a_choice_of_nothing_is_refused_with_what_there_is(where: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        hybridize(network(), where)


def test_a_network_that_cannot_be_copied_faithfully_is_refused() -> None:
    patched = network()
    patched[2].forward = lambda x: x
    bad: list[tuple[Any, str]] = [
        (patched, r"forward of '2' was put into the object"),
        (torch.compile(network(), backend="eager"), r"compiled; hybridize the original \(model._orig_mod\)"),
        (network().bfloat16(), r"float32 or float64 weights; got torch.bfloat16. Pass model.float\(\)"),
        ("network", r"expects an nn.Module; got str"),
    ]
    for net, message in bad:
        with pytest.raises((ValueError, TypeError), match=message):
            hybridize(net, "2")


def test_weights_that_are_read_and_not_called_are_refused() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.MultiheadAttention(4, 2, batch_first=True))
    with pytest.raises(ValueError, match=r"cannot replace '1.out_proj': MultiheadAttention reads its weights and does"):
        hybridize(net, nn.Linear)


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
def test_networks_of_torchvision_keep_their_output_and_train(name: str) -> None:
    net, where = _torchvision(name)
    values = torch.randn(4, 3, 32, 32)
    hybrid = hybridize(net.eval(), where)
    with torch.no_grad():
        assert torch.equal(hybrid(values), net(values))
    hybrid.train()
    optimiser = torch.optim.SGD(hybrid.parameters(), lr=1e-3)
    fusions = [part for part in hybrid.modules() if isinstance(part, Fusion)]
    for _ in range(2):
        optimiser.zero_grad()
        F.cross_entropy(hybrid(values), torch.arange(4)).backward()
        optimiser.step()
    trained = [p for part in fusions for p in part.spiking.parameters() if p.grad is not None and bool(p.grad.any())]
    assert any(bool(part.gate) for part in fusions)
    assert trained
