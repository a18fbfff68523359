"""error_bound: no input breaks it, by hand and by adversary, and it says what it cannot say."""

from __future__ import annotations

import copy
import itertools
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebridge import IF, LIF, QCFS, ConversionError, GroupNeuron, convert, error_bound
from spikebridge.conversion import ErrorBound, adversarial
from spikebridge.conversion.bounds.intervals import ERROR, MEAN, REACH, STEP, VALUE, Bounds
from spikebridge.conversion.bounds.staircase import Clip, Staircase

from ..networks import NETWORKS, network

EXACT = 1e-12  # float64 networks; every number of the example has few digits
EPS = torch.finfo(torch.float64).eps


def inputs(bound: ErrorBound, count: int) -> Tensor:
    """Points of the box: uniform, corners, and corners in most elements."""
    low, high = bound.box
    draw = torch.rand(count, *low.shape, dtype=low.dtype)
    uniform = low + (high - low) * draw
    corners = torch.where(torch.rand(count, *low.shape) < torch.rand(count, *[1] * low.ndim), low, high)
    mixed = torch.where(torch.rand(count, *low.shape) < 0.2, uniform, corners)
    return torch.cat([uniform, corners, mixed, low[None], high[None]]).clamp(low, high)


def attacked(bound: ErrorBound, *, count: int = 40, moves: int = 8) -> ErrorBound:
    """The bound after random and adversarial inputs against every site."""
    bound = bound.measure(inputs(bound, 3 * count))
    for site in bound.sites:
        bound = bound.measure(adversarial(bound, inputs(bound, count // 3), site=site.name, moves=moves))
    return bound


def train_batch_norm(model: nn.Module) -> nn.Module:
    """Statistics and factors as training leaves them, negative ones included."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 0.5, 0.5)
            nn.init.normal_(module.bias, 0.0, 0.3)
            nn.init.normal_(module.running_mean, 0.0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


# --- the neuron: its own recursion, by brute force -----------------------------------------------------------

KINDS = {"plain": {}, "signed": {"signed": True}, "negative": {"negative": True}}


def staircase(neuron: GroupNeuron, low: Tensor, high: Tensor, time_steps: int) -> Staircase:
    ends = [torch.stack([end] * 5)[:, None] for end in (low, high)]
    constant = time_steps == 1
    return Staircase(
        level=neuron.spike_value.double(),
        members=neuron.members,
        time_steps=time_steps,
        signed=neuron.signed,
        negative=neuron.negative,
        current=Bounds(*ends, constant, exact=False),
        unit=EPS,
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("time_steps", [1, 2, 4])
@torch.no_grad()
def test_staircase_contains_every_run_of_the_neuron(kind: str, members: int, time_steps: int) -> None:
    neuron = GroupNeuron(threshold=torch.tensor(1.5, dtype=torch.float64), members=members, **KINDS[kind])
    for _ in range(40):
        ends = torch.randn(2, 1, dtype=torch.float64).sort(0).values * 2
        stairs = staircase(neuron, ends[0], ends[1], time_steps)
        share = torch.rand(time_steps, 500, 1, dtype=torch.float64)
        share[:, 250:] = share[:, 250:].round()
        currents = ends[0] + (ends[1] - ends[0]) * share
        train = neuron(currents)
        low, high = stairs.step()
        assert ((train >= low - EXACT) & (train <= high + EXACT)).all()
        mean, arrived = train.mean(0), currents.mean(0)
        above = torch.stack([(arrived + b).minimum(a) for a, b in stairs.ceilings()]).amax(0).maximum(stairs.bottom)
        below = torch.stack([(arrived - d).maximum(c) for c, d in stairs.floors()]).amin(0).minimum(stairs.threshold)
        assert ((mean >= below - EXACT) & (mean <= above + EXACT)).all()
        low, high = stairs.mean()
        assert ((mean >= low - EXACT) & (mean <= high + EXACT)).all()


@torch.no_grad()
def test_overshoot_of_a_plain_neuron_is_attained_and_a_signed_one_has_none() -> None:
    """Currents (1.5, -1) mean 1/4; the plain neuron sends 2/2 and cannot take it back: 3/4 = u/(2T) + (T-1)/T * 1."""
    current = torch.tensor([[[1.5]], [[-1.0]]], dtype=torch.float64)
    for signed, expected, bound in ((False, 0.5, 0.75), (True, 0.5, 0.25)):
        neuron = GroupNeuron(threshold=torch.tensor(1.0, dtype=torch.float64), members=1, signed=signed)
        stairs = staircase(neuron, current[1, 0], current[0, 0], time_steps=2)
        (low, high), zero = stairs.current.row(MEAN), torch.zeros(1, 1, dtype=torch.float64)
        _, above = stairs.error(Clip(0.0, float("inf")), (low, high), (zero, zero))
        assert above.item() == pytest.approx(min(bound, expected), abs=1e-9)
    plain = GroupNeuron(threshold=torch.tensor(1.0, dtype=torch.float64), members=1)
    assert plain(current).mean().item() - F.relu(current.mean()).item() == 0.25


@pytest.mark.parametrize("activation", [Clip(0.0, float("inf")), Clip(0.0, 1.0), Clip(-1.0, 1.0), Clip(0.0, 1.2, 0.15)])
@pytest.mark.parametrize("time_steps", [1, 3])
@torch.no_grad()
def test_error_is_the_extreme_over_a_dense_grid(activation: Clip, time_steps: int) -> None:
    """The two candidates for an extreme are enough: a grid of 2,000 points finds none further out, and comes close."""
    neuron = GroupNeuron(threshold=torch.tensor(1.0, dtype=torch.float64), members=2, negative=activation.low < 0)
    for _ in range(50):
        ends = torch.randn(2, 1, dtype=torch.float64).sort(0).values
        under, over = torch.randn(2, 1, 1, dtype=torch.float64).mul(0.3).sort(0).values
        stairs = staircase(neuron, ends[0] - 0.5, ends[1] + 0.5, time_steps)
        found = stairs.error(activation, (ends[0][None], ends[1][None]), (under, over))
        z = torch.linspace(0, 1, 2000, dtype=torch.float64)[:, None] * (ends[1] - ends[0]) + ends[0]
        least, most = stairs.mean()
        tops = torch.stack([(z + over[0] + b[0]).minimum(a[0].minimum(most[0])) for a, b in broad(stairs.ceilings())])
        gap = (tops.amax(0).maximum(stairs.bottom) - activation.least(z)).max()
        assert gap - EXACT <= found[1].item() <= gap + 2e-3
        tops = torch.stack([(z + under[0] - d[0]).maximum(c[0].maximum(least[0])) for c, d in broad(stairs.floors())])
        gap = (tops.amin(0).minimum(stairs.threshold) - activation.most(z)).min()
        assert gap - 2e-3 <= found[0].item() <= gap + EXACT


def broad(pieces: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    return [tuple(torch.broadcast_to(end, (1, 1)) for end in piece) for piece in pieces]  # type: ignore[misc]


# --- networks: nothing breaks the bound ----------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("neuron", ["group", "signed-group", "if"])
@pytest.mark.parametrize(
    ("time_steps", "calibrate", "activation"),
    [
        (1, "bias", nn.ReLU),
        (2, "none", nn.ReLU6),
        (2, "bias", lambda: QCFS(levels=4, threshold=1.0)),
        (4, "none", nn.ReLU),
    ],
)
def test_no_input_breaks_the_bound(name: str, neuron: str, time_steps: int, calibrate: str, activation) -> None:
    torch.manual_seed(0)
    model = train_batch_norm(NETWORKS[name](activation))
    settings = {"neuron": neuron, "members": 4, "time_steps": time_steps, "calibrate": calibrate}
    bound = attacked(error_bound(model, convert(model, torch.randn(24, 1, 8, 8), **settings)))
    assert bound.violations == 0, bound
    assert bound.inputs > 100
    assert all(site.observed <= site.bound for site in bound.sites)


def subtracted(parts: tuple[Tensor, Tensor]) -> Tensor:
    return F.relu(torch.sub(parts[0], parts[1], alpha=0.5) - torch.sub(parts[1], parts[0], alpha=-0.5) - 0.3)


OPERATIONS = {
    "transposed convolution": lambda self, x: self.up(F.relu(self.conv(x))),
    "average pools": lambda self, x: F.avg_pool2d(F.adaptive_avg_pool2d(F.relu(self.conv(x)), (5, 3)), 2, 1),
    "max of steps": lambda self, x: F.max_pool2d(F.conv2d(F.relu(self.conv(x)), self.up.weight.mT), 3, 2, 1).relu(),
    "maxima": lambda self, x: torch.amax(F.adaptive_max_pool2d(F.relu(self.conv(x)), 3), (2, 3)),
    "concatenation": lambda self, x: self.conv(F.relu(torch.cat([F.relu(self.conv(x))[:, :1], -x[:, 1:]], 1))),
    "chunks": lambda self, x: subtracted(F.relu(self.conv(x)).chunk(2, 1)),
    "padding": lambda self, x: self.conv(
        F.pad(F.pad(F.relu(self.conv(x)), (1, 1), value=0.7), (1, 0, 0, 1), "reflect")
    ),
    "products": lambda self, x: torch.einsum("bchw,ck->bkhw", F.relu(self.conv(x)), self.matrix) * -0.7 / self.scale,
    "interpolation": lambda self, x: F.interpolate(F.relu(self.conv(x)), scale_factor=1.7, mode="bilinear"),
    "nearest": lambda self, x: F.interpolate(F.relu(self.conv(x)), size=(10, 7)) @ self.matrix[:1].expand(7, 2),
    "norm": lambda self, x: F.batch_norm(F.relu(self.conv(x)), self.norm.running_mean, self.norm.running_var),
    "hard tanh": lambda self, x: self.conv(F.hardtanh(self.conv(F.hardtanh(self.conv(x), -0.5, 0.5)))),
    "twice": lambda self, x: 3 - (x + F.relu(x) - x) * 2 + F.relu(x + x),
    "shapes": lambda self, x: self.line(F.relu(self.conv(x)).permute(0, 2, 3, 1).reshape(x.size(0), -1, 2)).mean(1),
    "sum": lambda self, x: F.relu(self.conv(x)).sum((2, 3), keepdim=True) - torch.mean(x, 1, keepdim=True),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("time_steps", [1, 3])
def test_bounds_pass_through_every_operation(operation: str, time_steps: int) -> None:
    torch.manual_seed(1)
    modules = {"conv": nn.Conv2d(2, 2, 3, padding=1), "up": nn.ConvTranspose2d(2, 2, 3, 2), "line": nn.Linear(2, 3)}
    model = network(OPERATIONS[operation], **modules, norm=nn.BatchNorm2d(2))
    model.matrix, model.scale = nn.Parameter(torch.randn(2, 2)), nn.Parameter(torch.randn(2, 1, 1))
    train_batch_norm(model)
    conversion = convert(model, torch.randn(20, 2, 6, 6), members=3, time_steps=time_steps)
    bound = attacked(error_bound(model, conversion), count=90)
    assert bound.violations == 0, bound


def test_max_pools_moved_before_their_activation_are_bounded_too() -> None:
    torch.manual_seed(0)
    model = train_batch_norm(NETWORKS["max-pool cnn"](nn.ReLU))
    conversion = convert(model, torch.randn(20, 1, 8, 8), members=2, time_steps=3, max_pool="pre")
    assert attacked(error_bound(model, conversion)).violations == 0


def test_unsettled_settings_are_bounded_too() -> None:
    """One threshold per layer, another T, another box, a custom IF."""
    torch.manual_seed(0)
    model, images = NETWORKS["mlp"](nn.ReLU).eval(), torch.randn(20, 1, 8, 8)
    conversion = convert(
        model,
        images,
        granularity="layer",
        calibrate="bias",
        neuron=lambda site: IF(threshold=site.threshold, spike_value=site.threshold, rest=0.5),
    )
    box = (torch.tensor(-3.0), torch.full((8, 8), 4.0))
    bound = error_bound(model, conversion, time_steps=5, box=box)
    assert bound.time_steps == 5
    assert bound.box[0].shape == (1, 8, 8)
    assert attacked(bound).violations == 0


def test_identical_networks_have_a_bound_of_zero() -> None:
    """QCFS of L levels, members = L, T = 1."""
    torch.manual_seed(0)
    model = train_batch_norm(NETWORKS["residual cnn"](lambda: QCFS(levels=4, threshold=1.0)))
    bound = attacked(error_bound(model, convert(model, torch.randn(20, 1, 8, 8), members=4)))
    assert [site.bound for site in bound.sites] == [0.0] * len(bound.sites)
    assert bound.violations == 0
    assert bound["output"].tightness is None


def test_a_point_is_a_box() -> None:
    """For one input alone, all activations known, the bound is much tighter."""
    torch.manual_seed(0)
    model, images = NETWORKS["mlp"](nn.ReLU).eval(), torch.randn(20, 1, 8, 8)
    conversion = convert(model, images, time_steps=4)
    whole = error_bound(model, conversion)["output"].bound
    point = error_bound(model, conversion, box=(images[0], images[0])).measure(images[:1])
    assert point.violations == 0
    assert point["output"].bound < whole / 3
    assert point["output"].vacuous == 0.0


# --- by hand -------------------------------------------------------------------------------------------------


def two_neurons() -> nn.Module:
    """y = 2 relu(x1 - x2) - relu(3 x1 + x2 - 1)."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).double().eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -1.0], [3.0, 1.0]]))
        model[0].bias.copy_(torch.tensor([0.0, -1.0]))
        model[2].weight.copy_(torch.tensor([[2.0, -1.0]]))
        model[2].bias.fill_(0.25)
    return model


@torch.no_grad()
def test_two_neurons_by_hand() -> None:
    """x in [0, 1]^2, T = 1, m = 4, thresholds 1 and 2, which "max" finds in x = (1, 0).

    z1 in [-1, 1], level 1/4: error within +-1/8, and never more. z2 in [-1, 3], level 1/2: within +-1/4 up to the
    threshold 2; beyond it the activation goes on to 3: error -1 to 1/4. Output: 2 e1 - e2 in [-1/4 - 1/4, 1/4 + 1].
    """
    model = two_neurons()
    conversion = convert(model, torch.tensor([[1.0, 0.0]], dtype=torch.float64), members=4, thresholds="max")
    bound = error_bound(model, conversion, box=(torch.zeros(2), torch.ones(2)))
    hidden, output = bound.sites
    assert (hidden.bound, hidden.mean) == (pytest.approx(1.0, abs=EXACT), pytest.approx((1.0 + 0.125) / 2, abs=EXACT))
    assert output.bound == pytest.approx(1.25, abs=EXACT)
    low, high = (end.flatten().tolist() for end in bound.errors[0])
    assert low == pytest.approx([-0.125, -1.0], abs=EXACT)
    assert high == pytest.approx([0.125, 0.25], abs=EXACT)
    assert bound.errors[1][0].item() == pytest.approx(-0.5, abs=EXACT)
    # What stands in a row may be no larger than it must: x = (1, 1) and x = (1/8, 0) attain the ends.
    seen = bound.measure(torch.tensor([[1.0, 1.0], [0.125, 0.0], [0.5, 0.625], [0.41666666666666669, 0.0]]).double())
    assert seen.violations == 0
    assert seen["1"].tightness == pytest.approx(1.0, abs=EXACT)
    assert seen["output"].observed == pytest.approx(1.0, abs=EXACT)


def test_a_bound_half_as_large_is_broken() -> None:
    """The mutation that shows that measuring can fail."""
    torch.manual_seed(0)
    model, images = NETWORKS["mlp"](nn.ReLU).eval(), torch.randn(20, 1, 8, 8)
    bound = attacked(error_bound(model, convert(model, images, members=4)))
    first = bound.sites[0]
    assert first.tightness is not None
    assert first.tightness > 0.5
    halved = copy.copy(bound)
    object.__setattr__(halved, "errors", tuple((low / 2, high / 2) for low, high in bound.errors))
    assert halved.measure(adversarial(halved, inputs(bound, 10), site=first.name)).violations > 0


# --- what it says, and what it refuses -----------------------------------------------------------------------


def test_bound_prints_as_a_table_and_says_where_it_is_vacuous() -> None:
    torch.manual_seed(0)
    model = NETWORKS["mlp"](nn.ReLU).eval()
    images = torch.randn(20, 1, 8, 8)
    bound = error_bound(model, convert(model, images, neuron="if", time_steps=2), box=(-9.0, 9.0)).measure(images)
    text = str(bound)
    assert re.search(r"^site +bound +mean bound +adds itself +possible +vacuous +observed +tightness$", text, re.M)
    assert re.search(r"^output +\d\S* +\d\S* +- +\d", text, re.M)
    assert "20 inputs measured, 0 violations." in text
    assert [site.vacuous <= 1 for site in bound.sites] == [True] * 3
    empty = [site.name for site in bound.sites if site.vacuous == 1.0]
    assert ("Vacuous" in text) == bool(empty)


def test_calls_without_bounds_are_all_listed_with_name_and_line() -> None:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        x = F.gelu(self.fc(x))
        x = F.relu(x) * torch.sigmoid(x)
        return F.softmax(x, 1)

    model = network(forward, fc=nn.Linear(4, 4))
    conversion = convert(model, torch.randn(8, 4))
    with pytest.raises(ConversionError) as caught:
        error_bound(model, conversion)
    message, line, here = str(caught.value), forward.__code__.co_firstlineno, Path(__file__).name
    assert "holds for networks of linear operations, pools and neurons; 4 calls of Wrapped are not one" in message
    assert re.search(rf"'gelu' \(gelu\) at .*{here}:{line + 1}: computed with real numbers before its neuron", message)
    assert re.search(rf"'sigmoid' \(sigmoid\) at .*{here}:{line + 2}: neither linear, nor a pool, nor a", message)
    assert re.search(rf"'mul' \(mul\) at .*{here}:{line + 2}: not linear: both", message)
    assert re.search(rf"'softmax' \(softmax\) at .*{here}:{line + 3}: neither", message)


def test_an_average_in_place_of_a_maximum_has_no_bound() -> None:
    model = NETWORKS["max-pool cnn"](nn.ReLU).eval()
    conversion = convert(model, torch.randn(8, 1, 8, 8), max_pool="average")
    with pytest.raises(ConversionError, match="replaced by an average pool, which is another network"):
        error_bound(model, conversion)


def test_weights_that_cannot_be_weighed_are_refused() -> None:
    def bicubic(self: nn.Module, x: Tensor) -> Tensor:
        return F.interpolate(F.relu(x), scale_factor=2, mode="bicubic")

    model = network(bicubic)
    with pytest.raises(ConversionError, match=r"'interpolate' .*: weights below zero"):
        error_bound(model, convert(model, torch.randn(4, 1, 4, 4)))
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), nn.ReLU()).eval()
    with pytest.raises(ConversionError, match=r"'0' .*: computes its weight anew in every call"):
        error_bound(model, convert(model, torch.randn(4, 4)))


def test_a_neuron_without_a_proof_is_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
    conversion = convert(model, torch.randn(8, 4), neuron=lambda site: LIF(threshold=1.0))
    with pytest.raises(ConversionError, match=r"is proved for Group Neurons, and for IF at rest 1/2.*'1' \(ReLU\)"):
        error_bound(model, conversion)


def test_another_network_than_was_converted_is_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
    conversion = convert(model, torch.randn(8, 4))
    with pytest.raises(ConversionError, match="the calls of Sequential are not those in the conversion's report"):
        error_bound(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4)).eval(), conversion)
    with pytest.raises(ConversionError, match=r"needs the network that was converted; '0.weight' differs"):
        error_bound(nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval(), conversion)


def test_corrected_weights_are_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
    conversion = convert(model, torch.randn(8, 4))
    object.__setattr__(conversion.recipe, "calibrate", "weights")
    with pytest.raises(ConversionError, match=r"keep their weights; calibrate='weights' corrects them"):
        error_bound(model, conversion)


def test_boxes_and_inputs_that_make_no_sense_are_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
    conversion = convert(model, torch.rand(8, 4))
    with pytest.raises(ValueError, match=r"expects box = \(lowest, highest\), each of the shape of one input, \(4,\)"):
        error_bound(model, conversion, box=(torch.zeros(3), torch.ones(3)))
    for box in ((1.0, 0.0), (0.0, float("inf"))):
        with pytest.raises(ValueError, match="finite lowest <= highest"):
            error_bound(model, conversion, box=box)
    with pytest.raises(ValueError, match="error_bound expects time_steps >= 1; got 0"):
        error_bound(model, conversion, time_steps=0)
    bound = error_bound(model, conversion)
    with pytest.raises(ValueError, match=r"1 of 2 are outside. Clamp them, values.clamp\(\*bound.box\)"):
        bound.measure(torch.stack([bound.box[0], bound.box[1] + 1]))
    with pytest.raises(ValueError, match=r"expects values \[batch, 4\], as its box; got shape \(2, 3\)"):
        bound.measure(torch.zeros(2, 3))
    with pytest.raises(KeyError, match="No site 'nope'; there are 1, output"):
        adversarial(bound, bound.box[0][None], site="nope")


def test_the_network_and_its_conversion_are_left_as_they_were() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
    conversion = convert(model, torch.rand(8, 4))
    before = copy.deepcopy((model.state_dict(), conversion.model.state_dict()))
    error_bound(model, conversion).measure(torch.rand(8, 4).clamp(*conversion.box))
    after = (model.state_dict(), conversion.model.state_dict())
    for old, new in zip(before, after, strict=True):
        assert all(torch.equal(old[name], new[name]) for name in old)
    assert not any(module._forward_hooks for module in conversion.model.modules())


def test_bounds_hold_their_rows() -> None:
    bounds = Bounds.identical(torch.zeros(1, 2), torch.ones(1, 2))
    assert [bounds.row(row)[1].max().item() for row in (VALUE, MEAN, STEP, REACH, ERROR)] == [1.0, 1.0, 1.0, 1.0, 0.0]
    moved = bounds.shifted(torch.ones(1, 2), unit=0.0)
    assert [moved.row(row)[1].max().item() for row in (VALUE, MEAN, STEP, REACH, ERROR)] == [1.0, 2.0, 2.0, 2.0, 1.0]
    assert not moved.exact


def test_shrinking_steps_do_not_matter_to_signed_neurons() -> None:
    """All orders of a multiset of currents: the signed bound holds for each, and is that of a constant current."""
    neuron = GroupNeuron(threshold=torch.tensor(2.0, dtype=torch.float64), members=4, signed=True)
    for order in itertools.permutations([0.9, -0.4, 1.3, -0.8]):
        currents = torch.tensor(order, dtype=torch.float64)[:, None, None]
        assert abs(neuron(currents).mean().item() - currents.mean().item()) <= 0.5 / (2 * 4)
